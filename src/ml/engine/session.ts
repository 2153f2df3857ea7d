import { InferenceSession, Tensor } from 'onnxruntime-node';
import { HelioError } from '../../errors.ts';
import type { Graph } from './graph.ts';
import { toOnnx } from './onnx.ts';

export type { Tensor } from 'onnxruntime-node';
export type Feeds = Readonly<Record<string, Tensor>>;

/** A compiled graph on ONNX Runtime. `run` occupies the calling thread: use it in a worker. */
export interface Session {
  /** Feeds every input by name and returns every output by name. An output may be fed back without a copy. */
  run(feeds: Feeds): Promise<Feeds>;
  release(): Promise<void>;
}

export interface SessionOptions {
  /** Threads that one operator may use. */
  readonly threads: number;
}

/**
 * Compiles the graph for the CPU.
 *
 * Idle worker threads sleep and do not spin: islands share machines with each other and with their owners
 * (spinning cost up to two thirds of the speed on a busy machine; docs/decisions/0001-onnx-runtime.md).
 *
 * @throws HelioError HELIO-2001 when ONNX Runtime refuses the model
 */
export async function createSession(graph: Graph, name: string, options: SessionOptions): Promise<Session> {
  try {
    const session = await InferenceSession.create(toOnnx(graph, name), {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // One planned block for all activations takes half as much memory again and gains nothing measurable.
      enableMemPattern: false,
      logSeverityLevel: 3,
      extra: { session: { intra_op: { allow_spinning: '0' }, set_denormal_as_zero: '1' } },
    });
    return {
      run: (feeds) => session.run(feeds),
      release: () => session.release(),
    };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new HelioError(
      'HELIO-2001',
      `ONNX Runtime refused the graph ${name}: ${detail}.`,
      'Run `heliotrope doctor`, and report this with its output.',
      { cause: error },
    );
  }
}

export function floatTensor(data: Float32Array, shape: readonly number[]): Tensor {
  return new Tensor('float32', data, shape);
}

export function intTensor(data: BigInt64Array, shape: readonly number[]): Tensor {
  return new Tensor('int64', data, shape);
}

export function floatsOf(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}
