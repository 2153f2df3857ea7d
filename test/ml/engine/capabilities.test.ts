import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ONNX_NAMES, operatorsOnProcessor } from '../../../src/ml/engine/capabilities.ts';
import { nodeProviders, nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { operators } from '../../../src/ml/engine/operators/index.ts';

describe('capabilities', () => {
  it('name the operators that onnxruntime-web has no WebGPU kernel for', () => {
    const entry = createRequire(import.meta.url).resolve('onnxruntime-web');
    const table = readFileSync(path.join(path.dirname(entry), '../docs/webgpu-operators.md'), 'utf8');
    const onGpu = new Set([...table.matchAll(/^\| (\w+) \|/gm)].map(([, name]) => name));
    expect(onGpu.size).toBeGreaterThan(80);
    const lacking = Object.keys(operators).filter((op) => !onGpu.has(ONNX_NAMES[op] ?? op));
    expect(operatorsOnProcessor('webgpu')).toEqual(lacking);
    expect(operatorsOnProcessor('cpu')).toEqual([]);
  });

  it('say which device is not installed, and which are', () => {
    expect(nodeProviders()).toContain('cpu');
    expect(() => nodeRuntime('coreml')).toThrow(/device coreml is not installed here: ONNX Runtime has cpu/);
  });
});
