import type { Operator } from '../ir.ts';
import { misfit } from '../shape.ts';
import { convolution } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { indexing } from './indexing.ts';
import { layout } from './layout.ts';
import { linear } from './linear.ts';
import { normalization } from './normalization.ts';
import { reduction } from './reduction.ts';

/** The one table of operators; everything else is composed of them (`functions.ts`). */
export const operators: Readonly<Record<string, Operator>> = {
  ...elementwise,
  ...linear,
  ...layout,
  ...reduction,
  ...normalization,
  ...indexing,
  ...convolution,
};

export function operatorOf(op: string): Operator {
  const operator = operators[op];
  if (operator === undefined) throw misfit(op, 'there is no such operator');
  return operator;
}
