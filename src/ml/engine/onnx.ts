import { typeCodeOf } from './autocast.ts';
import type { Graph } from './graph.ts';
import { type Dialect, ints, type Node, type OnnxAttribute, type OnnxForm, type Value } from './ir.ts';
import { operators } from './operators/index.ts';
import { ProtobufWriter } from './protobuf.ts';
import { misfit, swapLastTwo } from './shape.ts';

/** Field numbers are those of onnx.proto (ONNX 1.16); opset 20 is the newest with every operator in use. */
const OPSET = 20;
const IR_VERSION = 9;
/** No operator but ONNX's own. */
const PLAIN: Dialect = { fusedMatMul: false, fastGelu: false, atomicScatter: false };
/** Protocol Buffers cannot hold more. */
export const MAX_ONNX_BYTES = 2 ** 31 - 2 ** 20;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** Weights of a model that is larger than its format: ONNX's external data, in a file beside it. */
export interface ExternalWeights {
  /** The file's name, without folder. */
  readonly file: string;
  /** Where in it a tensor begins; float32, row-major. */
  readonly begins: ReadonlyMap<string, number>;
}

/**
 * Writes the graph as an ONNX model file that ONNX Runtime loads in Node and in a browser.
 *
 * @param dialect ONNX Runtime's own operators that may be used; none when left out
 * @param weights numbers of inputs that become part of the file, and are no longer fed
 * @param external those that are in a file of their own
 * @throws HelioError HELIO-2001 when the file would pass the 2 GiB of its format
 */
export function toOnnx(
  graph: Graph,
  name: string,
  dialect: Dialect = PLAIN,
  weights: ReadonlyMap<string, Float32Array> = new Map(),
  external?: ExternalWeights,
): Uint8Array {
  const bytes = [...weights.values()].reduce((sum, data) => sum + data.byteLength, 0);
  if (bytes > MAX_ONNX_BYTES)
    throw misfit('toOnnx', `${name} has ${bytes} bytes of weights, and an ONNX file at most ${MAX_ONNX_BYTES}`);
  const names = outputNames(graph);
  const nameOf = (value: Value): string => names.get(value) ?? value.name;
  const model = new ProtobufWriter();
  model.varint(1, IR_VERSION).string(2, 'heliotrope');
  model.message(7, (g) => {
    for (const node of reachable(graph)) writeNode(g, node, dialect, nameOf);
    for (const { name: output, value } of graph.outputs) {
      if (nameOf(value) !== output) writeCopy(g, nameOf(value), output);
    }
    g.string(2, name);
    for (const { value, data } of graph.constants) {
      writeTensor(g, value, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    for (const value of graph.inputs) {
      const data = weights.get(value.name);
      if (external?.begins.has(value.name)) writeExternal(g, value, external);
      else if (data === undefined) writeValueInfo(g, 11, value, value.name);
      else writeTensor(g, value, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    for (const { name: output, value } of graph.outputs) writeValueInfo(g, 12, value, output);
  });
  model.message(8, (opset) => opset.string(1, '').varint(2, OPSET));
  if (dialect !== PLAIN) model.message(8, (opset) => opset.string(1, 'com.microsoft').varint(2, 1));
  return model.finish();
}

/** A computed value that is an output has the output's name, so that the node writes where the caller wants it. */
function outputNames(graph: Graph): ReadonlyMap<Value, string> {
  const given = new Set<Value>([...graph.inputs, ...graph.constants.map((constant) => constant.value)]);
  const names = new Map<Value, string>();
  for (const { name, value } of graph.outputs) if (!given.has(value) && !names.has(value)) names.set(value, name);
  return names;
}

/** Nodes from which an output can be reached, in order: what differentiation left unused is not emitted. */
function reachable(graph: Graph): readonly Node[] {
  const wanted = new Set<Value>(graph.outputs.map((o) => o.value));
  const kept: Node[] = [];
  for (const node of graph.nodes.slice().reverse()) {
    if (!node.outputs.some((y) => wanted.has(y))) continue;
    kept.push(node);
    for (const x of inputsOf(node)) wanted.add(x);
  }
  return kept.reverse();
}

/** `Identity` passes its last input on; the others are there for its gradient. */
const inputsOf = (node: Node): readonly Value[] => (node.op === 'Identity' ? node.inputs.slice(-1) : node.inputs);

function writeNode(g: ProtobufWriter, node: Node, dialect: Dialect, nameOf: (value: Value) => string): void {
  const form: OnnxForm = operators[node.op]?.emit?.(node, dialect) ?? { opType: node.op, attributes: {} };
  const extras = (form.extraInputs ?? []).map((numbers, i) => {
    const name = `${node.outputs[0]!.name}.${i}`;
    writeInt64(g, name, numbers);
    return name;
  });
  const inputs = inputsOf(node).map((x, i) => {
    const before = `${node.outputs[0]!.name}.input${i}`;
    const shaped = form.shaped?.find(({ input }) => input === i);
    if (shaped !== undefined) writeShape(g, shaped.by, nameOf(x), before, shaped.shape);
    else if (form.swapped?.includes(i)) writeSwap(g, nameOf(x), before, x.shape.length);
    else return nameOf(x);
    return before;
  });
  g.message(1, (n) => {
    for (const x of inputs) n.string(1, x);
    for (const extra of extras) n.string(1, extra);
    for (const y of node.outputs) n.string(2, nameOf(y));
    n.string(3, nameOf(node.outputs[0]!)).string(4, form.opType);
    for (const [key, attribute] of Object.entries(form.attributes)) writeAttribute(n, key, attribute);
    if (form.domain !== undefined) n.string(7, form.domain);
  });
}

/** Transposes the last two axes. */
function writeSwap(g: ProtobufWriter, from: string, to: string, rank: number): void {
  g.message(1, (n) => {
    n.string(1, from).string(2, to).string(4, 'Transpose');
    writeAttribute(n, 'perm', ints(swapLastTwo(rank)));
  });
}

function writeShape(g: ProtobufWriter, by: string, from: string, to: string, shape: readonly number[]): void {
  writeInt64(g, `${to}.shape`, shape);
  g.message(1, (n) => n.string(1, from).string(1, `${to}.shape`).string(2, to).string(4, by));
}

function writeCopy(g: ProtobufWriter, from: string, to: string): void {
  g.message(1, (n) => n.string(1, from).string(2, to).string(4, 'Identity'));
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
      case 'string':
        a.string(4, attribute.value);
        break;
      case 'ints':
        for (const i of attribute.value) a.varint(8, i);
        break;
    }
    a.varint(20, ATTRIBUTE_TYPE[attribute.kind]);
  });
}

function writeInt64(g: ProtobufWriter, name: string, numbers: readonly number[]): void {
  const data = BigInt64Array.from(numbers, BigInt);
  writeTensor(g, { name, dtype: 'int64', shape: [numbers.length] }, new Uint8Array(data.buffer));
}

function writeExternal(g: ProtobufWriter, value: Value, { file, begins }: ExternalWeights): void {
  const entries = { location: file, offset: begins.get(value.name)!, length: 4 * sizeOf(value.shape) };
  g.message(5, (t) => {
    for (const d of value.shape) t.varint(1, d);
    t.varint(2, FLOAT).string(8, value.name);
    for (const [key, entry] of Object.entries(entries)) t.message(13, (e) => e.string(1, key).string(2, String(entry)));
    t.varint(14, EXTERNAL);
  });
}
/** TensorProto.DataType and TensorProto.DataLocation. */
const FLOAT = 1;
const EXTERNAL = 1;
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, d) => product * d, 1);

function writeTensor(g: ProtobufWriter, value: Value, raw: Uint8Array): void {
  g.message(5, (t) => {
    for (const d of value.shape) t.varint(1, d);
    t.varint(2, typeCodeOf(value.dtype)).string(8, value.name).bytes(9, raw);
  });
}

function writeValueInfo(g: ProtobufWriter, field: number, value: Value, name: string): void {
  g.message(field, (info) => {
    info.string(1, name).message(2, (type) => {
      type.message(1, (tensor) => {
        tensor.varint(1, typeCodeOf(value.dtype));
        tensor.message(2, (shape) => {
          for (const d of value.shape) shape.message(1, (dimension) => dimension.varint(1, d));
        });
      });
    });
  });
}
