import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { HelioError } from '../../errors.ts';
import { encodingOf } from './encoding.ts';

/** A file of UTF-8, read by place and in pieces: no more than a piece, or a line, is ever in memory. */
export interface TextFile {
  readonly file: string;
  /** What messages call it: what the user named, where this is what it was unpacked to. */
  readonly name: string;
}

/** Bytes that are read at once. */
const PIECE_BYTES = 2 ** 20;
/** Longest line that is one document. */
const MAX_LINE_BYTES = 2 ** 26;
/** How far a cut in a text may be moved, to where a line or a word ends. */
const CUT_BYTES = 2 ** 16;

const NEWLINE = 10;
const SPACE = 32;
/** The first two bits of a byte inside a UTF-8 character. */
const isInsideCharacter = (byte: number): boolean => (byte & 0xc0) === 0x80;

/** @throws HelioError HELIO-1003 when the file is empty, unreadable, or begins like no UTF-8 */
export function sizeOf(text: TextFile): number {
  const bytes = statSync(text.file).size;
  if (bytes === 0)
    throw new HelioError(
      'HELIO-1003',
      `The corpus file ${text.name} is empty.`,
      'Fill it, or leave it out of data.paths.',
    );
  const encoding = encodingOf(readBytes(text, 0, Math.min(bytes, CUT_BYTES)), bytes > CUT_BYTES);
  if (encoding !== undefined) throw foreign(text, encoding, 0);
  return bytes;
}

const foreign = ({ name }: TextFile, encoding: string, at: number): HelioError =>
  new HelioError(
    'HELIO-1003',
    `The corpus file ${name} is not UTF-8: it looks like ${encoding}${at > 0 ? `, from byte ${at} on` : ''}.`,
    CONVERSIONS[encoding] ?? 'Convert it to UTF-8, or leave it out of data.paths.',
  );

const CONVERSIONS: Readonly<Record<string, string>> = {
  'UTF-16': 'Convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW.',
  'Latin-1': 'Convert it: iconv -f LATIN1 -t UTF-8 OLD > NEW.',
  'Windows-1252': 'Convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW.',
  gzip: 'Give it the ending .gz behind that of its kind, as in texts.jsonl.gz.',
  Zstandard: 'Give it the ending .zst behind that of its kind, as in texts.jsonl.zst.',
  Parquet: 'Give it the ending .parquet.',
};

/** Text of a file's bytes, in pieces that end where a line ends, or a long one anywhere between two characters. */
export function* readPieces(
  text: TextFile,
  begin: number,
  end: number,
  lines: 'whole lines' | 'anywhere',
): Generator<{ readonly text: string; readonly last: boolean }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = begin; at < end; ) {
    const reach = at + PIECE_BYTES;
    const next = reach >= end ? end : lines === 'anywhere' ? cutAt(text, reach, end) : lineStart(text, reach, end);
    const bytes = readBytes(text, at, next);
    let piece: string;
    try {
      piece = decoder.decode(bytes);
    } catch {
      throw foreign(text, encodingOf(bytes, false) ?? 'no text', at);
    }
    at = next;
    yield { text: piece, last: at >= end };
  }
}

/** The first byte at or after `at` that begins a line; `end` when there is none. */
export function lineStart(text: TextFile, at: number, end: number): number {
  for (let from = at; from < end; from += CUT_BYTES) {
    const newline = readBytes(text, from, Math.min(end, from + CUT_BYTES)).indexOf(NEWLINE);
    if (newline !== -1) return from + newline + 1;
    if (from - at > MAX_LINE_BYTES) {
      throw new HelioError(
        'HELIO-1003',
        `The corpus file ${text.name} has a line of more than ${MAX_LINE_BYTES / 2 ** 20} MiB at byte ${at}.`,
        'Break its lines, or leave it out of data.paths.',
      );
    }
  }
  return end;
}

/** A place at or soon after `at` where a line begins, else a word, else a character. */
export function cutAt(text: TextFile, at: number, end: number): number {
  const bytes = readBytes(text, at, Math.min(end, at + CUT_BYTES));
  for (const separator of [NEWLINE, SPACE]) {
    const found = bytes.indexOf(separator);
    // Behind the last separator of all there is nothing.
    if (found !== -1 && at + found + 1 < end) return at + found + 1;
  }
  const character = bytes.findIndex((byte) => !isInsideCharacter(byte));
  return character === -1 ? end : at + character;
}

/** Lines that begin before byte `end`, which begins one, and how many of them hold something. */
export function countLines(text: TextFile, end: number): { readonly lines: number; readonly filled: number } {
  let [lines, filled] = [0, 0];
  let isBlank = true;
  let isOpen = false;
  for (let at = 0; at < end; at += PIECE_BYTES) {
    const bytes = readBytes(text, at, Math.min(end, at + PIECE_BYTES));
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline === -1 ? bytes.length : newline;
      for (let i = from; isBlank && i < to; i++) isBlank = bytes[i]! <= SPACE;
      from = to + 1;
      isOpen = newline === -1;
      if (isOpen) break;
      lines++;
      if (!isBlank) filled++;
      isBlank = true;
    }
  }
  // The last line may have no end.
  return { lines: lines + (isOpen ? 1 : 0), filled: filled + (isOpen && !isBlank ? 1 : 0) };
}

function readBytes({ file, name }: TextFile, begin: number, end: number): Uint8Array {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const bytes = new Uint8Array(end - begin);
    let filled = 0;
    while (filled < bytes.length) {
      const got = readSync(descriptor, bytes, filled, bytes.length - filled, begin + filled);
      if (got === 0) break;
      filled += got;
    }
    return bytes.subarray(0, filled);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new HelioError(
      'HELIO-1003',
      `The corpus file ${name} cannot be read (${code}).`,
      'Check its permissions, or leave it out of data.paths.',
      { cause: error },
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
