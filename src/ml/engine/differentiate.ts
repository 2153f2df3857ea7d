import type { Graph } from './graph.ts';
import type { Value } from './ir.ts';
import { operatorOf } from './operators/index.ts';
import { misfit, sizeOf } from './shape.ts';

/**
 * Reverse-mode differentiation on the graph: appends the nodes that compute ∂loss/∂w for each w.
 *
 * @param loss a scalar of the graph
 * @param wrt values of the graph, usually its parameters
 * @returns one gradient for each of `wrt`, of the same shape
 * @throws HelioError HELIO-2001 when `loss` is no scalar, does not depend on one of `wrt`, or passes through an
 * operator that has no gradient
 */
export function differentiate(graph: Graph, loss: Value, wrt: readonly Value[]): readonly Value[] {
  if (sizeOf(loss.shape) !== 1) throw misfit('differentiate', `the loss has shape [${loss.shape.join(', ')}]`);
  const needed = dependents(graph, wrt);
  const gradients = new Map<Value, Value>([[loss, graph.scalar(1)]]);
  for (const node of graph.nodes.slice().reverse()) {
    if (!node.outputs.some((y) => gradients.has(y)) || !node.inputs.some((x) => needed.has(x))) continue;
    const rule = node.gradient ?? operatorOf(node.op).gradient;
    if (rule === undefined) throw misfit(node.op, 'has no gradient, but the loss depends on it');
    const dInputs = rule(
      graph,
      node,
      node.outputs.map((y) => gradients.get(y)),
    );
    node.inputs.forEach((x, i) => {
      const dx = dInputs[i];
      if (dx === undefined || !needed.has(x)) return;
      const before = gradients.get(x);
      gradients.set(x, before === undefined ? dx : graph.one('Add', [before, dx]));
    });
  }
  return wrt.map((w) => {
    const gradient = gradients.get(w);
    if (gradient === undefined) throw misfit('differentiate', `the loss does not depend on ${w.name}`);
    return gradient;
  });
}

/** All values that depend on one of `sources`: only through them do gradients have to flow. */
function dependents(graph: Graph, sources: readonly Value[]): ReadonlySet<Value> {
  const reached = new Set(sources);
  for (const node of graph.nodes) {
    if (node.inputs.some((x) => reached.has(x))) for (const y of node.outputs) reached.add(y);
  }
  return reached;
}
