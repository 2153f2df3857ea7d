import path from 'node:path';
import { trainBpe } from '../src/ml/data/bpe-training.ts';
import { openDocuments } from '../src/ml/data/corpus.ts';
import { tokenize } from '../src/ml/data/tokenized-text.ts';
import { loadTokenizer } from '../src/ml/data/tokenizer.ts';
import { type Figure, median, publish } from './figures.ts';

/** How fast a tokenizer is learned and text becomes tokens, on six novels. */
export async function data({
  short,
  json,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
}): Promise<boolean> {
  const startedAt = new Date();
  const folder = path.resolve(import.meta.dirname, '../data/austen');
  const documents = [...openDocuments(['*.txt'], folder).documents()];
  const texts = documents.map((d) => d.text);
  const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6;
  const rounds = short ? 3 : 7;
  const figures: Figure[] = [];
  for (const vocabulary of [1024, 8192]) {
    const learning: number[] = [];
    const encoding: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const startMs = performance.now();
      const json = JSON.stringify(trainBpe(texts, vocabulary));
      learning.push(megabytes / ((performance.now() - startMs) / 1000));
      const tokenizer = loadTokenizer(json, 'bench');
      const encodeMs = performance.now();
      tokenize(tokenizer, documents);
      encoding.push(megabytes / ((performance.now() - encodeMs) / 1000));
    }
    const speed = median(learning);
    figures.push(
      {
        id: `data.bpe-${vocabulary}.learning`,
        value: speed,
        unit: 'MB/s',
        target: '≥ 5 MB/s',
        met: speed >= 5,
        note: `${megabytes.toFixed(1)} MB of text, median of ${rounds}`,
      },
      {
        id: `data.bpe-${vocabulary}.encoding`,
        value: median(encoding),
        unit: 'MB/s',
        target: null,
        met: null,
        note: '',
      },
    );
  }
  publish('data', startedAt, figures, json);
  return true;
}
