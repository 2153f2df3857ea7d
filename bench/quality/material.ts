import path from 'node:path';
import { type Batch, type BatchSource, batchesOf, evaluationBatches } from '../../src/ml/data/batches.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { openCorpus } from '../../src/ml/data/corpus.ts';
import { streamOf, type TokenStream } from '../../src/ml/data/token-stream.ts';
import { tokenize } from '../../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../../src/ml/data/tokenizer.ts';
import { llamaHiddenWidth } from '../../src/ml/models/llama.ts';
import type { LanguageConfig } from '../../src/ml/models/model.ts';
import { type CorpusName, SIZES, type SizeName, type Trial } from './trial.ts';

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
  const batches = evaluationBatches(heldOut, batch, context, 2 * EVALUATION_TOKENS);
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

/** What each island reads. */
export function sourcesOf({ corpus, model, shards, islands, seed }: Trial): readonly BatchSource[] {
  const { everything, documents } = materialOf({ corpus, model });
  const { batch, context } = SIZES[model];
  return Array.from({ length: islands }, (_, m) => {
    const stream = shards === 'mixed' ? part(everything, m, islands, context) : documents[m % documents.length]!;
    return batchesOf(stream, batch, context, 1_000 * seed + m);
  });
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
