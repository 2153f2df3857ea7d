import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { toOnnx } from '../../../src/ml/engine/onnx.ts';
import { openWeights } from '../../../src/ml/models/hugging-face.ts';
import { saveOnnx } from '../../../src/ml/models/onnx-file.ts';
import { outputsGraph } from '../../../src/ml/training/training-graph.ts';
import { FIXTURES } from './reference.ts';

describe.each(['llama', 'gpt2'])('a %s as ONNX', (architecture) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-onnx-'));
  const { model, parameters } = openWeights(`${FIXTURES}/transformers-${architecture}`);
  const graph = outputsGraph(model, 1, { input: 'input_ids', outputs: 'logits' });
  const context = (model as { readonly contextLength: number }).contextLength;
  const logitsOf = async (file: string): Promise<Float32Array> => {
    const session = await InferenceSession.create(file);
    expect(session.inputNames).toEqual(['input_ids']);
    const ids = BigInt64Array.from({ length: context }, (_, i) => BigInt(i % 5));
    const { logits } = await session.run({ input_ids: new Tensor('int64', ids, [1, context]) });
    await session.release();
    return logits!.data as Float32Array;
  };

  it('is one file where its weights fit, with the bytes of one that is made whole', () => {
    const file = path.join(folder, 'whole.onnx');
    saveOnnx(file, graph, 'a', parameters);
    expect(readFileSync(file)).toEqual(Buffer.from(toOnnx(graph, 'a', undefined, new Map(parameters))));
    expect(readdirSync(folder)).not.toContain('whole.onnx.data');
  });

  it('has its weights beside it where they do not, and ONNX Runtime computes the same', async () => {
    const [whole, parted] = ['whole.onnx', 'parted.onnx'].map((name) => path.join(folder, name)) as [string, string];
    saveOnnx(whole, graph, 'a', parameters);
    saveOnnx(parted, graph, 'a', parameters, 0);
    const bytes = [...parameters.values()].reduce((sum, data) => sum + data.byteLength, 0);
    expect(statSync(`${parted}.data`).size).toBeGreaterThanOrEqual(bytes);
    expect(statSync(parted).size).toBeLessThan(statSync(whole).size - bytes / 2);
    expect(await logitsOf(parted)).toEqual(await logitsOf(whole));
  });
});
