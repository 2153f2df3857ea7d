/** The page's worker: trains a tiny model with the engine's own Trainer, and posts its losses. */
import { webRuntime } from '../../src/ml/engine/web-runtime.ts';
import { train, type Work } from './training.ts';

const scope = globalThis as unknown as {
  onmessage: (event: { readonly data: Work & { provider: 'wasm' | 'webgpu'; threads: number } }) => void;
  postMessage(message: object): void;
};

scope.onmessage = async ({ data }) => {
  try {
    const runtime = await webRuntime({ provider: data.provider, filesUrl: '/ort/', threads: data.threads });
    scope.postMessage(await train(runtime, data, data.threads));
  } catch (error) {
    scope.postMessage({ error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) });
  }
};
