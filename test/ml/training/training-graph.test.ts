import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { rowsAtOnce } from '../../../src/ml/engine/cross-entropy.ts';
import { toOnnx } from '../../../src/ml/engine/onnx.ts';
import { floatsOf, floatTensor, intTensor } from '../../../src/ml/engine/session.ts';
import { type LanguageConfig, parametersOf } from '../../../src/ml/models/model.ts';
import { initializeParameters } from '../../../src/ml/tensor/parameters.ts';
import { evaluationGraph, gradientGraph } from '../../../src/ml/training/training-graph.ts';
import { feedsOf, relativeError, runOnce } from '../models/reference.ts';

const options = {
  batchSize: 2,
  precision: 'float32',
  recompute: false,
  dropout: 0,
  labelSmoothing: 0,
  accumulate: false,
} as const;
const llama = { architecture: 'llama', tied: true, ropeTheta: 10_000, normEpsilon: 1e-5 } as const;

describe('constants of a training graph', () => {
  const smol: LanguageConfig = {
    ...llama,
    vocabularySize: 49_152,
    contextLength: 2048,
    width: 576,
    layers: 30,
    heads: 9,
    keyValueHeads: 3,
    hiddenWidth: 1536,
  };
  const llama2: LanguageConfig = {
    ...llama,
    vocabularySize: 32_000,
    contextLength: 4096,
    width: 4096,
    layers: 32,
    heads: 32,
    keyValueHeads: 32,
    hiddenWidth: 11_008,
    tied: false,
  };
  it.each([
    ['SmolLM-135M at 2,048', smol, false, 2],
    ['SmolLM-135M at 2,048, recomputed', smol, true, 2],
    ['SmolLM-135M at 2,047, which blocks do not divide', { ...smol, contextLength: 2047 }, true, 2],
    ['Llama-2-7B at 4,096', llama2, false, 5],
    ['Llama-2-7B at 4,096, recomputed', llama2, true, 5],
  ] as const)('are a few MB for %s, for masks are there once', (_, model, recompute, most) => {
    const { graph } = gradientGraph(model, { ...options, recompute });
    const bytes = graph.constants.reduce((sum, { data }) => sum + data.byteLength, 0);
    expect(bytes / 1e6).toBeLessThan(most);
    expect(toOnnx(graph, 'test').length / 1e6).toBeLessThan(10);
  });
});

describe('the loss in blocks of rows', () => {
  const gpt2: LanguageConfig = {
    architecture: 'gpt2',
    vocabularySize: 307,
    contextLength: 150,
    width: 32,
    layers: 1,
    heads: 2,
  };
  const untied: LanguageConfig = {
    ...llama,
    vocabularySize: 307,
    contextLength: 150,
    width: 32,
    layers: 1,
    heads: 2,
    keyValueHeads: 1,
    hiddenWidth: 64,
    tied: false,
  };
  const adapted: LanguageConfig = { ...gpt2, lora: { rank: 1, alpha: 2, targets: ['c_attn'] } };
  const results = async (model: LanguageConfig, labelSmoothing: number, lossRows: number) => {
    const rows = 2 * model.contextLength;
    const ids = (factor: number) => BigInt64Array.from({ length: rows }, (_, i) => BigInt((i * i * factor) % 307));
    const { graph } = gradientGraph(model, { ...options, labelSmoothing, lossRows });
    const parameters = initializeParameters(parametersOf(model), 1);
    return runOnce(graph, {
      ...feedsOf(model, parameters),
      input: intTensor(ids(7), [2, model.contextLength]),
      targets: intTensor(ids(11), [rows]),
      weights: floatTensor(
        Float32Array.from({ length: rows }, (_, i) => (i % 5 === 0 ? 0 : 1)),
        [rows, 1],
      ),
      lossWeight: floatTensor(Float32Array.of(1 / rows), []),
    });
  };

  it.each([
    ['a tied head', gpt2],
    ['a head of its own', untied],
    ['a frozen head', adapted],
  ] as const)('is the same, and so are all gradients (%s)', async (_, model) => {
    for (const smoothing of [0, 0.1]) {
      const whole = await results(model, smoothing, 300);
      for (const block of [128, 100, 299]) {
        const parts = await results(model, smoothing, block);
        for (const [name, tensor] of Object.entries(whole))
          expect([name, relativeError(floatsOf(parts[name]!), floatsOf(tensor)) < 1e-6]).toEqual([name, true]);
      }
    }
    expect(floatsOf((await results(model, 0, 128)).squares!)[0]).toBeGreaterThan(0);
  });

  it('leaves a small vocabulary as it was, and takes a large one in parts', () => {
    const heads = (model: LanguageConfig): readonly number[][] =>
      [gradientGraph(model, options).graph, evaluationGraph(model, 2)].map(({ nodes }) =>
        nodes.filter(({ op }) => op === 'Head').map(({ outputs }) => outputs[0]!.shape[0]!),
      );
    expect(heads(gpt2)).toEqual([[300], [300]]);
    const long = { ...gpt2, vocabularySize: 49_152, contextLength: 1024 };
    expect(rowsAtOnce(49_152)).toBe(640);
    // The first is there for whoever wants all logits, and not emitted.
    expect(heads(long)).toEqual([
      [2048, 640, 640, 640, 128],
      [2048, 640, 640, 640, 128],
    ]);
  });

  it('never has the logits whole: memory grows by less than one copy, and by more than two without blocks', () => {
    const grows = (...rows: readonly string[]): number => {
      const script = path.join(import.meta.dirname, 'peak-memory.ts');
      const said = execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...rows], {
        encoding: 'utf8',
      });
      const { before, after, logits } = JSON.parse(said) as { before: number; after: number; logits: number };
      return (after - before) / logits;
    };
    expect(grows()).toBeLessThan(0.9);
    expect(grows('256')).toBeLessThan(0.5);
    expect(grows('2048')).toBeGreaterThan(2);
  });
});
