import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { shownPlace } from '../../src/cli/commands/export.ts';
import { initialParameters, prepareRun } from '../../src/cli/prepare-run.ts';
import { readRunFile } from '../../src/cli/run-file.ts';
import { lockRun } from '../../src/cli/run-lock.ts';
import { sharedJob } from '../../src/cli/shared-job.ts';
import { requireWeights } from '../../src/cli/trained-model.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { saveWeights } from '../../src/ml/models/hugging-face.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';

const NOVEL = readFileSync(path.resolve(import.meta.dirname, '../../data/austen/persuasion.txt'), 'utf8');
const scratch = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-prepare-'));

function prepare(folder: string, text: string, more: object = {}) {
  writeFileSync(path.join(folder, 'text.txt'), text);
  const file = path.join(folder, 'run.yaml');
  const small = { layers: 1, width: 16, heads: 2 };
  writeFileSync(file, JSON.stringify({ data: 'text.txt', model: small, context: 16, batch: 2, ...more }));
  const { job } = readRunFile(file);
  return prepareRun(job, folder);
}

describe('a tokenizer that is trained here', () => {
  it('has as many tokens as a short text supports, and that is said', async () => {
    const { tokenizer, notices } = await prepare(scratch(), NOVEL.slice(0, 6_000));
    expect(tokenizer!.vocabularySize).toBeGreaterThan(400);
    expect(tokenizer!.vocabularySize).toBeLessThan(1_024);
    expect(notices).toEqual([
      `The text supports a vocabulary of ${tokenizer!.vocabularySize} tokens, fewer than the usual 1024.`,
    ]);
  });

  it('has the usual size where the text is long enough, without a word', async () => {
    const { tokenizer, notices } = await prepare(scratch(), NOVEL);
    expect([tokenizer!.vocabularySize, notices]).toEqual([1_024, []]);
  });

  it('is refused where the run file asks for more than there is', async () => {
    const more = { tokenizer: { vocabularySize: 1_024 } };
    await expect(prepare(scratch(), NOVEL.slice(0, 6_000), more)).rejects.toThrow(/vocabularySize 1024 is more/);
  });
});

describe('the prompt of the report', () => {
  it('is the first words of the held-out text, which islands are not told', async () => {
    const { job, dataFolder } = await prepare(scratch(), NOVEL);
    const words = NOVEL.split(/\s+/u).join(' ');
    const { prompt } = job.sample;
    expect(prompt!.split(' ')).toHaveLength(4);
    // A tenth is held out, at the end.
    expect(words.indexOf(prompt!) / words.length).toBeGreaterThan(0.85);
    expect(sharedJob(job, dataFolder).job.sample).toEqual({ tokens: 100, temperature: 0.8 });
  });

  it('is what the run file says', async () => {
    const { job } = await prepare(scratch(), NOVEL, { sample: { prompt: 'Anne' } });
    expect(job.sample.prompt).toBe('Anne');
  });
});

describe('a base', () => {
  it('is read, and nothing is drawn that it would replace', async () => {
    const folder = scratch();
    const { model } = await prepare(scratch(), NOVEL, { tokenizer: { vocabularySize: 300 } });
    saveWeights(path.join(folder, 'base'), { model, parameters: initializeParameters(parametersOf(model), 5) });
    writeFileSync(path.join(folder, 'base/tokenizer.json'), JSON.stringify(trainBpe([NOVEL], 300)));
    const prepared = await prepare(folder, NOVEL, { model: { base: 'base' } });
    const initial = initialParameters(prepared) as NonNullable<typeof prepared.base>;
    for (const { name } of parametersOf(prepared.model))
      expect(initial.sources.get(name)).toBe(prepared.base!.sources.get(name));
  });
});

describe('a run without a model', () => {
  it('is under way, or has to be gone on with', () => {
    const folder = scratch();
    const name = path.basename(folder);
    expect(() => requireWeights(folder)).toThrow(`heliotrope serve --resume ${name}`);
    const unlock = lockRun(folder);
    expect(() => requireWeights(folder)).toThrow(/its run is under way.*heliotrope status/s);
    unlock();
  });
});

it('what was exported is shown as it was named', () => {
  expect(shownPlace('/elsewhere/model.gguf', '/elsewhere/model.gguf')).toBe('/elsewhere/model.gguf');
  expect(shownPlace(path.resolve('runs/a.gguf'), undefined)).toBe(path.join('runs', 'a.gguf'));
});
