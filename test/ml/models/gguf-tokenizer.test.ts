import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writePieces } from '../../../src/files.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';
import { encodeGguf } from '../../../src/ml/models/gguf.ts';
import { ggufDifferences, ggufTokenizer } from '../../../src/ml/models/gguf-tokenizer.ts';
import type { LanguageConfig } from '../../../src/ml/models/model.ts';
import { parametersOf } from '../../../src/ml/models/model.ts';
import { type FolderTokenizer, loadFolderTokenizer } from '../../../src/ml/models/tokenizer-files.ts';
import { initializeParameters } from '../../../src/ml/tensor/parameters.ts';
import { FIXTURES } from './reference.ts';

const folderOf = (kind: string): FolderTokenizer => loadFolderTokenizer(`${FIXTURES}/tokenizers/${kind}`);
const entriesOf = (tokenizer: FolderTokenizer): ReadonlyMap<string, unknown> =>
  new Map(
    ggufTokenizer(tokenizer, tokenizer.tokenizer.vocabularySize).map(([key, { value }]) => [
      key.replace('tokenizer.ggml.', ''),
      value,
    ]),
  );

/** The tokenizer of Llama 2's kind with other parts. */
function changed(parts: (json: Record<string, Record<string, unknown>>) => void): FolderTokenizer {
  const { tokenizerJson, beside } = folderOf('llama2');
  const json = JSON.parse(tokenizerJson) as Record<string, Record<string, unknown>>;
  parts(json);
  const text = JSON.stringify(json);
  return { tokenizer: loadTokenizer(text, 'test', { beside }), tokenizerJson: text, beside };
}

describe('a SentencePiece tokenizer in GGUF', () => {
  it('has a score for each merge, the tokens of bytes, and what stands before a text', () => {
    const entries = entriesOf(folderOf('llama2'));
    expect(Object.fromEntries(entries)).toMatchObject({
      model: 'llama',
      add_space_prefix: true,
      add_bos_token: true,
      add_eos_token: false,
      bos_token_id: 1,
      eos_token_id: 2,
      unknown_token_id: 0,
    });
    const tokens = entries.get('tokens') as readonly string[];
    const kinds = entries.get('token_type') as readonly number[];
    const kindOf = (token: string): number => kinds[tokens.indexOf(token)]!;
    expect([kindOf('<unk>'), kindOf('<s>'), kindOf('<0x0A>'), kindOf('▁t')]).toEqual([2, 3, 6, 1]);
    const scores = entries.get('scores') as readonly number[];
    const { merges } = (JSON.parse(folderOf('llama2').tokenizerJson) as { model: { merges: [string, string][] } })
      .model;
    // What is merged first has the higher score.
    const scoreOf = (pair: readonly string[]): number => scores[tokens.indexOf(pair.join(''))]!;
    for (let i = 1; i < merges.length; i++) expect(scoreOf(merges[i]!)).toBeLessThanOrEqual(scoreOf(merges[i - 1]!));
    expect(entriesOf(folderOf('gemma')).get('add_space_prefix')).toBe(false);
  });

  it.each<[string, Parameters<typeof changed>[0], RegExp]>([
    [
      'merges in an order that no scores say',
      ({ model }) => {
        // Of a token that two merges make, one of them comes last of all.
        const merges = model!.merges as [string, string][];
        const twice = merges.findIndex((pair, i) => pair.join('') === merges[i + 1]?.join(''));
        merges.push(...merges.splice(twice, 1));
      },
      /order of merges/,
    ],
    ['a merge that is missing', ({ model }) => (model!.merges as unknown[]).splice(40, 1), /order of merges/],
    [
      'no token for some byte',
      ({ model }) => {
        const vocabulary = model!.vocab as Record<string, number>;
        const id = vocabulary['<0x41>']!;
        delete vocabulary['<0x41>'];
        vocabulary['<none>'] = id;
      },
      /without a token for every byte/,
    ],
    [
      'a normalizer that llama.cpp has not',
      (json) => {
        json.normalizer = { type: 'Sequence', normalizers: [{ type: 'NFKC' }, json.normalizer] };
      },
      /normalizer Sequence/,
    ],
  ])('is refused with %s', (_, change, message) => {
    expect(() => entriesOf(changed(change))).toThrow(message);
  });

  it('of Unigram is refused', () => {
    expect(() => entriesOf(folderOf('xglm'))).toThrow(/The tokenizer is Unigram/);
  });
});

const library = path.resolve(FIXTURES, '../../.heliotrope/llama-cpp/node_modules/node-llama-cpp');
const { texts, tokenizers } = JSON.parse(readFileSync(`${FIXTURES}/tokenizers/reference.json`, 'utf8')) as {
  readonly texts: readonly string[];
  readonly tokenizers: Readonly<Record<string, { readonly plain: readonly (readonly number[])[] }>>;
};

describe.skipIf(!existsSync(library))('llama.cpp', { timeout: 120_000 }, () => {
  it('makes the ids of texts that Hugging Face’s tokenizers make, but for what is said at the export', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-gguf-tokens-'));
    writeFileSync(path.join(folder, 'texts.json'), JSON.stringify(texts));
    const kinds = ['gpt2', 'llama2', 'llama3', 'mistral', 'gemma', 'qwen', 'smollm'];
    for (const kind of kinds) {
      const tokenizer = folderOf(kind);
      const model: LanguageConfig = {
        ...{ architecture: 'llama', vocabularySize: tokenizer.tokenizer.vocabularySize, contextLength: 16 },
        ...{ width: 32, layers: 1, heads: 2, keyValueHeads: 2, hiddenWidth: 32, tied: true },
        ...{ ropeTheta: 10_000, normEpsilon: 1e-5 },
      };
      const weights = initializeParameters(parametersOf(model), 1);
      writePieces(path.join(folder, `${kind}.gguf`), encodeGguf(model, weights, tokenizer, kind, 'f32'));
    }
    const script = path.join(FIXTURES, 'check_gguf_tokens.mjs');
    const lines = execFileSync(process.execPath, [script, library, folder], { encoding: 'utf8' }).trim().split('\n');
    const got = new Map(
      lines.map((line) => {
        const { tokenizer, ids } = JSON.parse(line) as { tokenizer: string; ids: readonly (readonly number[])[] };
        return [tokenizer, ids] as const;
      }),
    );
    expect([...got.keys()].toSorted()).toEqual(kinds.toSorted());
    for (const kind of kinds) {
      const differ = texts.filter(
        (_, i) => JSON.stringify(got.get(kind)![i]) !== JSON.stringify(tokenizers[kind]!.plain[i]),
      );
      const [difference] = ggufDifferences(folderOf(kind));
      const isSaid = (text: string): boolean =>
        difference === undefined
          ? false
          : difference.includes('NFC')
            ? text.normalize('NFC') !== text
            : /^[ ▁]|<s>|<\/s>|<unk>/.test(text);
      expect([kind, differ.filter((text) => !isSaid(text))]).toEqual([kind, []]);
      expect(differ.length === 0).toBe(difference === undefined);
    }
  });
});
