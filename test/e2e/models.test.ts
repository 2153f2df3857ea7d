import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gguf } from '@huggingface/gguf';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/cli/records.ts';
import { loadWeights } from '../../src/ml/models/hugging-face.ts';
import { loadFolderTokenizer } from '../../src/ml/models/tokenizer-files.ts';
import { ROOT, run, scratch, tinyRun } from './command.ts';

const folder = scratch();
const train = async (file: string, ...more: readonly string[]): Promise<Summary> => {
  const { status, stdout, stderr } = await run(['train', file, '--json', ...more], folder);
  expect([status, stderr.includes('crashed')], stderr).toEqual([0, false]);
  return JSON.parse(stdout) as Summary;
};
const write = (name: string, content: object): string => {
  const file = path.join(folder, `${name}.yaml`);
  writeFileSync(file, JSON.stringify({ name, ...content }));
  return file;
};

describe('models of other kinds', () => {
  it('a table: islands learn one classifier from CSV, and eval measures it again', async () => {
    const summary = await train(path.join(ROOT, 'examples/table.yaml'));
    expect((await run(['receipts', 'irises'], folder)).stdout).toMatch(/^island-1 +20 merges +[\d,]+ examples {2}last/);
    expect(summary.accuracy!.after!).toBeGreaterThan(0.9);
    expect(summary).toMatchObject({ perplexity: null, samples: null, vocabularySize: null, skippedSteps: 0 });
    expect(loadWeights(path.join(folder, 'runs/irises')).model).toMatchObject({
      architecture: 'mlp',
      inputs: 4,
      outputs: 3,
    });
    const { stdout } = await run(['eval', 'irises', '--json'], folder);
    const result = JSON.parse(stdout) as { loss: number; accuracy: number };
    expect(result.accuracy).toBeCloseTo(summary.accuracy!.after!, 5);
    expect(result.loss).toBeCloseTo(summary.validationLoss.after!, 4);
    const report = readFileSync(path.join(folder, 'runs/irises/report.html'), 'utf8');
    expect(report).toContain('Held-out examples right');
    expect(report).not.toContain('Perplexity');
  });

  it('images: islands learn a convolutional network from IDX files', async () => {
    const summary = await train(path.join(ROOT, 'examples/images.yaml'));
    expect(summary.accuracy!.before!).toBeLessThan(0.3);
    expect(summary.accuracy!.after!).toBeGreaterThan(0.9);
    const { stdout } = await run(['eval', 'digits'], folder);
    expect(stdout).toMatch(/nats an example · 9\d\.\d\d % right/);
  });

  it('images: a perceptron reads them too', async () => {
    const digits = path.join(ROOT, 'data/digits');
    const file = write('flat', {
      model: { architecture: 'mlp', hidden: [32] },
      data: { images: path.join(digits, 'images.idx.gz'), labels: path.join(digits, 'labels.idx.gz') },
      islands: 2,
      batch: 32,
      inner: { rate: 0.02 },
      stop: { steps: 60 },
    });
    expect((await train(file)).accuracy!.after!).toBeGreaterThan(0.8);
  });

  it('a regression: the error falls, and is called by its name', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => {
      const [x, z] = [((i * 37) % 100) / 50 - 1, ((i * 61) % 100) / 50 - 1];
      return `${x},${z},${(3 * x - 2 * z + 1).toFixed(4)}`;
    });
    writeFileSync(path.join(folder, 'plane.csv'), `x,z,y\n${rows.join('\n')}\n`);
    const file = write('plane', {
      model: { architecture: 'mlp', task: 'regression', hidden: [16] },
      data: { table: 'plane.csv', target: 'y' },
      islands: 2,
      inner: { optimizer: 'sgd', rate: 0.05 },
      stop: { steps: 200 },
    });
    const summary = await train(file);
    expect(summary.validationLoss.before!).toBeGreaterThan(0.5);
    expect(summary.validationLoss.after!).toBeLessThan(0.01);
    expect((await run(['eval', 'plane'], folder)).stdout).toMatch(/^mean squared error 0\.0\d+ .*R² 0\.99/);
  });

  it('a regression of several targets, whatever their units: all are learned alike, and predicted in their own', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => {
      const [x, z] = [((i * 37) % 100) / 50 - 1, ((i * 61) % 100) / 50 - 1];
      return [x, z, 3 * x - 2 * z + 2, 1e5 * (3 * x - 2 * z + 2), 1e-4 * (x + z)];
    });
    const lines = rows.map((row) => row.join());
    writeFileSync(path.join(folder, 'units.csv'), `x,z,small,large,tiny\n${lines.join('\n')}\n`);
    const { validationLoss } = await train(
      write('units', {
        model: { architecture: 'mlp', task: 'regression', hidden: [16] },
        data: { table: 'units.csv', target: ['small', 'large', 'tiny'] },
        islands: 1,
        inner: { optimizer: 'sgd', rate: 0.05 },
        stop: { steps: 200 },
      }),
    );
    // All three count alike; in their own units the large one is nearly all of the error.
    expect(validationLoss.after!).toBeLessThan(0.02);
    const { loss, r2 } = JSON.parse((await run(['eval', 'units', '--json'], folder)).stdout) as Record<string, number>;
    expect(r2).toBeGreaterThan(0.98);
    expect(loss).toBeGreaterThan(1e5);
    const card = readFileSync(path.join(folder, 'runs/units/README.md'), 'utf8');
    expect(card).toContain('mean squared error / variance of the target');
  });

  it('prompts and completions, padded, in micro-batches with dropout and recomputation: the same bits each time', async () => {
    const lines = Array.from({ length: 300 }, (_, i) =>
      JSON.stringify({ prompt: `What comes after ${i}?`, completion: ` After ${i} comes ${i + 1}.` }),
    );
    writeFileSync(path.join(folder, 'after.jsonl'), lines.join('\n'));
    const content = {
      data: { paths: ['after.jsonl'], packing: false },
      tokenizer: { vocabularySize: 300 },
      model: { layers: 1, width: 32, heads: 2, keyValueHeads: 1 },
      context: 48,
      batch: 8,
      islands: 2,
      inner: { dropout: 0.1, labelSmoothing: 0.05, microBatches: 4, recompute: true, schedule: 'wsd', warmUpSteps: 5 },
      outer: { innerSteps: 10 },
      checkpoints: { everyMerges: 1 },
      stop: { steps: 40 },
    };
    const summary = await train(write('after', content));
    expect(summary.validationLoss.after!).toBeLessThan(summary.validationLoss.before! - 0.5);
    const weights = (name: string) => readFileSync(path.join(folder, 'runs', name, 'model.safetensors'));
    await train(write('again', content));
    expect(weights('again')).toEqual(weights('after'));
    await train(write('other', { ...content, seed: 2 }));
    expect(weights('other')).not.toEqual(weights('after'));
  });
});

describe('from a base to adapters to other programs', () => {
  let base: Summary;
  beforeAll(async () => {
    base = await train(tinyRun(folder, 'base', { stop: { steps: 60 }, islands: 2 }));
  });

  it('adapters of a base that was trained here learn another text; the base stays as it is', async () => {
    const before = readFileSync(path.join(folder, 'runs/base/model.safetensors'));
    const summary = await train(
      write('adapted', {
        model: { base: 'runs/base', lora: { rank: 4, targets: ['q_proj', 'v_proj', 'up_proj', 'down_proj'] } },
        data: path.join(ROOT, 'data/moby-dick/moby-dick.txt'),
        context: 64,
        batch: 4,
        islands: 2,
        inner: { optimizer: 'adamw', rate: 0.01, warmUpSteps: 5 },
        outer: { innerSteps: 20 },
        evaluation: { tokens: 8192 },
        stop: { steps: 60 },
      }),
    );
    expect(summary.validationLoss.after!).toBeLessThan(summary.validationLoss.before! - 0.05);
    expect(summary.trainedParameters).toBeLessThan(summary.parameters / 5);
    expect(summary.bytesPerIslandDataParallel).toBe(8 * summary.trainedParameters * 60);
    expect(readFileSync(path.join(folder, 'runs/base/model.safetensors'))).toEqual(before);
    // What is saved beside the adapters has them folded in, and measures the same.
    const { stdout } = await run(['eval', 'adapted', '--json', '--tokens', '8192'], folder);
    expect((JSON.parse(stdout) as { loss: number }).loss).toBeCloseTo(summary.validationLoss.after!, 2);
    expect(base.parameters).toBe(summary.parameters - summary.trainedParameters);
  });

  it('sample streams, and the same seed says the same', async () => {
    const sample = (...more: readonly string[]) =>
      run(
        ['sample', 'base', '--prompt', 'It is', '--tokens', '30', '--top-k', '20', '--top-p', '0.9', ...more],
        folder,
      );
    const [a, b, other] = [await sample(), await sample(), await sample('--seed', '2')];
    expect(a.status).toBe(0);
    expect(a.stdout.startsWith('It is')).toBe(true);
    expect(a.stdout).toBe(b.stdout);
    expect(other.stdout).not.toBe(a.stdout);
  });

  it('export to ONNX: ONNX Runtime computes the logits that greedy sampling follows', async () => {
    const out = path.join(folder, 'base.onnx');
    expect((await run(['export', 'base', '--format', 'onnx', '--out', out], folder)).status).toBe(0);
    const { model } = loadWeights(path.join(folder, 'runs/base'));
    const { tokenizer } = loadFolderTokenizer(path.join(folder, 'runs/base'));
    if (model.architecture !== 'llama') throw new Error('the default model is a Llama');
    const session = await InferenceSession.create(out);
    expect([session.inputNames, session.outputNames]).toEqual([['input_ids'], ['logits']]);
    const ids = [...tokenizer.encode('It is')];
    for (let i = 0; i < 8; i++) {
      const window = new BigInt64Array(model.contextLength);
      ids.forEach((id, place) => {
        window[place] = BigInt(id);
      });
      const { logits } = await session.run({ input_ids: new Tensor('int64', window, [1, model.contextLength]) });
      const row = (logits!.data as Float32Array).subarray(
        (ids.length - 1) * model.vocabularySize,
        ids.length * model.vocabularySize,
      );
      ids.push(row.indexOf(row.reduce((max, x) => Math.max(max, x))));
    }
    const { stdout } = await run(
      ['sample', 'base', '--prompt', 'It is', '--tokens', '8', '--temperature', '0'],
      folder,
    );
    expect(stdout.trimEnd()).toBe(tokenizer.decode(ids).trimEnd());
  });

  it.each(['f32', 'f16', 'q8_0'])('export to GGUF %s: Hugging Face’s parser reads it', async (type) => {
    const { stdout, status } = await run(['export', 'base', '--format', 'gguf', '--type', type, '--json'], folder);
    expect(status).toBe(0);
    const { out } = JSON.parse(stdout) as { out: string };
    const { metadata, tensorInfos } = await gguf(out, { allowLocalFile: true });
    expect(metadata).toMatchObject({ 'general.architecture': 'llama', 'llama.context_length': 64 });
    expect(tensorInfos).toHaveLength(2 * 9 + 2);
  });

  it('export to transformers writes a folder that is complete', async () => {
    const out = path.join(folder, 'for-transformers');
    await run(['export', 'base', '--format', 'transformers', '--out', out], folder);
    for (const file of [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'generation_config.json',
    ])
      expect(existsSync(path.join(out, file)), file).toBe(true);
    expect(loadWeights(out)).toEqual(loadWeights(path.join(folder, 'runs/base')));
  });

  it('export to PEFT is for runs with adapters', async () => {
    const refused = await run(['export', 'base', '--format', 'peft'], folder);
    expect([refused.status, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/has no adapters.*--format transformers/s),
    ]);
    const out = path.join(folder, 'adapter');
    expect((await run(['export', 'adapted', '--format', 'peft', '--out', out], folder)).status).toBe(0);
    expect(existsSync(path.join(out, 'adapter_model.safetensors'))).toBe(true);
  });

  const python = [process.env.HELIOTROPE_PYTHON, path.join(ROOT, '.heliotrope/python/bin/python')].find(
    (p) => p !== undefined && spawnSync(p, ['-c', 'import transformers, peft'], { stdio: 'ignore' }).status === 0,
  );
  it.skipIf(python === undefined)('transformers and PEFT load what was saved, and compute the same loss', async () => {
    const script = path.join(import.meta.dirname, '../fixtures/check_with_transformers.py');
    const measure = (...args: readonly string[]): number => {
      const { status, stdout, stderr } = spawnSync(python!, ['-W', 'ignore', script, ...args], { encoding: 'utf8' });
      expect(status, stderr).toBe(0);
      return Number(stdout.trim().split('\n').at(-1));
    };
    const text = path.join(folder, 'excerpt.txt');
    writeFileSync(text, readFileSync(path.join(ROOT, 'data/austen/emma.txt'), 'utf8').slice(100_000, 160_000));
    const ours = async (name: string): Promise<number> =>
      (JSON.parse((await run(['eval', name, '--data', text, '--json'], folder)).stdout) as { loss: number }).loss;
    expect(measure(path.join(folder, 'runs/base'), text)).toBeCloseTo(await ours('base'), 3);
    const adapter = path.join(folder, 'runs/adapted/adapter');
    expect(measure(path.join(folder, 'runs/base'), text, adapter)).toBeCloseTo(await ours('adapted'), 3);
  });
});

describe('models that cannot be', () => {
  const refused = async (content: object, ...more: readonly string[]) => {
    const { status, stderr } = await run(['train', write('refused', content), ...more], folder);
    return [status, stderr] as const;
  };
  const novel = path.join(ROOT, 'data/austen/persuasion.txt');
  const iris = { table: path.join(ROOT, 'data/iris/iris.csv'), target: 'species' };

  it.each([
    [
      'a table for a language model',
      { data: iris },
      2,
      /HELIO-1001 model\.architecture llama does not fit data that are a table.*mlp/s,
    ],
    [
      'text for a perceptron',
      { data: novel, model: { architecture: 'mlp' } },
      2,
      /mlp does not fit data that are text/,
    ],
    [
      'a key of another architecture',
      { data: novel, model: { architecture: 'gpt2', stages: [8] } },
      2,
      /refused\.yaml:1:\d+: model\.stages.*does not belong to gpt2, which takes layers, width/,
    ],
    [
      'an unknown architecture',
      { data: novel, model: { architecture: 'bert' } },
      2,
      /model\.architecture is "bert".*llama/,
    ],
    ['adapters of nothing', { data: novel, model: { lora: {} } }, 2, /model\.lora.*needs model\.base/],
    ['a base that is not there', { data: novel, model: { base: 'nowhere' } }, 1, /HELIO-3001 .*nowhere\/config\.json/],
    [
      'micro-batches that do not divide',
      { data: novel, batch: 6, inner: { microBatches: 4 } },
      2,
      /inner\.microBatches 4 does not divide batch 6.*1, 2/s,
    ],
    [
      'a precision that the processor lacks',
      { data: novel, inner: { precision: 'bfloat16' } },
      1,
      /precision is bfloat16, the processor lacks it/,
    ],
  ])('%s', async (_, content, status, message) => {
    const [was, stderr] = await refused({ stop: { steps: 2 }, islands: 1, context: 32, ...content });
    expect([was, stderr]).toEqual([status, expect.stringMatching(message)]);
  });

  it('a device that is not here', async () => {
    const [status, stderr] = await refused({ data: novel }, '--device', 'coreml');
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/HELIO-2003 device coreml is not installed here: ONNX Runtime has cpu/),
    ]);
  });

  it('a number that is none, in the middle of a table', async () => {
    const table = readFileSync(iris.table, 'utf8').split('\n');
    table[77] = table[77]!.replace(/^[^,]+/, 'NaN');
    writeFileSync(path.join(folder, 'nan.csv'), table.join('\n'));
    const [status, stderr] = await refused({ data: { ...iris, table: 'nan.csv' }, model: { architecture: 'mlp' } });
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/HELIO-1003 .*nan\.csv, row 77: sepal_length_cm is "NaN"/),
    ]);
  });

  it('a base with a tensor too few names it, and leaves no run behind', async () => {
    const broken = path.join(folder, 'broken-base');
    cpSync(path.join(ROOT, 'test/fixtures/transformers-llama'), broken, { recursive: true });
    const config = JSON.parse(readFileSync(path.join(broken, 'config.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(path.join(broken, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 3 }));
    const file = write('too-few', { data: novel, model: { base: 'broken-base' } });
    const { status, stderr } = await run(['train', file], folder);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/model\.layers\.2\.input_layernorm\.weight is missing; .*/),
    ]);
    expect(existsSync(path.join(folder, 'runs/too-few'))).toBe(false);
  });
});
