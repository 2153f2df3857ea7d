import type { InferenceSession } from 'onnxruntime-common';
import { HelioError } from '../../errors.ts';
import type { Graph } from './graph.ts';
import { toOnnx } from './onnx.ts';
import { type CompileOptions, type Feeds, floatsOf, type Runtime, type Session, type Tensor } from './session.ts';

/** What this needs of onnxruntime-web; its builds for WebAssembly and WebGPU are packages of their own. */
interface Ort {
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<InferenceSession> };
  readonly env: { readonly wasm: { wasmPaths?: unknown; numThreads?: number } };
}

export interface WebRuntimeOptions {
  /** `auto`: WebGPU where the browser has an adapter, WebAssembly otherwise. */
  readonly provider: 'wasm' | 'webgpu' | 'auto';
  /** Where the files of onnxruntime-web's `dist` folder are served, ending in a slash. */
  readonly filesUrl: string;
  /** For `wasm`: more than one needs a page that is cross-origin isolated. */
  readonly threads: number;
}

/**
 * ONNX Runtime in a browser. On WebGPU parameters stay in the device's memory; in WebAssembly they are copied in and out.
 * Call it in a Web Worker: WebAssembly occupies the calling thread.
 *
 * @throws HelioError HELIO-2003 when the browser has no WebGPU adapter
 */
export async function webRuntime({ provider: wanted, filesUrl, threads }: WebRuntimeOptions): Promise<Runtime> {
  const adapter = wanted !== 'wasm' && (await hasAdapter());
  if (wanted === 'webgpu' && !adapter) throw noAdapter();
  const provider = adapter ? 'webgpu' : 'wasm';
  const ort = (provider === 'webgpu'
    ? await import('onnxruntime-web/webgpu')
    : await import('onnxruntime-web/wasm')) as unknown as Ort;
  ort.env.wasm.wasmPaths = filesUrl;
  ort.env.wasm.numThreads = threads;
  return {
    provider,
    sharedMemory: provider === 'wasm',
    compile: (graph, name, options) => compile(ort, provider, graph, name, options),
  };
}

async function hasAdapter(): Promise<boolean> {
  const { gpu } = globalThis.navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  return ((await gpu?.requestAdapter()) ?? null) !== null;
}

const noAdapter = (): HelioError =>
  new HelioError(
    'HELIO-2003',
    'device webgpu: this browser has no WebGPU adapter.',
    'Use a current browser with a GPU, or device wasm.',
  );

async function compile(
  ort: Ort,
  provider: 'wasm' | 'webgpu',
  graph: Graph,
  name: string,
  { resident = [] }: CompileOptions,
): Promise<Session> {
  const onDevice = provider === 'webgpu' ? Object.fromEntries(resident.map((output) => [output, 'gpu-buffer'])) : {};
  try {
    const session = await ort.InferenceSession.create(
      toOnnx(graph, name, { fusedMatMul: provider === 'wasm', fastGelu: true, atomicScatter: provider === 'webgpu' }),
      {
        executionProviders: provider === 'webgpu' ? ['webgpu', 'wasm'] : ['wasm'],
        graphOptimizationLevel: 'all',
        enableMemPattern: false,
        logSeverityLevel: 3,
        ...(provider === 'webgpu' ? { preferredOutputLocation: onDevice } : {}),
      },
    );
    const run = async (feeds: Feeds): Promise<Record<string, Tensor>> => ({ ...(await session.run(feeds)) });
    return {
      async run(feeds, into) {
        const results = await run(feeds);
        for (const [output, place] of Object.entries(into ?? {})) {
          if (provider === 'webgpu') {
            // The result is a new buffer; the old one was read for the last time.
            if (place.location !== 'cpu') place.dispose();
            continue;
          }
          floatsOf(place).set(floatsOf(results[output]!));
          results[output] = place;
        }
        return results;
      },
      release: () => session.release(),
    };
  } catch (error) {
    throw new HelioError(
      'HELIO-2001',
      `ONNX Runtime refused the graph ${name} on ${provider}: ${error instanceof Error ? error.message : String(error)}.`,
      'Try device wasm, and report this with the name of the browser.',
      { cause: error },
    );
  }
}
