import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openCorpus, openDocuments, openWhole, type Passages } from '../../../src/ml/data/corpus.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-corpus-'));
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(path.join(folder, name), content);
  return name;
};
const texts = (passages: Passages): readonly string[] => [...passages.documents()].map((d) => d.text);
const joined = (passages: Passages): string => texts(passages).join('');
const read = (...names: readonly string[]) => texts(openDocuments(names, folder));

const UTF16 = /utf16\.(txt|jsonl) is not UTF-8: it looks like UTF-16\. Convert it: iconv -f UTF-16 -t UTF-8/;

describe('reading a corpus', () => {
  it('reads text files by glob, in order of their names', () => {
    file('b.txt', 'second');
    file('a.txt', 'first');
    expect(read('[ab].txt')).toEqual(['first', 'second']);
  });

  it('reads one document a line from JSON Lines, and prompts apart from what follows them', () => {
    file('c.jsonl', '{"text": "one"}\n\n{"prompt": "two?", "completion": "yes", "id": 7}');
    expect([...openDocuments(['c.jsonl'], folder).documents()]).toEqual([
      { source: path.join(folder, 'c.jsonl:1'), text: 'one' },
      { source: path.join(folder, 'c.jsonl:3'), prompt: 'two?', text: 'yes' },
    ]);
  });

  it('reads a long text piece by piece, and says that it goes on', () => {
    const line = `${'é'.repeat(50)}\n`;
    const long = line.repeat(30_000);
    file('long.txt', long);
    const pieces = [...openDocuments(['long.txt'], folder).documents()];
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.map((p) => p.text).join('')).toBe(long);
    expect(pieces.map((p) => p.continues === true)).toEqual(pieces.map((_, i) => i < pieces.length - 1));
  });

  it.each([
    ['a file that is not there', () => 'missing.txt', /missing\.txt .*matches no file.*Correct data\.paths/s],
    ['an empty file', () => file('empty.txt', ''), /empty\.txt is empty/],
    ['nothing but white space', () => file('blank.txt', ' \n\n'), /holds no text/],
    [
      'bytes that are no UTF-8',
      () => file('latin.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9)),
      /latin\.txt is not UTF-8: it looks like Latin-1\..*iconv -f LATIN1 -t UTF-8/,
    ],
    [
      'Windows-1252, also far behind the beginning',
      () =>
        file('windows.txt', Buffer.concat([Buffer.from('plain text\n'.repeat(200_000)), Buffer.of(0x93, 0x61, 0x94)])),
      /windows\.txt is not UTF-8: it looks like Windows-1252, from byte \d{7} on/,
    ],
    ['UTF-16 with its mark', () => file('utf16.txt', Buffer.from('\ufeffUnicode, as Windows says', 'utf16le')), UTF16],
    ['UTF-16 without', () => file('utf16.jsonl', Buffer.from('{"text": "with no mark"}', 'utf16le')), UTF16],
    [
      'UTF-16 the other way round',
      () => file('utf16be.txt', Buffer.from('big end first', 'utf16le').swap16()),
      /utf16be\.txt is not UTF-8: it looks like UTF-16/,
    ],
    [
      'what is packed and does not say so',
      () => file('packed.txt', gzipSync('text')),
      /looks like gzip\. Give it the ending \.gz/,
    ],
    ['a line that is not JSON', () => file('bad.jsonl', '{"text": "a"}\nnope\n'), /bad\.jsonl:2 is not JSON/],
    [
      'a line without text',
      () => file('no.jsonl', '{"body": "a"}\n'),
      /no\.jsonl:1 has no "text" that is a string.*it has "body".*data\.field/s,
    ],
    ['a line that is no object', () => file('number.jsonl', '7\n'), /number\.jsonl:1 is not JSON/],
  ])('refuses %s', (_, make, message) => {
    expect(() => read(make())).toThrow(message);
  });
});

describe('the field that is the text', () => {
  const lines = [
    { content: 'one', text: 'not this' },
    { content: null },
    { content: '', text: 'x' },
    { content: 'two' },
  ];
  it('is the one that the run names; where it is null there is no document', () => {
    const place = path.join(folder, file('fields.jsonl', lines.map((line) => JSON.stringify(line)).join('\n')));
    expect(texts(openWhole([place], 'content'))).toEqual(['one', '', 'two']);
    expect(() => texts(openWhole([place], 'body'))).toThrow(/fields\.jsonl:1 has no "body".*Correct data\.field/);
    expect(() => texts(openWhole([place], '__proto__'))).toThrow(/has no "__proto__"/);
  });
});

describe('splitting and sharding', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'é', ' ', '\n'), minLength: 1, maxLength: 400 });
  let number = 0;
  const corpusOf = (contents: readonly string[]) => {
    number++;
    const names = contents.map((content, i) => file(`p${number}-${String(i).padStart(3, '0')}.txt`, `x${content}`));
    return { corpus: openCorpus(names, folder, 0.1), all: contents.map((content) => `x${content}`) };
  };

  it('gives every character of the training text to exactly one shard, in order', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 7 }), (contents, count) => {
        const { corpus } = corpusOf(contents);
        const shards = Array.from({ length: count }, (_, i) => joined(corpus.shard(i, count)));
        expect(shards.join('')).toBe(joined(corpus.training));
      }),
      { numRuns: 40 },
    );
  });

  it('holds out the end of each of few files, and loses nothing', () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (contents) => {
        const { corpus, all } = corpusOf(contents);
        const [training, validation] = [joined(corpus.training), joined(corpus.validation)];
        expect(training.length + validation.length).toBe(all.join('').length);
        if (contents.length === 1) expect(training + validation).toBe(all[0]);
      }),
      { numRuns: 40 },
    );
  });

  it('holds out whole files where there are many', () => {
    const { corpus } = corpusOf(Array.from({ length: 40 }, (_, i) => `text ${i}`));
    expect(texts(corpus.validation)).toEqual(['xtext 9', 'xtext 19', 'xtext 29', 'xtext 39']);
    expect(texts(corpus.training)).toHaveLength(36);
  });

  it('holds out whole lines of JSON Lines, and shards the others by line', () => {
    const lines = Array.from({ length: 60 }, (_, i) => JSON.stringify({ text: `line ${i} ${'.'.repeat(i)}` }));
    file('many.jsonl', `${lines.join('\n')}\n`);
    const corpus = openCorpus(['many.jsonl'], folder, 0.1);
    expect(texts(corpus.validation).map((t) => t.split(' ')[1])).toEqual(['9', '19', '29', '39', '49', '59']);
    const shards = Array.from({ length: 4 }, (_, i) => texts(corpus.shard(i, 4)));
    expect(shards.flat()).toEqual(texts(corpus.training));
    expect(shards.flat()).toHaveLength(54);
    expect(Math.min(...shards.map((s) => s.length))).toBeGreaterThan(5);
  });

  it.each([0.1, 0.3, 0.35, 0.4])('holds out the share %d of lines and of files', (share) => {
    file('share.jsonl', Array.from({ length: 1_000 }, (_, i) => `{"text": "${i}"}`).join('\n'));
    expect(texts(openCorpus(['share.jsonl'], folder, share).validation)).toHaveLength(Math.round(1_000 * share));
    const { corpus } = corpusOf(Array.from({ length: 40 }, (_, i) => `text ${i}`));
    expect(texts(corpus.validation)).toHaveLength(4);
  });

  it('counts the lines of all files together, and blank ones not at all: each document whole', () => {
    const names = Array.from({ length: 30 }, (_, f) =>
      file(
        `little${f}.jsonl`,
        [0, 1, 2].map((i) => `${JSON.stringify({ prompt: `${f}?`, completion: `answer ${3 * f + i}` })}\n\n`).join(''),
      ),
    );
    const corpus = openCorpus(names, folder, 0.1);
    expect(texts(corpus.validation)).toEqual([9, 19, 29, 39, 49, 59, 69, 79, 89].map((i) => `answer ${i}`));
    expect(texts(corpus.training)).toHaveLength(81);
    const shards = Array.from({ length: 4 }, (_, i) => texts(corpus.shard(i, 4)));
    expect(shards.flat()).toEqual(texts(corpus.training));
  });

  it('never cuts a completion: of few prompts the last one is held out', () => {
    for (const count of [2, 5, 9, 10, 19]) {
      const lines = Array.from({ length: count }, (_, i) => JSON.stringify({ prompt: 'p', completion: `all of ${i}` }));
      file('prompts.jsonl', lines.join('\n'));
      const corpus = openCorpus(['prompts.jsonl'], folder, 0.1);
      expect(texts(corpus.validation)).toEqual([`all of ${count === 19 ? 9 : count - 1}`]);
      expect([...texts(corpus.training), ...texts(corpus.validation)].sort()).toEqual(
        lines.map((line) => (JSON.parse(line) as { completion: string }).completion).sort(),
      );
    }
  });

  it('cuts a text without lines between words, one without words between characters', () => {
    for (const [content, held] of [
      ['one two three four five six seven eight nine ten', 'ten'],
      ['é'.repeat(100), 'é'.repeat(10)],
      [`${'word '.repeat(40_000)}${'é'.repeat(5_000)}`, undefined],
    ] as const) {
      file('one.txt', content);
      const corpus = openCorpus(['one.txt'], folder, 0.1);
      expect(joined(corpus.training) + joined(corpus.validation)).toBe(content);
      if (held !== undefined) expect(joined(corpus.validation)).toBe(held);
      expect(joined(corpus.validation).length).toBeGreaterThan(0);
      const shards = Array.from({ length: 4 }, (_, i) => joined(corpus.shard(i, 4)));
      expect(shards.join('')).toBe(joined(corpus.training));
      expect(shards.every((shard) => shard.length > 0)).toBe(true);
    }
  });

  it('holds out the end of each of few lines', () => {
    file('few.jsonl', ['0123456789', 'abcdefghij'].map((t) => JSON.stringify({ text: t })).join('\n'));
    const corpus = openCorpus(['few.jsonl'], folder, 0.2);
    expect(texts(corpus.training)).toEqual(['01234567', 'abcdefgh']);
    expect(texts(corpus.validation)).toEqual(['89', 'ij']);
  });
});
