import { Tensor } from 'onnxruntime-common';
import type { Graph } from './graph.ts';

export type { Tensor } from 'onnxruntime-common';
export type Feeds = Readonly<Record<string, Tensor>>;

/** Where ONNX Runtime computes. */
export const PROVIDERS = ['cpu', 'cuda', 'dml', 'coreml', 'webgpu', 'wasm'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** A compiled graph on ONNX Runtime. `run` may occupy the calling thread: use it in a worker. */
export interface Session {
  /**
   * Feeds every input by name and returns every output by name.
   *
   * @param into tensors that take outputs of these names. They may be inputs at the same time, where the graph reads
   * the input for the last time in the node that writes the output. The ones returned replace them.
   */
  run(feeds: Feeds, into?: Feeds): Promise<Feeds>;
  release(): Promise<void>;
}

export interface CompileOptions {
  /** Threads that one operator may use. */
  readonly threads: number;
  /** Outputs that are only ever fed back: they stay on the device where it has memory of its own. */
  readonly resident?: readonly string[];
  /** A file name that ONNX Runtime's own profile is written under when the session is released. */
  readonly profile?: string;
}

/** One way to run graphs: ONNX Runtime in Node or in a browser, on one provider. */
export interface Runtime {
  readonly provider: Provider;
  /** Tensors are views of ordinary memory, so that parameters of one kind can lie in one array and update in place. */
  readonly sharedMemory: boolean;
  /** @throws HelioError HELIO-2001 when ONNX Runtime refuses the graph */
  compile(graph: Graph, name: string, options: CompileOptions): Promise<Session>;
}

export function floatTensor(data: Float32Array, shape: readonly number[]): Tensor {
  return new Tensor('float32', data, shape);
}

export function intTensor(data: BigInt64Array, shape: readonly number[]): Tensor {
  return new Tensor('int64', data, shape);
}

export const scalarTensor = (x: number): Tensor => floatTensor(Float32Array.of(x), []);

/** A tensor's numbers, where they lie in ordinary memory. */
export function floatsOf(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}

/** A tensor's numbers, wherever they lie. */
export async function fetchFloats(tensor: Tensor): Promise<Float32Array> {
  return (await tensor.getData()) as Float32Array;
}
