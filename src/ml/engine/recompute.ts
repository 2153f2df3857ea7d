import { backward } from './differentiate.ts';
import { after } from './functions.ts';
import type { Graph } from './graph.ts';
import type { Build, Value } from './ir.ts';

/**
 * Activation recomputation (Chen et al., arXiv 1604.06174): the segment is built once for the forward pass, and a
 * second time when its gradient is asked for, from its inputs alone. Only they have to be kept in between.
 */
export function recomputed(graph: Graph, inputs: readonly Value[], build: Build): Value {
  const from = graph.nodes.length;
  const y = build(inputs);
  const outside = readFromOutside(graph, from, inputs);
  return graph.withGradient(y, [...inputs, ...outside], (dy) => {
    const again = graph.nodes.length;
    // Without waiting for dy the runtime would see two equal computations, make them one again, and keep all after all.
    const anchors = inputs.map((input) => after(graph, input, [dy]));
    return backward(graph, build(anchors), dy, [...anchors, ...outside], again);
  });
}

/** Differentiable values that the nodes from `from` on take from before: parameters, mostly. */
function readFromOutside(graph: Graph, from: number, inputs: readonly Value[]): readonly Value[] {
  const inside = new Set<Value>(inputs);
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
