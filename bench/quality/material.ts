import path from 'node:path';
import { type Batch, type BatchSource, batchesOf, evaluationBatches } from '../../src/ml/data/batches.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { openCorpus } from '../../src/ml/data/corpus.ts';
import { streamOf, type TokenStream } from '../../src/ml/data/token-stream.ts';
import { tokenize } from '../../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../../src/ml/data/tokenizer.ts';
import { llamaHiddenWidth } from '../../src/ml/models/llama.ts';
import type { LanguageConfig } from '../../src/ml/models/model.ts';
import { batchOf, type CorpusName, SIZES, type SizeName, type Trial } from './trial.ts';

/** Text and models of the quality benchmark. */

const ROOT = path.resolve(import.meta.dirname, '../..');
const EVALUATION_TOKENS = 16_384;

export interface Material {
  readonly model: LanguageConfig;
  readonly everything: TokenStream;
  readonly documents: readonly TokenStream[];
  readonly validation: readonly Batch[];
  readonly test: readonly Batch[];
}

const prepared = new Map<string, Material>();

export function materialOf({ corpus, model }: Pick<Trial, 'corpus' | 'model'>): Material {
  const key = `${corpus} ${model}`;
  const material = prepared.get(key) ?? prepare(corpus, model);
  prepared.set(key, material);
  return material;
}

function prepare(corpus: CorpusName, size: SizeName): Material {
  const { vocabulary, context, batch, width, layers, heads } = SIZES[size];
  const text = openCorpus([`data/${corpus}/*.txt`], ROOT, 0.1);
  const json = JSON.stringify(
    trainBpe(
      Array.from(text.training.documents(), (d) => d.text),
      vocabulary,
    ),
  );
  const tokenizer = loadTokenizer(json, 'the tokenizer');
  const heldOut = tokenize(tokenizer, text.validation.documents()).tokens;
  // Settings are chosen by the even batches of the held-out text; the odd ones are for the results.
  const batches = [...evaluationBatches(heldOut, batch, context, 2 * EVALUATION_TOKENS)];
  return {
    model: {
      architecture: 'llama',
      vocabularySize: vocabulary,
      contextLength: context,
      width,
      layers,
      heads,
      keyValueHeads: heads,
      hiddenWidth: llamaHiddenWidth(width),
      tied: true,
      ropeTheta: 10_000,
      normEpsilon: 1e-5,
    },
    everything: tokenize(tokenizer, text.training.documents()).tokens,
    documents: Array.from(text.training.documents(), (document) => tokenize(tokenizer, [document]).tokens),
    validation: batches.filter((_, i) => i % 2 === 0),
    test: batches.filter((_, i) => i % 2 === 1),
  };
}

/** The held-out batches of a half, joined to those that the trial's graph takes. */
export function heldOut(trial: Trial, half: 'validation' | 'test'): readonly Batch[] {
  const batches = materialOf(trial)[half];
  const many = batchOf(trial) / SIZES[trial.model].batch;
  if (!Number.isInteger(batches.length / many))
    throw new Error(`a batch of ${batchOf(trial)} divides no held-out text`);
  return Array.from({ length: batches.length / many }, (_, i) => joined(batches.slice(i * many, (i + 1) * many)));
}

function joined(batches: readonly Batch[]): Batch {
  const { shape, targetShape } = batches[0]!;
  return {
    input: BigInt64Array.from(batches.flatMap(({ input }) => [...(input as BigInt64Array)])),
    shape: [batches.length * shape[0]!, ...shape.slice(1)],
    targets: BigInt64Array.from(batches.flatMap(({ targets }) => [...(targets as BigInt64Array)])),
    targetShape: [batches.length * targetShape[0]!],
    weights: Float32Array.from(batches.flatMap(({ weights }) => [...weights])),
    count: batches.reduce((sum, { count }) => sum + count, 0),
  };
}

/** The text of each island. */
export function shardsOf({ corpus, model, shards, islands }: Trial): readonly TokenStream[] {
  const { everything, documents } = materialOf({ corpus, model });
  const { context } = SIZES[model];
  return Array.from({ length: islands }, (_, m) =>
    shards === 'mixed' ? part(everything, m, islands, context) : documents[m % documents.length]!,
  );
}

/** By what an island's windows are drawn. */
export const shardSeed = (seed: number, island: number): number => 1_000 * seed + island;

/** What each island reads. */
export function sourcesOf(trial: Trial): readonly BatchSource[] {
  const { context } = SIZES[trial.model];
  return shardsOf(trial).map((stream, m) => batchesOf(stream, batchOf(trial), context, shardSeed(trial.seed, m)));
}

/** Every so manieth passage of the text, so that all islands have of every document, and none what another has. */
function part(stream: TokenStream, index: number, count: number, context: number): TokenStream {
  const passage = 16 * context;
  const pieces: number[] = [];
  for (let start = index * passage; start < stream.length; start += count * passage) {
    pieces.push(...stream.read(start, Math.min(passage, stream.length - start)));
  }
  return streamOf(Uint32Array.from(pieces));
}
