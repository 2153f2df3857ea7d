import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { explainSystemError } from '../../errors.ts';
import { makeFolder, writeWhole } from '../../files.ts';
import { chatEncoder } from './chat/encode-chat.ts';
import type { Document, Passages } from './corpus.ts';
import { cutText } from './text-pieces.ts';
import { encodeTokens, TokenFile } from './token-file.ts';
import { SILENT, streamOf, type TokenStream } from './token-stream.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Documents as token ids end to end, an end of text after each, and where each begins. */
export interface TokenizedText {
  readonly tokens: TokenStream;
  readonly documents: Float64Array;
}

export interface TokenizeOptions {
  /** Where tokens of a large text are kept, in files that are used again. */
  readonly folder: string;
  /** What they depend on besides the tokenizer: another key, and they are made anew. */
  readonly key: string;
  /** Bytes of text up to which tokens are kept in memory. */
  readonly memoryBytes?: number;
  readonly onProgress?: (share: number) => void;
}

/** Text that is no larger than this is tokenized into memory each time. */
const MEMORY_BYTES = 64 * 2 ** 20;
/** Tokens that are gathered before they are written. */
const BLOCK_TOKENS = 2 ** 18;

/** Tokenizes a small text into memory. */
export function tokenize(tokenizer: Tokenizer, documents: Iterable<Document>): TokenizedText {
  const blocks: Uint32Array[] = [];
  const starts = eachBlock(tokenizer, documents, (block) => blocks.push(block));
  const all = new Uint32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    all.set(block, at);
    at += block.length;
  }
  return { tokens: streamOf(all), documents: starts };
}

/** Tokenizes a text, one larger than memory once into files. @throws HelioError HELIO-3002 when the disk is full */
export function tokenizePassages(tokenizer: Tokenizer, passages: Passages, options: TokenizeOptions): TokenizedText {
  if (passages.bytes <= (options.memoryBytes ?? MEMORY_BYTES)) return tokenize(tokenizer, passages.documents());
  const [tokenFile, documentFile, metaFile] = ['tokens.bin', 'documents.bin', 'meta.json'].map((name) =>
    path.join(options.folder, name),
  ) as [string, string, string];
  const bytesPerToken = tokenizer.vocabularySize <= 0x8000 ? 2 : 4;
  if (!isCurrent(metaFile, options.key)) {
    // From here on the old description is no longer true, whatever happens before the new one is written.
    rmSync(metaFile, { force: true });
    const length = writeTokens(tokenizer, passages, tokenFile, documentFile, bytesPerToken, options.onProgress);
    writeWhole(metaFile, JSON.stringify({ key: options.key, length }));
  }
  const { length } = JSON.parse(readFileSync(metaFile, 'utf8')) as { length: number };
  const bytes = readFileSync(documentFile);
  return {
    tokens: new TokenFile(tokenFile, length, bytesPerToken),
    documents: new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)),
  };
}

function isCurrent(metaFile: string, key: string): boolean {
  if (!existsSync(metaFile)) return false;
  try {
    return (JSON.parse(readFileSync(metaFile, 'utf8')) as { key?: unknown }).key === key;
  } catch {
    return false;
  }
}

/** Writes tokens under another name and gives them theirs when all are there. @returns how many */
function writeTokens(
  tokenizer: Tokenizer,
  passages: Passages,
  tokenFile: string,
  documentFile: string,
  bytesPerToken: 2 | 4,
  onProgress: TokenizeOptions['onProgress'],
): number {
  const temporary = `${tokenFile}.tmp`;
  let length = 0;
  let seenCharacters = 0;
  const counted = function* (): Generator<Document> {
    for (const document of passages.documents()) {
      yield document;
      seenCharacters += document.text.length;
      onProgress?.(Math.min(1, seenCharacters / passages.bytes));
    }
  };
  try {
    makeFolder(path.dirname(tokenFile));
    const descriptor = openSync(temporary, 'w');
    try {
      const starts = eachBlock(tokenizer, counted(), (block) => {
        const bytes = encodeTokens(block, bytesPerToken);
        for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
        length += block.length;
      });
      fsyncSync(descriptor);
      writeWhole(documentFile, new Uint8Array(starts.buffer));
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, tokenFile);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw explainSystemError(error, `keep the tokens of the text in ${tokenFile}`);
  }
  return length;
}

/** Passes tokens on block by block. @returns where each document begins */
function eachBlock(
  tokenizer: Tokenizer,
  documents: Iterable<Document>,
  take: (block: Uint32Array) => void,
): Float64Array {
  const starts: number[] = [];
  let block = new Uint32Array(BLOCK_TOKENS);
  let [used, done] = [0, 0];
  const put = (id: number): void => {
    block[used++] = id;
    if (used < BLOCK_TOKENS) return;
    take(block);
    done += used;
    block = new Uint32Array(BLOCK_TOKENS);
    used = 0;
  };
  let open: OpenDocument | undefined;
  const putText = (text: string, complete: boolean): void => {
    const { whole, rest } = cutText(tokenizer, open!.rest + text, complete);
    for (const piece of whole) {
      for (const id of tokenizer.encode(piece, open!.place)) put(id);
      open!.place = 'goes on';
    }
    open!.rest = rest;
  };
  const encodeChat = chatEncoder(tokenizer);
  for (const { source, text, prompt, conversation, continues } of documents) {
    if (conversation !== undefined) {
      for (const ids of encodeChat(conversation, source)) {
        starts.push(done + used);
        for (const id of ids) put(id);
      }
      continue;
    }
    if (open === undefined) {
      starts.push(done + used);
      // Nobody has to say what a tokenizer puts before every text.
      for (const id of tokenizer.before) put(SILENT + id);
      open = { rest: '', place: 'begins' };
    }
    if (prompt !== undefined && prompt !== '') {
      for (const piece of cutText(tokenizer, prompt, true).whole) {
        for (const id of tokenizer.encode(piece, open.place)) put(SILENT + id);
        open.place = 'goes on';
      }
    }
    putText(text, continues !== true);
    if (continues === true) continue;
    for (const id of tokenizer.after) put(id);
    open = undefined;
  }
  if (open !== undefined) putText('', true);
  take(block.slice(0, used));
  return Float64Array.from(starts);
}

/** A document of which more is to come: what of its text is not encoded yet. */
interface OpenDocument {
  rest: string;
  place: 'begins' | 'goes on';
}
