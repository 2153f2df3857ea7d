import { existsSync } from 'node:fs';
import path from 'node:path';
import { writeWhole } from '../../files.ts';
import { BESIDE, type FilesBeside } from '../data/tokenizer/special-tokens.ts';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer.ts';
import type { LanguageConfig, TokenIds } from './model.ts';
import { readText } from './shards.ts';

/** A tokenizer and its files as they are: they are written again byte for byte. */
export interface FolderTokenizer {
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: string;
  readonly beside: FilesBeside;
}

/** The tokenizer of a folder in Hugging Face layout. @throws HelioError HELIO-3001, HELIO-1004 */
export function loadFolderTokenizer(folder: string): FolderTokenizer {
  const file = path.join(folder, 'tokenizer.json');
  const tokenizerJson = readText(file);
  const beside = filesBeside(file);
  return { tokenizer: loadTokenizer(tokenizerJson, file, { beside }), tokenizerJson, beside };
}

/** What lies beside a `tokenizer.json` and belongs to it. */
export function filesBeside(tokenizerFile: string): FilesBeside {
  const places = BESIDE.map((name) => [name, path.join(path.dirname(tokenizerFile), name)] as const);
  return Object.fromEntries(
    places.filter(([, place]) => existsSync(place)).map(([name, place]) => [name, readText(place)]),
  );
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Writes what `transformers` needs besides the weights to use a language model: the files that there are, and what is missing. */
export function saveTokenizer(
  folder: string,
  model: LanguageConfig,
  { tokenizer, tokenizerJson, beside }: FolderTokenizer,
): void {
  const all: Record<string, string> = {
    'generation_config.json': json({ ...tokenIdsOf(tokenizer), do_sample: true, temperature: 0.8 }),
    ...(beside['tokenizer_config.json'] === undefined ? describe(model, tokenizer) : {}),
    ...beside,
    'tokenizer.json': tokenizerJson,
  };
  for (const [name, text] of Object.entries(all)) writeWhole(path.join(folder, name), text);
}

/** The numbers of the tokens that begin and end a text, as `config.json` has them. */
export function tokenIdsOf({ special, before, endOfTextId, idOf }: Tokenizer): TokenIds {
  const begin = special.bos === undefined ? before[0] : idOf(special.bos);
  return { bos_token_id: begin ?? endOfTextId, eos_token_id: endOfTextId };
}

/** For a tokenizer of which there is no more than its `tokenizer.json`. */
function describe(model: LanguageConfig, { special, before, endOfText, tokenOf }: Tokenizer): Record<string, string> {
  const begin = before[0] === undefined ? endOfText : tokenOf(before[0]);
  const roles = { bos: begin, eos: endOfText, ...special };
  const tokens = Object.fromEntries(Object.entries(roles).map(([role, token]) => [`${role}_token`, token]));
  return {
    'tokenizer_config.json': json({
      tokenizer_class: 'PreTrainedTokenizerFast',
      model_max_length: model.contextLength,
      ...tokens,
    }),
    'special_tokens_map.json': json(tokens),
  };
}
