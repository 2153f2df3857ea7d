import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { loadTokenizer, withEndOfText } from '../../../src/ml/data/tokenizer.ts';
import { ggufTokenizer } from '../../../src/ml/models/gguf-tokenizer.ts';
import type { LanguageConfig } from '../../../src/ml/models/model.ts';
import { loadFolderTokenizer, saveTokenizer, tokenIdsOf } from '../../../src/ml/models/tokenizer-files.ts';
import { FIXTURES } from './reference.ts';

const home = mkdtempSync(path.join(tmpdir(), 'heliotrope-tokenizer-'));
afterAll(() => rmSync(home, { recursive: true }));
const fixtures = `${FIXTURES}/tokenizers`;
const kinds = readdirSync(fixtures).filter((name) => !name.endsWith('.json'));
const model = { architecture: 'llama', contextLength: 64 } as LanguageConfig;
const filesOf = (folder: string): ReadonlyMap<string, string> =>
  new Map(readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));

describe('the files of a tokenizer', () => {
  it.each(kinds)('are saved as they were read, byte for byte: %s', (kind) => {
    const folder = mkdtempSync(path.join(home, 'saved-'));
    saveTokenizer(folder, model, loadFolderTokenizer(`${fixtures}/${kind}`));
    const saved = filesOf(folder);
    for (const [name, text] of filesOf(`${fixtures}/${kind}`)) expect(saved.get(name), name).toBe(text);
    expect([...saved.keys()].filter((name) => !filesOf(`${fixtures}/${kind}`).has(name))).toEqual([
      'generation_config.json',
    ]);
  });

  it('keep the template of chats, the roles of tokens and how they are set to generate', () => {
    const folder = mkdtempSync(path.join(home, 'base-'));
    for (const [name, text] of filesOf(`${fixtures}/llama3`)) writeFileSync(path.join(folder, name), text);
    writeFileSync(path.join(folder, 'generation_config.json'), '{"eos_token_id": [1, 4]}');
    const loaded = loadFolderTokenizer(folder);
    expect(loaded.tokenizer.chatTemplate).toContain('<|start_header_id|>');
    expect(loaded.tokenizer.special).toMatchObject({ bos: '<|begin_of_text|>', eos: '<|eot_id|>' });
    expect(tokenIdsOf(loaded.tokenizer)).toEqual({ bos_token_id: 0, eos_token_id: 4 });
    const saved = mkdtempSync(path.join(home, 'saved-'));
    saveTokenizer(saved, model, loaded);
    expect(filesOf(saved)).toEqual(filesOf(folder));
  });

  it('are made where there is no more than a tokenizer.json: roles are those that are known', () => {
    const folder = mkdtempSync(path.join(home, 'bare-'));
    const tokenizerJson = readFileSync(`${fixtures}/llama2/tokenizer.json`, 'utf8');
    saveTokenizer(folder, model, { tokenizer: loadTokenizer(tokenizerJson, 'bare'), tokenizerJson, beside: {} });
    expect(JSON.parse(filesOf(folder).get('special_tokens_map.json')!)).toEqual({
      bos_token: '<s>',
      eos_token: '</s>',
    });
    expect(loadFolderTokenizer(folder).tokenizer).toMatchObject({ endOfText: '</s>', before: [1], after: [2] });
  });
});

describe('the token that ends a text', () => {
  const bare = JSON.stringify({ ...trainBpe(['to be or not to be'], 258), added_tokens: [] }).replace(
    ',"<|endoftext|>":257',
    '',
  );

  it('is added to a tokenizer without any, for a model that begins here', () => {
    expect(() => loadTokenizer(bare, 'x.json')).toThrow(/nothing says which token ends a text.*eos_token/);
    const mended = loadTokenizer(withEndOfText(bare, 'x.json'), 'x.json');
    expect(mended).toMatchObject({ endOfText: '<|endoftext|>', endOfTextId: 257, vocabularySize: 258 });
    expect(mended.decode(mended.encode('to be'))).toBe('to be');
  });

  it('is another than <|endoftext|> where the tokenizer has its own', () => {
    const json = readFileSync(`${fixtures}/llama2/tokenizer.json`, 'utf8');
    expect(withEndOfText(json, 'x.json')).toBe(json);
    expect(loadTokenizer(json, 'x.json').endOfText).toBe('</s>');
  });

  it('is added behind those that the configuration declares', () => {
    const declared = { 257: { content: '<|pad|>', special: true } };
    const beside = { 'tokenizer_config.json': JSON.stringify({ added_tokens_decoder: declared }) };
    const mended = loadTokenizer(withEndOfText(bare, 'x.json', beside), 'x.json', { beside });
    expect([mended.tokenOf(257), mended.tokenOf(258), mended.endOfTextId]).toEqual(['<|pad|>', '<|endoftext|>', 258]);
  });

  it('that the configuration names has to be there', () => {
    const beside = { 'tokenizer_config.json': '{"eos_token": "<|nowhere|>"}' };
    expect(() => loadTokenizer(bare, 'x.json', { beside })).toThrow(/it has no <\|nowhere\|> token/);
  });
});

describe('a tokenizer in GGUF', () => {
  const entriesOf = (kind: string, rows: number): Readonly<Record<string, unknown>> =>
    Object.fromEntries(
      ggufTokenizer(loadFolderTokenizer(`${fixtures}/${kind}`), rows).map(([key, { value }]) => [
        key.replace('tokenizer.ggml.', ''),
        value,
      ]),
    );

  it.each([
    ['gpt2', { pre: 'gpt-2', bos_token_id: 0, eos_token_id: 0, add_bos_token: false }],
    ['llama3', { pre: 'llama-bpe', bos_token_id: 0, eos_token_id: 4, add_bos_token: true }],
    ['qwen', { pre: 'qwen2', bos_token_id: 2, eos_token_id: 2, padding_token_id: 0, add_bos_token: false }],
    ['smollm', { pre: 'smollm', bos_token_id: 0, eos_token_id: 0, add_bos_token: false }],
  ])('like that of %s has its rule for words and its own tokens', (kind, expected) => {
    expect(entriesOf(kind, 512)).toMatchObject(expected);
  });

  it('fills up rows beyond its tokens as llama.cpp’s converter does', () => {
    const { tokens, token_type: kinds } = entriesOf('gpt2', 512) as Record<string, readonly unknown[]>;
    const { vocabularySize } = loadFolderTokenizer(`${fixtures}/gpt2`).tokenizer;
    expect([tokens!.length, kinds!.length]).toEqual([512, 512]);
    expect([tokens![vocabularySize - 1] === '[PAD399]', tokens![vocabularySize], kinds![511]]).toEqual([
      false,
      `[PAD${vocabularySize}]`,
      5,
    ]);
    expect([kinds![0], kinds![1]]).toEqual([3, 1]);
  });

  // Its pieces, scores and kinds: gguf-tokenizer.test.ts.
  it.each(['llama2', 'mistral', 'gemma'])('is one of SentencePiece: %s', (kind) => {
    const { model, tokens, scores } = entriesOf(kind, 1024) as Record<string, unknown>;
    expect([model, (tokens as unknown[]).length, (scores as unknown[]).length]).toEqual(['llama', 1024, 1024]);
  });

  it.each(['t5', 'xglm', 'bert', 'roberta', 'odd'])(
    'is refused where llama.cpp would read text otherwise: %s',
    (kind) => {
      expect(() => entriesOf(kind, 1024)).toThrow(/GGUF is written for byte-level BPE/);
    },
  );
});
