import { castTo } from './autocast.ts';
import type { Graph } from './graph.ts';
import type { Value } from './ir.ts';
import { operatorOf } from './operators/index.ts';
import { misfit, sizeOf } from './shape.ts';

/**
 * Reverse-mode differentiation on the graph: appends the nodes that compute ∂loss/∂w for each w.
 *
 * @param loss a scalar of the graph
 * @param wrt values of the graph, usually its parameters
 * @param seed the gradient of what is really wanted with respect to `loss`, a scalar; 1 when left out
 * @returns one gradient for each of `wrt`, of the same shape and type
 * @throws HelioError HELIO-2001 when `loss` is no scalar, does not depend on one of `wrt`, or passes through an
 * operator that has no gradient
 */
export function differentiate(
  graph: Graph,
  loss: Value,
  wrt: readonly Value[],
  seed: Value = graph.scalar(1),
): readonly Value[] {
  if (sizeOf(loss.shape) !== 1) throw misfit('differentiate', `the loss has shape [${loss.shape.join(', ')}]`);
  return backward(graph, loss, seed, wrt, 0).map((gradient, i) => {
    if (gradient === undefined) throw misfit('differentiate', `the loss does not depend on ${wrt[i]!.name}`);
    return castTo(graph, gradient, wrt[i]!.dtype);
  });
}

/**
 * Gradients of `wrt` given that of `y`, through the nodes from number `from` on.
 *
 * @returns undefined for what `y` does not depend on
 */
export function backward(
  graph: Graph,
  y: Value,
  dy: Value,
  wrt: readonly Value[],
  from: number,
): readonly (Value | undefined)[] {
  const nodes = graph.nodes.slice(from);
  const needed = dependents(nodes, wrt);
  const gradients = new Map<Value, Value>([[y, dy]]);
  for (const node of nodes.reverse()) {
    if (!node.outputs.some((output) => gradients.has(output)) || !node.inputs.some((x) => needed.has(x))) continue;
    const rule = node.gradient ?? operatorOf(node.op).gradient;
    if (rule === undefined) throw misfit(node.op, 'has no gradient, but the loss depends on it');
    const dInputs = rule(
      graph,
      node,
      node.outputs.map((output) => gradients.get(output)),
      node.inputs.map((x) => needed.has(x)),
    );
    node.inputs.forEach((x, i) => {
      const dx = dInputs[i];
      if (dx === undefined || !needed.has(x)) return;
      const before = gradients.get(x);
      gradients.set(x, before === undefined ? dx : graph.one('Add', [before, dx]));
    });
  }
  return wrt.map((w) => gradients.get(w));
}

/** All values that depend on one of `sources`: only through them do gradients have to flow. */
function dependents(nodes: Graph['nodes'], sources: readonly Value[]): ReadonlySet<Value> {
  const reached = new Set(sources);
  for (const node of nodes) {
    if (node.inputs.some((x) => reached.has(x))) for (const y of node.outputs) reached.add(y);
  }
  return reached;
}
