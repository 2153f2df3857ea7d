import { Graph } from '../engine/graph.ts';
import type { Builder, Value } from '../engine/ir.ts';
import { forwardPass, fullAttention, type PassMode } from '../models/forward-pass.ts';
import { keyValueWidth, type LanguageConfig, loraOf, outputsOf, parametersOf } from '../models/model.ts';

export const cacheNames = (layer: number) => ({ key: `key:${layer}`, value: `value:${layer}` });

/** Name of a cache as an output: what goes in under its own name comes out under this one. */
export const nextCache = (name: string): string => `next:${name}`;

/**
 * Reads a whole prompt at once. Input: `tokens` int64 [1, context]; what stands after the prompt does not matter.
 * Outputs: `next:` keys and values of every layer, [context, key width].
 */
export function prefillGraph(model: LanguageConfig): Graph {
  const graph = new Graph();
  let layer = 0;
  const mode: PassMode = {
    attend(g, q, k, v) {
      const { key, value } = cacheNames(layer++);
      const shape = [model.contextLength, keyValueWidth(model)];
      graph.output(nextCache(key), g.one('Reshape', [k], { shape }));
      graph.output(nextCache(value), g.one('Reshape', [v], { shape }));
      return fullAttention(g, q, k, v);
    },
    atPositions: (_, table) => table,
    dropout: (_, x) => x,
  };
  build(graph, model, [1, model.contextLength], mode);
  return graph;
}

/**
 * One token further. Inputs: `tokens` int64 [1, 1], its `position` int64 [1], `visible` [1, 1, context] (0 for places up
 * to the position, a large negative number after it), keys and values of every layer. Outputs: `logits` [1, vocabulary],
 * and keys and values with this token's own, which may be written where the old ones lie.
 */
export function decodeGraph(model: LanguageConfig): Graph {
  const graph = new Graph();
  const position = graph.input('position', 'int64', [1]);
  const visible = graph.input('visible', 'float32', [1, 1, model.contextLength]);
  let layer = 0;
  const mode: PassMode = {
    attend: (g, q, k, v) => cachedAttention(graph, g, layer++, model, q, k, v, position, visible),
    atPositions: (g, table) => g.one('Gather', [table, position]),
    dropout: (_, x) => x,
  };
  graph.output('logits', build(graph, model, [1, 1], mode));
  return graph;
}

function build(graph: Graph, model: LanguageConfig, shape: readonly number[], mode: PassMode): Value {
  const tokens = graph.input('tokens', 'int64', shape);
  const specs = parametersOf(model);
  const values = specs.map((spec) => graph.input(spec.name, 'float32', spec.shape));
  return outputsOf(forwardPass(graph, specs, values, loraOf(model), mode), model, tokens);
}

/** ConnectionInbox of one position to the cached ones and itself. q is [1, 1, heads, width], k and v [1, 1, key heads, width]. */
function cachedAttention(
  graph: Graph,
  g: Builder,
  layer: number,
  model: LanguageConfig,
  q: Value,
  k: Value,
  v: Value,
  position: Value,
  visible: Value,
): Value {
  const [, , heads, headWidth] = q.shape as readonly [number, number, number, number];
  const keyHeads = k.shape[2]!;
  const context = model.contextLength;
  const place = g.one('Reshape', [position], { shape: [1, 1] });
  const extended = (name: string, fresh: Value): Value => {
    const cache = graph.input(name, 'float32', [context, keyHeads * headWidth]);
    const row = g.one('Reshape', [fresh], { shape: [1, keyHeads * headWidth] });
    const next = g.one('SetRows', [cache, place, row]);
    graph.output(nextCache(name), next);
    return g.one('Reshape', [next], { shape: [context, keyHeads, headWidth] });
  };
  const { key, value } = cacheNames(layer);
  const keys = g.one('Transpose', [extended(key, k)], { permutation: [1, 2, 0] });
  const values = g.one('Transpose', [extended(value, v)], { permutation: [1, 0, 2] });
  const grouped = g.one('Reshape', [q], { shape: [keyHeads, heads / keyHeads, headWidth] });
  const scores = g.one('Mul', [g.one('MatMul', [grouped, keys]), g.scalar(1 / Math.sqrt(headWidth))]);
  const p = g.one('Softmax', [g.one('Add', [scores, visible])]);
  return g.one('Reshape', [g.one('MatMul', [p, values])], { shape: [1, heads * headWidth] });
}
