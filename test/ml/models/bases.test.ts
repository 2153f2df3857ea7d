import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parametersOf } from '../../../src/ml/models/model.ts';
import {
  BASE_NAMES,
  expectedOf,
  folderOf,
  furthest,
  measureBase,
  openBase,
  saveForLlamaCpp,
  saveForTransformers,
} from './bases.ts';
import { FIXTURES } from './reference.ts';

const ROOT = path.resolve(FIXTURES, '../..');
/** Forms that llama.cpp has no words for. */
const NO_GGUF = ['gpt2-by-layer', 'gpt2-erf', 'gpt2-unscaled', 'llama-yarn-set', 'qwen2-yarn', 'qwen3-biases'];

describe.each(BASE_NAMES)('the base %s that transformers made', (name) => {
  it('computes, trains, adapts, is saved, exported and generates as it should', { timeout: 120_000 }, async () => {
    const { whole, lora, onnx, gguf, savedAgain, next } = await measureBase(name);
    const { model } = openBase(name);
    expect(whole.logits).toBeLessThan(1e-4);
    expect(whole.trained).toBe(parametersOf(model).length);
    expect(whole.gradients).toBeLessThan(1e-4);
    expect(lora.logits).toBeLessThan(1e-4);
    expect(lora.gradients).toBeLessThan(1e-4);
    expect(onnx).toBeLessThan(1e-4);
    expect(savedAgain).toBe(true);
    expect(next[0]).toBe(next[1]);
    if (NO_GGUF.includes(name)) return expect(gguf).toMatch(/A GGUF file cannot say/);
    if (typeof gguf === 'string') throw new Error(gguf);
    const computed = name.includes('llama3') ? ['rope_freqs.weight'] : [];
    expect(gguf.tensors).toHaveLength(parametersOf(model).length + computed.length);
    expect(gguf.tensors.filter((tensor) => !GGUF_NAME.test(tensor))).toEqual(computed);
    expect(new Set(gguf.tensors).size).toBe(gguf.tensors.length);
  });

  it('keeps every key of its config.json, or says the same in another', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-base-'));
    saveForTransformers(name, folder);
    const config = (place: string) =>
      JSON.parse(readFileSync(path.join(place, 'config.json'), 'utf8')) as Record<string, unknown>;
    const [ours, theirs] = [config(folder), config(folderOf(name))];
    rmSync(folder, { recursive: true });
    const different = Object.keys(theirs).filter((key) => JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]));
    const renamed = ['dtype', 'rope_parameters', 'transformers_version'];
    expect(different.filter((key) => !renamed.includes(key))).toEqual([]);
  });
});

/** Every name that llama.cpp gives to a tensor of these architectures. */
const GGUF_NAME =
  /^(token_embd|position_embd|output_norm|output|blk\.\d+\.(attn_norm|ffn_norm|attn_(q|k|v|qkv|output|q_norm|k_norm)|ffn_(gate|up|down)))\.(weight|bias)$/;

describe('transformers and PEFT', () => {
  const python = [process.env.HELIOTROPE_PYTHON, path.join(ROOT, '.heliotrope/python/bin/python')].find(
    (p) => p !== undefined && spawnSync(p, ['-c', 'import transformers, peft'], { stdio: 'ignore' }).status === 0,
  );
  it.skipIf(python === undefined)(
    'compute the same with the bases and adapters that were saved here',
    () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-bases-'));
      for (const name of BASE_NAMES) saveForTransformers(name, path.join(folder, name));
      const script = path.join(FIXTURES, 'check_bases.py');
      const { status, stdout, stderr } = spawnSync(python!, ['-W', 'ignore', script, folder], { encoding: 'utf8' });
      rmSync(folder, { recursive: true });
      expect(status, stderr).toBe(0);
      const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
      const results = lines.map((line) => JSON.parse(line) as { base: string; whole: number[]; lora: number[] });
      expect(results.map(({ base }) => base)).toEqual(BASE_NAMES);
      const apart = results.filter(({ base, whole, lora }) => {
        const expected = expectedOf(base);
        return furthest(whole, expected.whole.logits) > 1e-4 || furthest(lora, expected.lora.logits) > 1e-4;
      });
      expect(apart.map(({ base }) => base)).toEqual([]);
    },
    300_000,
  );
});

describe('llama.cpp', () => {
  const library = path.join(ROOT, '.heliotrope/llama-cpp/node_modules/node-llama-cpp');
  it.skipIf(!existsSync(library))(
    'loads every file that is exported, and computes the same',
    { timeout: 300_000 },
    () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-gguf-'));
      const names = BASE_NAMES.filter((name) => !NO_GGUF.includes(name));
      for (const name of names) saveForLlamaCpp(name, folder);
      const script = path.join(FIXTURES, 'check_gguf.mjs');
      const { status, stdout, stderr } = spawnSync(process.execPath, [script, library, folder], { encoding: 'utf8' });
      rmSync(folder, { recursive: true });
      expect(status, stderr).toBe(0);
      const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
      const results = lines.map((line) => JSON.parse(line) as { base: string; tokens: number; furthest: number });
      expect(results.map(({ base }) => base).toSorted()).toEqual(names);
      // It keeps keys and values in half precision.
      expect(results.filter(({ tokens, furthest }) => tokens !== 257 || furthest > 1e-3)).toEqual([]);
    },
  );
});
