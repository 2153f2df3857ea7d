import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchesOf, evaluationBatches } from '../../../src/ml/data/batches.ts';
import { readDocuments, shardOf, splitCorpus } from '../../../src/ml/data/corpus.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-corpus-'));
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(path.join(folder, name), content);
  return name;
};

describe('reading a corpus', () => {
  it('reads text files by glob, in order of their names', () => {
    file('b.txt', 'second');
    file('a.txt', 'first');
    expect(readDocuments(['[ab].txt'], folder).map((d) => d.text)).toEqual(['first', 'second']);
  });

  it('reads one document a line from JSON Lines', () => {
    file('c.jsonl', '{"text": "one"}\n\n{"text": "two", "id": 7}\n');
    expect(readDocuments(['c.jsonl'], folder).map((d) => d.text)).toEqual(['one', 'two']);
  });

  it.each([
    ['a file that is not there', () => 'missing.txt', /missing\.txt .*matches no file.*Correct data\.paths/s],
    ['an empty file', () => file('empty.txt', ''), /empty\.txt is empty/],
    ['nothing but white space', () => file('blank.txt', ' \n\n'), /holds no text/],
    [
      'bytes that are no UTF-8',
      () => file('latin.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9)),
      /latin\.txt is not UTF-8/,
    ],
    ['a line that is not JSON', () => file('bad.jsonl', '{"text": "a"}\nnope\n'), /bad\.jsonl:2 is not JSON/],
    ['a line without text', () => file('no.jsonl', '{"body": "a"}\n'), /no\.jsonl:1 has no "text" that is a string/],
  ])('refuses %s', (_, make, message) => {
    expect(() => readDocuments([make()], folder)).toThrow(message);
  });
});

describe('splitting and sharding', () => {
  const documents = fc
    .array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n'), minLength: 1, maxLength: 400 }), {
      minLength: 1,
      maxLength: 12,
    })
    .map((texts) => texts.map((text, i) => ({ source: `d${i}`, text })));
  const joined = (list: readonly { text: string }[]): string => list.map((d) => d.text).join('');

  it('gives every character to exactly one shard, in order', () => {
    fc.assert(
      fc.property(documents, fc.integer({ min: 1, max: 7 }), (docs, count) => {
        const shards = Array.from({ length: count }, (_, i) => joined(shardOf(docs, i, count)));
        expect(shards.join('')).toBe(joined(docs));
      }),
    );
  });

  it('holds out the end of each document and loses nothing', () => {
    fc.assert(
      fc.property(documents, (docs) => {
        const { training, validation } = splitCorpus(docs, 0.1);
        const whole = docs.length >= 20;
        if (!whole) for (const [i, d] of docs.entries()) expect(training[i]!.text + validation[i]!.text).toBe(d.text);
        expect(joined(training).length + joined(validation).length).toBe(joined(docs).length);
      }),
    );
  });

  it('holds out whole documents where there are many', () => {
    const many = Array.from({ length: 40 }, (_, i) => ({ source: `${i}`, text: `text ${i}` }));
    expect(splitCorpus(many, 0.1).validation.map((d) => d.source)).toEqual(['9', '19', '29', '39']);
  });
});

describe('batches', () => {
  const stream = Uint32Array.from({ length: 1000 }, (_, i) => i);

  it('visits every window of an epoch once, and shuffles anew in the next', () => {
    const source = batchesOf(stream, 3, 10, 1);
    const starts = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, i) => source(from + i)).flatMap((b) =>
        [0, 1, 2].map((row) => Number(b.tokens[row * 10])),
      );
    const first = starts(0, 33);
    const second = starts(33, 66);
    expect(new Set(first).size).toBe(99);
    expect(new Set(second).size).toBe(99);
    expect(second).not.toEqual(first);
  });

  it('is a function of the step alone', () => {
    const forwards = batchesOf(stream, 2, 16, 5);
    const jumping = batchesOf(stream, 2, 16, 5);
    jumping(90);
    expect(jumping(3)).toEqual(forwards(3));
    expect(batchesOf(stream, 2, 16, 6)(3)).not.toEqual(forwards(3));
  });

  it('has the next token as the target of each', () => {
    const { tokens, targets } = batchesOf(stream, 2, 16, 5)(0);
    expect([...targets]).toEqual([...tokens].map((t) => t + 1n));
  });

  it('works on the shortest stream there may be', () => {
    const { tokens } = batchesOf(stream.subarray(0, 11), 2, 10, 1)(7);
    expect([...tokens.subarray(0, 10)]).toEqual([...stream.subarray(0, 10)].map(BigInt));
  });

  it('evaluates windows that are spread over the whole text', () => {
    const starts = evaluationBatches(stream, 2, 10, 50).flatMap((b) => [Number(b.tokens[0]), Number(b.tokens[10])]);
    expect(starts).toEqual([0, 190, 390, 590, 790, 0]);
  });
});
