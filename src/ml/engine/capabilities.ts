import { operators } from './operators/index.ts';
import type { Provider } from './session.ts';

/**
 * Which operators of the table a provider has no kernel for. ONNX Runtime computes those on the processor, which is
 * right but slow; an island says so when it joins. For WebGPU the test compares this list with the one that
 * onnxruntime-web ships (docs/webgpu-operators.md); the others have every operator in use.
 */
const LACKING: Readonly<Partial<Record<Provider, readonly string[]>>> = {
  // Identity only passes a value on, and is taken out before anything runs.
  webgpu: ['Identity'],
};

/** Names under which operators of ours are written in ONNX where they differ. */
export const ONNX_NAMES: Readonly<Record<string, string>> = {
  SetRows: 'ScatterND',
  AddRows: 'ScatterND',
  AddElements: 'ScatterND',
  Head: 'Gemm',
};

export const operatorsOnProcessor = (provider: Provider): readonly string[] =>
  (LACKING[provider] ?? []).filter((op) => Object.hasOwn(operators, op));
