import { attention, dropout, linear, linearTransposed } from '../engine/functions.ts';
import type { Builder, Value } from '../engine/ir.ts';
import type { ParameterSpec } from '../tensor/parameters.ts';
import { type LoraConfig, loraDelta, loraTargets } from './lora.ts';

/**
 * What a model is built with: the graph, its parameters, and the few things that differ between training on whole
 * sequences and generating token by token. So a model file says each formula once.
 */
export interface ForwardPass {
  readonly g: Builder;
  parameter(name: string): Value;
  /** x · W (+ b) by the names `name.weight` and `name.bias`, in whichever layout W is kept, plus its adapter. */
  dense(x: Value, name: string): Value;
  /**
   * Causal attention.
   *
   * @param q [batch, sequence, heads, head width] @param k, v [batch, sequence, key heads, head width]
   * @returns [batch · sequence, heads · head width]
   */
  attend(q: Value, k: Value, v: Value): Value;
  /** Rows of a table [context, …] at the positions of this pass: [sequence, …]. */
  atPositions(table: Value): Value;
  /** Drops elements of [rows, width] in training, does nothing otherwise. */
  dropout(x: Value): Value;
}

/** What a mode of use gives: training has all of `fullSequence`, generation its caches. */
export interface PassMode {
  readonly attend: (g: Builder, q: Value, k: Value, v: Value) => Value;
  readonly atPositions: (g: Builder, table: Value) => Value;
  readonly dropout: (g: Builder, x: Value) => Value;
}

export function forwardPass(
  g: Builder,
  specs: readonly ParameterSpec[],
  values: readonly Value[],
  lora: LoraConfig | undefined,
  mode: PassMode,
): ForwardPass {
  const index = new Map(specs.map((spec, i) => [spec.name, { spec, value: values[i]! }]));
  const parameter = (name: string): Value => index.get(name)!.value;
  return {
    g,
    parameter,
    dense(x, name) {
      const { spec, value } = index.get(`${name}.weight`)!;
      const bias = index.get(`${name}.bias`)?.value;
      const y = spec.layout === 'out-in' ? linearTransposed(g, x, value, bias) : linear(g, x, value, bias);
      if (lora === undefined || !loraTargets(lora, name)) return y;
      return g.one('Add', [y, loraDelta(g, lora, x, name, parameter)]);
    },
    attend: (q, k, v) => mode.attend(g, q, k, v),
    atPositions: (table) => mode.atPositions(g, table),
    dropout: (x) => mode.dropout(g, x),
  };
}

/** Dropout of one training step: the residues of each place in the model where something is dropped. */
export interface DropoutSites {
  readonly rate: number;
  /** Declares the inputs of the next place. */
  next(rows: number, columns: number): { readonly rows: Value; readonly columns: Value };
}

/** Whole sequences, as in training, evaluation and prefill. */
export function fullSequence(sites?: DropoutSites): PassMode {
  return {
    attend: (g, q, k, v) => fullAttention(g, q, k, v),
    atPositions: (_, table) => table,
    dropout(g, x) {
      if (sites === undefined || sites.rate === 0) return x;
      const { rows, columns } = sites.next(x.shape[0]!, x.shape[1]!);
      return dropout(g, x, sites.rate, rows, columns);
    },
  };
}

/** ConnectionInbox of every position to itself and those before it. */
export function fullAttention(g: Builder, q: Value, k: Value, v: Value): Value {
  const [batch, sequence, heads, headWidth] = q.shape as readonly [number, number, number, number];
  const scaled = g.one('Mul', [q, g.scalar(1 / Math.sqrt(headWidth))]);
  const byHead = (x: Value): Value => g.one('Transpose', [x], { permutation: [0, 2, 1, 3] });
  const inputs = [scaled, repeatHeads(g, k, heads), repeatHeads(g, v, heads)].map(byHead);
  const mixed = g.segment('attention', inputs, (parts) => attention(g, parts[0]!, parts[1]!, parts[2]!));
  return g.one('Reshape', [byHead(mixed)], { shape: [batch * sequence, heads * headWidth] });
}

/** Grouped-query attention (Ainslie et al., arXiv 2305.13245): each key head serves several query heads in a row. */
export function repeatHeads(g: Builder, x: Value, heads: number): Value {
  const [batch, sequence, keyHeads, headWidth] = x.shape as readonly [number, number, number, number];
  if (keyHeads === heads) return x;
  const apart = g.one('Reshape', [x], { shape: [batch, sequence, keyHeads, 1, headWidth] });
  const repeated = g.one('Expand', [apart], { shape: [batch, sequence, keyHeads, heads / keyHeads, headWidth] });
  return g.one('Reshape', [repeated], { shape: [batch, sequence, heads, headWidth] });
}
