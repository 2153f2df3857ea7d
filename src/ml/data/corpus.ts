import { globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';

/** One document and where it came from. */
export interface Document {
  readonly source: string;
  readonly text: string;
}

/** Training and held-out text; held out is the end of each document, so that every source is in both. */
export interface Corpus {
  readonly training: readonly Document[];
  readonly validation: readonly Document[];
}

/**
 * Reads text files and JSON Lines (one object with a `text` field a line) that match `patterns`.
 *
 * @param base folder that relative patterns start from
 * @throws HelioError HELIO-1003 when a pattern matches nothing, or a file is empty, unreadable or no text
 */
export function readDocuments(patterns: readonly string[], base: string): readonly Document[] {
  const documents = patterns.flatMap((pattern) => expand(pattern, base)).flatMap(readFile);
  if (documents.every((document) => document.text.trim() === '')) {
    throw new HelioError(
      'HELIO-1003',
      `The corpus ${patterns.join(', ')} holds no text.`,
      'Point data.paths at files with text in them.',
    );
  }
  return documents;
}

/**
 * Holds out the last `share` of each document; documents too short to be cut (JSON Lines) are held out whole,
 * every 1/share-th of them.
 */
export function splitCorpus(documents: readonly Document[], share: number): Corpus {
  const whole = documents.length >= Math.ceil(1 / share) * 2;
  if (whole) {
    const every = Math.round(1 / share);
    const heldOut = (i: number) => i % every === every - 1;
    return {
      training: documents.filter((_, i) => !heldOut(i)),
      validation: documents.filter((_, i) => heldOut(i)),
    };
  }
  const cut = documents.map((document) => {
    const at = Math.floor(document.text.length * (1 - share));
    const newline = document.text.indexOf('\n', at);
    return newline === -1 || newline > at + 2000 ? at : newline + 1;
  });
  return {
    training: documents.map((d, i) => ({ source: d.source, text: d.text.slice(0, cut[i]) })),
    validation: documents.map((d, i) => ({ source: d.source, text: d.text.slice(cut[i]) })),
  };
}

/**
 * The part of the training text that belongs to one shard: `count` pieces of nearly equal length, cut at line
 * ends of the documents laid end to end.
 */
export function shardOf(documents: readonly Document[], index: number, count: number): readonly Document[] {
  const total = documents.reduce((sum, d) => sum + d.text.length, 0);
  const from = Math.floor((total * index) / count);
  const to = Math.floor((total * (index + 1)) / count);
  const pieces: Document[] = [];
  let start = 0;
  for (const { source, text } of documents) {
    const begin = lineBoundary(text, from - start);
    const end = lineBoundary(text, to - start);
    if (end > begin) pieces.push({ source, text: text.slice(begin, end) });
    start += text.length;
  }
  return pieces;
}

function lineBoundary(text: string, at: number): number {
  if (at <= 0) return 0;
  if (at >= text.length) return text.length;
  const newline = text.indexOf('\n', at);
  return newline === -1 ? text.length : newline + 1;
}

function expand(pattern: string, base: string): readonly string[] {
  const absolute = path.resolve(base, pattern);
  const found = /[*?[{]/.test(pattern) ? globSync(absolute).sort() : [absolute];
  const files = found.flatMap((file) => {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    return stat.isDirectory() ? globSync(path.join(file, '**/*.{txt,md,jsonl}')).sort() : [file];
  });
  if (files.length === 0) {
    throw new HelioError(
      'HELIO-1003',
      `The corpus ${pattern} (${absolute}) matches no file.`,
      'Correct data.paths; relative paths start at the folder of the run file.',
    );
  }
  return files;
}

function readFile(file: string): readonly Document[] {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new HelioError(
      'HELIO-1003',
      `The corpus file ${file} cannot be read (${code}).`,
      'Check its permissions, or leave it out of data.paths.',
      { cause: error },
    );
  }
  if (bytes.length === 0) {
    throw new HelioError('HELIO-1003', `The corpus file ${file} is empty.`, 'Fill it, or leave it out of data.paths.');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new HelioError(
      'HELIO-1003',
      `The corpus file ${file} is not UTF-8 text.`,
      'Convert it to UTF-8, or leave it out of data.paths.',
    );
  }
  return file.endsWith('.jsonl') ? readJsonLines(file, text) : [{ source: file, text }];
}

function readJsonLines(file: string, content: string): readonly Document[] {
  return content.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const where = `${file}:${index + 1}`;
    let text: unknown;
    try {
      text = (JSON.parse(line) as { text?: unknown } | null)?.text;
    } catch {
      throw new HelioError(
        'HELIO-1003',
        `${where} is not JSON.`,
        'Each line of a .jsonl file has to be one JSON object.',
      );
    }
    if (typeof text !== 'string') {
      throw new HelioError('HELIO-1003', `${where} has no "text" that is a string.`, 'Give each line a "text" field.');
    }
    return [{ source: where, text }];
  });
}
