import { closeSync, globSync, openSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';

/** A document, or a piece of a long one. */
export interface Document {
  readonly source: string;
  readonly text: string;
  /** Goes before the text, is read by the model, and does not count. */
  readonly prompt?: string;
  /** More of the same document follows. */
  readonly continues?: boolean;
}

/** A file of a corpus: one document of text, or one document a line. */
export interface CorpusFile {
  readonly file: string;
  readonly bytes: number;
  readonly kind: 'text' | 'jsonl';
  /** Lines of a .jsonl file. */
  readonly lines: number;
}

/** Some documents of a corpus, read again from the files each time: no more than a piece is ever in memory. */
export interface Passages {
  /** Bytes of the files that this is a part of; of JSON Lines also what the other part has. */
  readonly bytes: number;
  readonly files: readonly CorpusFile[];
  documents(): Iterable<Document>;
}

/** Training and held-out text. */
export interface Corpus {
  readonly files: readonly CorpusFile[];
  readonly training: Passages;
  readonly validation: Passages;
  /** Part `index` of `count` of the training text, of nearly equal bytes. */
  shard(index: number, count: number): Passages;
}

/** Bytes that are read at once. */
const PIECE_BYTES = 2 ** 20;
/** Longest line of a .jsonl file. */
const MAX_LINE_BYTES = 2 ** 26;

/**
 * Opens what matches `patterns`, as {@link openFiles} does.
 *
 * @param base folder that relative patterns start from
 * @throws HelioError HELIO-1003 when a pattern matches nothing, or a file is empty, unreadable or no text
 */
export const openCorpus = (patterns: readonly string[], base: string, share: number): Corpus =>
  openFiles(
    patterns.flatMap((pattern) => filesOf(pattern, base)),
    share,
  );

/**
 * Opens text files and JSON Lines (objects with `text`, or with `prompt` and `completion`).
 *
 * Held out is, by document: of many text files or lines every 1/share-th, of few the end of each.
 *
 * @param places the files, as they are: nothing in their names is a pattern
 * @throws HelioError HELIO-1003 when a file is empty, unreadable or no text
 */
export function openFiles(places: readonly string[], share: number): Corpus {
  const files = places.map(inspect);
  const every = Math.round(1 / share);
  const texts = files.filter(({ kind }) => kind === 'text');
  const wholeFiles = texts.length >= 2 * every;
  let textNumber = 0;
  const parts = files.map((file): FilePart => {
    if (file.kind === 'jsonl')
      return { file, heldOut: { kind: 'lines', every: file.lines >= 2 * every ? every : 0, share } };
    const number = textNumber++;
    if (wholeFiles) return { file, heldOut: { kind: 'whole', held: number % every === every - 1 } };
    return {
      file,
      heldOut: { kind: 'from', byte: lineStart(file.file, Math.floor(file.bytes * (1 - share)), file.bytes) },
    };
  });
  const total = parts.reduce((sum, part) => sum + spanOf(part, false)[1], 0);
  const passages = (held: boolean, from: number, to: number): Passages => ({
    files,
    bytes: to - from,
    documents: () => readParts(parts, held, from, to),
  });
  const heldBytes = parts.reduce((sum, part) => sum + spanOf(part, true)[1] - spanOf(part, true)[0], 0);
  requireText(parts, places);
  return {
    files,
    training: passages(false, 0, total),
    validation: passages(true, 0, heldBytes),
    shard: (index, count) =>
      passages(false, Math.floor((total * index) / count), Math.floor((total * (index + 1)) / count)),
  };
}

/** All documents that match, none held out. */
export const openDocuments = (patterns: readonly string[], base: string): Passages =>
  openWhole(patterns.flatMap((pattern) => filesOf(pattern, base)));

/** All documents of files, as they are: nothing in their names is a pattern, and none is held out. */
export function openWhole(places: readonly string[]): Passages {
  const parts = places.map(inspect).map(
    (file): FilePart => ({
      file,
      heldOut:
        file.kind === 'text'
          ? { kind: 'whole', held: false }
          : { kind: 'lines', every: Number.POSITIVE_INFINITY, share: 0 },
    }),
  );
  const bytes = parts.reduce((sum, part) => sum + part.file.bytes, 0);
  requireText(parts, places);
  return { files: parts.map(({ file }) => file), bytes, documents: () => readParts(parts, false, 0, bytes) };
}

function requireText(parts: readonly FilePart[], patterns: readonly string[]): void {
  for (const held of [false, true]) {
    for (const { text } of readParts(parts, held, 0, Number.MAX_SAFE_INTEGER)) if (text.trim() !== '') return;
  }
  throw new HelioError(
    'HELIO-1003',
    `The corpus ${patterns.slice(0, 5).join(', ')}${patterns.length > 5 ? ' …' : ''} holds no text.`,
    'Point data.paths at files with text in them.',
  );
}

/** What of a file is held out: from a byte on, all or nothing, or lines: every so many-th, or 0 for the end of each. */
interface FilePart {
  readonly file: CorpusFile;
  readonly heldOut:
    | { readonly kind: 'from'; readonly byte: number }
    | { readonly kind: 'whole'; readonly held: boolean }
    | { readonly kind: 'lines'; readonly every: number; readonly share: number };
}

/** The bytes of a file that may hold training or held-out documents. */
function spanOf({ file, heldOut }: FilePart, held: boolean): readonly [begin: number, end: number] {
  switch (heldOut.kind) {
    case 'from':
      return held ? [heldOut.byte, file.bytes] : [0, heldOut.byte];
    case 'whole':
      return heldOut.held === held ? [0, file.bytes] : [0, 0];
    case 'lines':
      return [0, file.bytes];
  }
}

/** Documents of the spans laid end to end, from byte `from` to `to`, both moved on to where a line begins. */
function* readParts(parts: readonly FilePart[], held: boolean, from: number, to: number): Generator<Document> {
  let start = 0;
  for (const part of parts) {
    const [spanBegin, spanEnd] = spanOf(part, held);
    const place = (at: number): number => {
      const byte = Math.min(spanEnd, Math.max(spanBegin, spanBegin + at - start));
      return byte === spanBegin || byte === spanEnd ? byte : lineStart(part.file.file, byte, spanEnd);
    };
    const [begin, end] = [place(from), place(to)];
    start += spanEnd - spanBegin;
    if (end <= begin) continue;
    if (part.file.kind === 'text') yield* readText(part.file.file, begin, end);
    else yield* readLines(part, held, begin, end);
  }
}

function* readText(file: string, begin: number, end: number): Generator<Document> {
  for (const { text, last } of readPieces(file, begin, end)) {
    yield last ? { source: file, text } : { source: file, text, continues: true };
  }
}

function* readLines({ file, heldOut }: FilePart, held: boolean, begin: number, end: number): Generator<Document> {
  if (heldOut.kind !== 'lines') return;
  let number = begin === 0 ? 0 : countLines(file.file, begin);
  for (const { text } of readPieces(file.file, begin, end)) {
    for (const line of text.split('\n')) {
      const index = number++;
      if (line.trim() === '') continue;
      if (heldOut.every > 0) {
        const isHeld = index % heldOut.every === heldOut.every - 1;
        if (isHeld === held) yield parseLine(file.file, index, line);
        continue;
      }
      const document = parseLine(file.file, index, line);
      const cut = Math.floor(document.text.length * (1 - heldOut.share));
      yield { ...document, text: held ? document.text.slice(cut) : document.text.slice(0, cut) };
    }
    // A piece ends with its last line's newline, which splits off an empty string.
    number--;
  }
}

/** Text of a file's bytes, in pieces that end where a line ends. */
function* readPieces(file: string, begin: number, end: number): Generator<{ text: string; last: boolean }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = begin; at < end; ) {
    const next = at + PIECE_BYTES >= end ? end : lineStart(file, at + PIECE_BYTES, end);
    const bytes = readBytes(file, at, next);
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch {
      throw new HelioError(
        'HELIO-1003',
        `The corpus file ${file} is not UTF-8 text between its bytes ${at} and ${next}.`,
        'Convert it to UTF-8, or leave it out of data.paths.',
      );
    }
    at = next;
    yield { text, last: at >= end };
  }
}

/** The first byte at or after `at` that begins a line; `end` when there is none. */
function lineStart(file: string, at: number, end: number): number {
  for (let from = at; from < end; from += 65_536) {
    const bytes = readBytes(file, from, Math.min(end, from + 65_536));
    const newline = bytes.indexOf(10);
    if (newline !== -1) return from + newline + 1;
    if (from - at > MAX_LINE_BYTES) {
      throw new HelioError(
        'HELIO-1003',
        `The corpus file ${file} has a line of more than ${MAX_LINE_BYTES / 2 ** 20} MiB at byte ${at}.`,
        'Break its lines, or leave it out of data.paths.',
      );
    }
  }
  return end;
}

/** Newlines before byte `end`. */
function countLines(file: string, end: number): number {
  let lines = 0;
  for (let at = 0; at < end; at += PIECE_BYTES) {
    const bytes = readBytes(file, at, Math.min(end, at + PIECE_BYTES));
    for (let i = bytes.indexOf(10); i !== -1; i = bytes.indexOf(10, i + 1)) lines++;
  }
  return lines;
}

/** Whether a path is a glob. */
export const GLOB = /[*?[{]/;

/**
 * Files that a path, a folder or a glob names, in order of their names.
 *
 * @param base folder that a relative one starts from; what is in its own name is no pattern
 * @throws HelioError HELIO-1003 when there are none, unless there may be none
 */
export function filesOf(
  pattern: string,
  base: string,
  none: 'is an error' | 'may be none' = 'is an error',
): readonly string[] {
  const absolute = path.resolve(base, pattern);
  const found = GLOB.test(pattern) ? globSync(pattern, { cwd: base }).sort() : [pattern];
  const files = found.flatMap((name) => {
    const file = path.resolve(base, name);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    if (!stat.isDirectory()) return [file];
    const inside = globSync('**/*.{txt,md,jsonl}', { cwd: file }).sort();
    return inside.map((each) => path.join(file, each));
  });
  if (files.length > 0 || none === 'may be none') return files;
  throw new HelioError(
    'HELIO-1003',
    `The corpus ${pattern} (${absolute}) matches no file.`,
    'Correct data.paths; relative paths start at the folder of the run file.',
  );
}

function inspect(file: string): CorpusFile {
  const bytes = statSync(file).size;
  if (bytes === 0) {
    throw new HelioError('HELIO-1003', `The corpus file ${file} is empty.`, 'Fill it, or leave it out of data.paths.');
  }
  const kind = file.endsWith('.jsonl') ? 'jsonl' : 'text';
  readBytes(file, 0, 1);
  return { file, bytes, kind, lines: kind === 'jsonl' ? countLines(file, bytes) : 0 };
}

function readBytes(file: string, begin: number, end: number): Uint8Array {
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
      `The corpus file ${file} cannot be read (${code}).`,
      'Check its permissions, or leave it out of data.paths.',
      { cause: error },
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function parseLine(file: string, index: number, line: string): Document {
  const source = `${file}:${index + 1}`;
  let object: { text?: unknown; prompt?: unknown; completion?: unknown } | null;
  try {
    object = JSON.parse(line) as typeof object;
  } catch {
    throw new HelioError(
      'HELIO-1003',
      `${source} is not JSON.`,
      'Each line of a .jsonl file has to be one JSON object.',
    );
  }
  if (typeof object?.text === 'string') return { source, text: object.text };
  if (typeof object?.prompt === 'string' && typeof object.completion === 'string')
    return { source, prompt: object.prompt, text: object.completion };
  throw new HelioError(
    'HELIO-1003',
    `${source} has no "text" that is a string, nor a "prompt" with its "completion".`,
    'Give each line a "text" field, or both of the others.',
  );
}
