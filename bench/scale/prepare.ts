import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { windowStarts } from '../../src/ml/data/batches.ts';
import { llamaHiddenWidth } from '../../src/ml/models/llama.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { materialOf, shardSeed, shardsOf } from '../quality/material.ts';
import { SIZES, type SizeName } from '../quality/trial.ts';
import { base } from '../quality/trials.ts';
import type { Job } from './plan.ts';

/**
 * Writes what bench/scale/islands.py reads: plan.json, the islands' texts, where their windows begin and what the models begin with.
 * They are those of `bench quality`, so that a run of the same seed sees the same batches in the same order from the same weights.
 */
export function prepare(folder: string, jobs: readonly Job[]): void {
  const write = (name: string, data: Uint16Array | Uint32Array | Float32Array): void =>
    writeFileSync(path.join(folder, name), data);
  const models = [...new Set(jobs.map(({ model }) => model))];
  for (const model of models) {
    const { validation, test } = materialOf({ corpus: 'austen', model });
    for (const [name, batches] of Object.entries({ validation, test })) {
      write(`${model}-${name}.u16`, Uint16Array.from(batches.flatMap(rowsOf)));
    }
    for (const seed of seedsOf(jobs, (job) => job.model === model))
      write(`${model}-${seed}.f32`, initialOf(model, seed));
    for (const islands of new Set(jobs.flatMap((job) => (job.model === model ? job.islands : [])))) {
      const own = jobs.filter((job) => job.model === model && job.islands === islands);
      const streams = shardsOf({ ...base(model, 1, islands), seed: 1 });
      const { context } = SIZES[model];
      streams.forEach((stream, m) => {
        write(`${model}-${islands}-${m}.u16`, Uint16Array.from(stream.read(0, stream.length)));
        const windows = Math.max(...own.map(({ steps, batch }) => steps * batch));
        for (const seed of seedsOf(own)) {
          const start = windowStarts(stream.length, context, shardSeed(seed, m));
          write(
            `${model}-${islands}-${m}-${seed}.u32`,
            Uint32Array.from({ length: windows }, (_, i) => start(i)),
          );
        }
      });
    }
  }
  const sizes = Object.fromEntries(
    models.map((model) => [model, { ...SIZES[model], hidden: llamaHiddenWidth(SIZES[model].width) }]),
  );
  writeFileSync(path.join(folder, 'plan.json'), JSON.stringify({ sizes, jobs }));
}

const seedsOf = (jobs: readonly Job[], where: (job: Job) => boolean = () => true): ReadonlySet<number> =>
  new Set(jobs.filter(where).flatMap(({ runs }) => runs.map(({ seed }) => seed)));

/** Each row of a batch with the token that follows it. */
function rowsOf({ input, targets, shape }: ReturnType<typeof materialOf>['test'][number]): readonly number[] {
  const [rows, context] = shape as readonly [number, number];
  return Array.from({ length: rows }, (_, r) => [
    ...Array.from(input.slice(r * context, (r + 1) * context), Number),
    Number(targets[(r + 1) * context - 1]),
  ]).flat();
}

/** All parameters, those of a kind together: embedding, norms, square matrices of attention, gate and up, down. */
function initialOf(model: SizeName, seed: number): Float32Array {
  const parameters = initializeParameters(parametersOf(materialOf({ corpus: 'austen', model }).model), seed);
  const layers = Array.from({ length: SIZES[model].layers }, (_, i) => `model.layers.${i}`);
  const names = [
    'model.embed_tokens',
    ...layers.flatMap((l) => [`${l}.input_layernorm`, `${l}.post_attention_layernorm`]),
    'model.norm',
    ...layers.flatMap((l) => ['q', 'k', 'v', 'o'].map((x) => `${l}.self_attn.${x}_proj`)),
    ...layers.flatMap((l) => [`${l}.mlp.gate_proj`, `${l}.mlp.up_proj`]),
    ...layers.map((l) => `${l}.mlp.down_proj`),
  ];
  return Float32Array.from(names.flatMap((name) => [...parameters.get(`${name}.weight`)!]));
}
