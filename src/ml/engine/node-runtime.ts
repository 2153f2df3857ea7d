import { InferenceSession, listSupportedBackends, Tensor as NodeTensor } from 'onnxruntime-node';
import { HelioError } from '../../errors.ts';
import type { Graph } from './graph.ts';
import type { Dialect } from './ir.ts';
import { toOnnx } from './onnx.ts';
import { type CompileOptions, floatsOf, type Provider, type Runtime, type Session, type Tensor } from './session.ts';

/**
 * ONNX Runtime in Node.
 *
 * Idle worker threads sleep and do not spin: islands share machines with each other and with their owners
 * (spinning cost up to two thirds of the speed on a busy machine; docs/decisions/0001-onnx-runtime.md).
 *
 * @throws HelioError HELIO-2003 when this machine's ONNX Runtime has no such provider
 */
export function nodeRuntime(provider: Provider = 'cpu'): Runtime {
  requireProvider(provider);
  keepToItself();
  return {
    provider,
    sharedMemory: true,
    compile: (graph, name, options) => compile(provider, graph, name, options),
  };
}

/**
 * ONNX Runtime's npm builds collect events about sessions and machine for upload to Microsoft, in a database in the home folder, and
 * leave a log in the temporary one. This variable, read when a process begins its first session, turns that off; whoever has set it
 * is obeyed. In a thread it only counts when the thread shares its environment (`threads.ts`).
 */
function keepToItself(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
}

/** Providers that come with this installation; the CPU's is always among them. */
export function nodeProviders(): readonly Provider[] {
  return listSupportedBackends().flatMap(({ name, bundled }) => (bundled ? [name as Provider] : []));
}

/** @throws HelioError HELIO-2003 when this machine's ONNX Runtime has no such provider */
export function requireProvider(provider: Provider): void {
  const installed = nodeProviders();
  if (installed.includes(provider)) return;
  throw new HelioError(
    'HELIO-2003',
    `device ${provider} is not installed here: ONNX Runtime has ${installed.join(', ')}.`,
    provider === 'cuda'
      ? 'Install its libraries with `ONNXRUNTIME_NODE_INSTALL=cuda npm rebuild onnxruntime-node`, or choose device cpu.'
      : `Choose one of ${installed.join(', ')}.`,
  );
}

/** FusedMatMul has a kernel on the processor and on CUDA, FastGelu everywhere; what dml and coreml lack runs on the processor. */
const dialectOf = (provider: Provider): Dialect => ({
  fusedMatMul: provider === 'cpu' || provider === 'cuda',
  fastGelu: true,
  atomicScatter: provider === 'cuda' || provider === 'webgpu',
});

async function compile(provider: Provider, graph: Graph, name: string, options: CompileOptions): Promise<Session> {
  try {
    const session = await InferenceSession.create(toOnnx(graph, name, dialectOf(provider)), {
      executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // One planned block for all activations takes half as much memory again and gains nothing measurable.
      enableMemPattern: false,
      logSeverityLevel: 3,
      ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile }),
      extra: { session: { intra_op: { allow_spinning: '0' }, set_denormal_as_zero: '1' } },
    });
    // onnxruntime-node writes only into tensors of its own class; these share their memory with ours.
    const places = new WeakMap<Tensor, NodeTensor>();
    const placeOf = (tensor: Tensor): NodeTensor => {
      const known = places.get(tensor) ?? new NodeTensor('float32', floatsOf(tensor), tensor.dims);
      places.set(tensor, known);
      return known;
    };
    return {
      async run(feeds, into) {
        if (into === undefined) return session.run(feeds);
        const fetches = Object.fromEntries(
          session.outputNames.map((output) => [output, into[output] === undefined ? null : placeOf(into[output])]),
        );
        return { ...(await session.run(feeds, fetches)), ...into };
      },
      release: async () => {
        if (options.profile !== undefined) session.endProfiling();
        await session.release();
      },
    };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new HelioError(
      'HELIO-2001',
      `ONNX Runtime refused the graph ${name} on ${provider}: ${detail}.`,
      provider === 'cpu'
        ? 'If inner.precision is bfloat16, the processor lacks it: choose float32 or float16. Otherwise run `heliotrope doctor`, and report this with its output.'
        : 'Choose --device cpu, or inner.precision float32 if that is what the device lacks.',
      { cause: error },
    );
  }
}
