import type { Expression } from './template.ts';

/** All terms of an expression. */
export function termsOf<T extends object>(expression: Expression<T>): readonly T[] {
  const all: T[] = [];
  for (const simple of 'first' in expression ? expression.first : [expression]) {
    if ('sum' in simple) all.push(...simple.sum);
    else if ('product' in simple) all.push(...simple.product);
    else all.push(simple);
  }
  return all;
}
