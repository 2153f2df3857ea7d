import type { Graph } from './graph.ts';
import { type DType, int, type Node, type OnnxAttribute, type OnnxForm, type Shape, type Value } from './ir.ts';
import { operators } from './operators/index.ts';
import { ProtobufWriter } from './protobuf.ts';

/** Field numbers are those of onnx.proto (ONNX 1.16); opset 20 is the newest with every operator in use. */
const OPSET = 20;
const IR_VERSION = 9;
const ELEMENT_TYPE: Readonly<Record<DType, number>> = { float32: 1, int64: 7 };
const ATTRIBUTE_TYPE = { float: 1, int: 2, ints: 7 } as const;

/** Writes the graph as an ONNX model file that ONNX Runtime loads in Node and in a browser. */
export function toOnnx(graph: Graph, name: string): Uint8Array {
  const model = new ProtobufWriter();
  model.varint(1, IR_VERSION).string(2, 'heliotrope');
  model.message(7, (g) => {
    for (const node of reachable(graph)) writeNode(g, node);
    g.string(2, name);
    for (const { value, data } of graph.constants) {
      writeTensor(g, value, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    for (const value of graph.inputs) writeValueInfo(g, 11, value);
    for (const value of graph.outputs) writeValueInfo(g, 12, value);
  });
  model.message(8, (opset) => opset.string(1, '').varint(2, OPSET));
  return model.finish();
}

/** Nodes from which an output can be reached, in order: what differentiation left unused is not emitted. */
function reachable(graph: Graph): readonly Node[] {
  const wanted = new Set<string>(graph.outputs.map((o) => o.name));
  const kept: Node[] = [];
  for (const node of graph.nodes.slice().reverse()) {
    if (!node.outputs.some((y) => wanted.has(y.name))) continue;
    kept.push(node);
    for (const x of node.op === 'Identity' ? node.inputs.slice(-1) : node.inputs) wanted.add(x.name);
  }
  return kept.reverse();
}

function writeNode(g: ProtobufWriter, node: Node): void {
  const extras: string[] = [];
  if (node.op === 'OneHot') return writeOneHot(g, node);
  const form: OnnxForm = operators[node.op]?.emit?.(node) ?? { opType: node.op, attributes: {} };
  form.extraInputs?.forEach((numbers, i) => {
    const name = `${node.outputs[0]!.name}.${i}`;
    writeInt64(g, name, numbers);
    extras.push(name);
  });
  g.message(1, (n) => {
    for (const x of node.op === 'Identity' ? node.inputs.slice(-1) : node.inputs) n.string(1, x.name);
    for (const extra of extras) n.string(1, extra);
    for (const y of node.outputs) n.string(2, y.name);
    n.string(4, form.opType);
    for (const [key, attribute] of Object.entries(form.attributes)) writeAttribute(n, key, attribute);
  });
}

/** OneHot takes its depth and its pair of values as tensors. */
function writeOneHot(g: ProtobufWriter, node: Node): void {
  const [y] = node.outputs;
  writeInt64(g, `${y!.name}.depth`, [Number(node.attributes.depth)], []);
  const pair: Value = { name: `${y!.name}.values`, dtype: 'float32', shape: [2] };
  writeTensor(g, pair, new Uint8Array(Float32Array.of(0, 1).buffer));
  g.message(1, (n) => {
    n.string(1, node.inputs[0]!.name).string(1, `${y!.name}.depth`).string(1, pair.name).string(2, y!.name);
    n.string(4, 'OneHot');
    writeAttribute(n, 'axis', int(-1));
  });
}

function writeAttribute(node: ProtobufWriter, name: string, attribute: OnnxAttribute): void {
  node.message(5, (a) => {
    a.string(1, name);
    switch (attribute.kind) {
      case 'float':
        a.float(2, attribute.value);
        break;
      case 'int':
        a.varint(3, attribute.value);
        break;
      case 'ints':
        for (const i of attribute.value) a.varint(8, i);
        break;
    }
    a.varint(20, ATTRIBUTE_TYPE[attribute.kind]);
  });
}

function writeInt64(
  g: ProtobufWriter,
  name: string,
  numbers: readonly number[],
  shape: Shape = [numbers.length],
): void {
  const data = BigInt64Array.from(numbers, BigInt);
  writeTensor(g, { name, dtype: 'int64', shape }, new Uint8Array(data.buffer));
}

function writeTensor(g: ProtobufWriter, value: Value, raw: Uint8Array): void {
  g.message(5, (t) => {
    for (const d of value.shape) t.varint(1, d);
    t.varint(2, ELEMENT_TYPE[value.dtype]).string(8, value.name).bytes(9, raw);
  });
}

function writeValueInfo(g: ProtobufWriter, field: number, value: Value): void {
  g.message(field, (info) => {
    info.string(1, value.name).message(2, (type) => {
      type.message(1, (tensor) => {
        tensor.varint(1, ELEMENT_TYPE[value.dtype]);
        tensor.message(2, (shape) => {
          for (const d of value.shape) shape.message(1, (dimension) => dimension.varint(1, d));
        });
      });
    });
  });
}
