import { backward } from './differentiate.ts';
import type { Graph } from './graph.ts';
import type { Value } from './ir.ts';

/**
 * Activation recomputation (Chen et al., arXiv 1604.06174): the segment is built once for the forward pass, and a
 * second time when its gradient is asked for, from its input alone. Only that input has to be kept in between.
 */
export function recomputed(graph: Graph, x: Value, build: (x: Value) => Value): Value {
  const from = graph.nodes.length;
  const y = build(x);
  const outer = [x, ...readFromOutside(graph, from, x)];
  return graph.withGradient(y, outer, (dy) => {
    const again = graph.nodes.length;
    const anchor = anchored(graph, x, dy);
    const second = build(anchor);
    return backward(graph, second, dy, [anchor, ...outer.slice(1)], again);
  });
}

/**
 * `x` itself, but only to be had once `dy` is known. Without this the runtime would see two equal computations, make
 * them one again, and keep everything after all. What is added is 0 · dy₀: zero for any finite gradient, and a step
 * with another is thrown away.
 */
function anchored(graph: Graph, x: Value, dy: Value): Value {
  const first = graph.one('Slice', [graph.one('Reshape', [dy], { shape: [dy.shape.reduce((a, b) => a * b, 1)] })], {
    axes: [0],
    starts: [0],
    ends: [1],
  });
  const nothing = graph.one('Mul', [first, graph.scalar(0)]);
  return graph.one('Add', [x, nothing]);
}

/** Differentiable values that the nodes from `from` on take from before: parameters, mostly. */
function readFromOutside(graph: Graph, from: number, x: Value): readonly Value[] {
  const inside = new Set<Value>([x]);
  const outside = new Set<Value>();
  const constants = new Set(graph.constants.map((constant) => constant.value));
  for (const node of graph.nodes.slice(from)) {
    for (const input of node.inputs) {
      if (!inside.has(input) && !constants.has(input) && input.dtype !== 'int64') outside.add(input);
    }
    for (const output of node.outputs) inside.add(output);
  }
  return [...outside];
}
