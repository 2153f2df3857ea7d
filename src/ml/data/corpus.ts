import { HelioError } from '../../errors.ts';
import { type CorpusKind, filesOf, kindOf } from './corpus-files.ts';
import { heldOutOfFirst, isHeldOut } from './examples.ts';
import { type Document, documentOf } from './records.ts';
import { countLines, cutAt, lineStart, readPieces, sizeOf, type TextFile } from './text-file.ts';

export type { Document } from './records.ts';

/** A file of a corpus: one document of text, or one document a line. */
export interface CorpusFile extends TextFile {
  readonly bytes: number;
  readonly kind: CorpusKind;
  /** Of lines: how many are documents. */
  readonly documents: number;
}

/** Some documents of a corpus, read again from the files each time: no more than a piece is ever in memory. */
export interface Passages {
  /** Bytes of the files that this is; of documents that are lines estimated. */
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
 * Opens text files and JSON Lines.
 *
 * Held out is, by document: of text files and of the lines of all files together the share that is asked for, evenly spread; where that is no whole
 * document, or of text files fewer than two, the end of each. A prompt's completion is never cut: of few such lines the last one is held out.
 *
 * @param places the files, as they are: nothing in their names is a pattern
 * @param field of JSON Lines, the one that is the text
 * @throws HelioError HELIO-1003 when a file is empty, unreadable or no text
 */
export function openFiles(places: readonly (string | TextFile)[], share: number, field?: string): Corpus {
  const files = places.map(inspect);
  const texts = files.filter(({ kind }) => kind === 'text').length;
  const wholeTexts = heldOutOfFirst(texts, share) >= 2;
  const lines = files.reduce((sum, file) => sum + file.documents, 0);
  const wholeLines = heldOutOfFirst(lines, share) >= 1;
  let [text, line] = [0, 0];
  const parts = files.map((file): FilePart => {
    if (file.kind === 'lines') {
      const first = line;
      line += file.documents;
      return { file, field, heldOut: { kind: 'lines', first, of: lines, share, whole: wholeLines } };
    }
    const number = text++;
    const heldOut: HeldOut = wholeTexts
      ? { kind: 'whole', held: isHeldOut(number, share) }
      : { kind: 'from', byte: cutAt(file, Math.floor(file.bytes * (1 - share)), file.bytes) };
    return { file, field, heldOut };
  });
  requireText(parts);
  const total = parts.reduce((sum, part) => sum + lengthOf(part, false), 0);
  const shard = (index: number, count: number): Passages =>
    passagesOf(parts, false, Math.floor((total * index) / count), Math.floor((total * (index + 1)) / count));
  return {
    files,
    training: passagesOf(parts, false, 0, total),
    validation: passagesOf(parts, true, 0, Number.MAX_SAFE_INTEGER),
    shard,
  };
}

/** All documents that match, none held out. */
export const openDocuments = (patterns: readonly string[], base: string): Passages =>
  openWhole(patterns.flatMap((pattern) => filesOf(pattern, base)));

/** All documents of files, as they are: nothing in their names is a pattern, and none is held out. */
export function openWhole(places: readonly (string | TextFile)[], field?: string): Passages {
  const parts = places.map(
    (place): FilePart => ({ file: inspect(place), field, heldOut: { kind: 'whole', held: false } }),
  );
  requireText(parts);
  return passagesOf(parts, false, 0, Number.MAX_SAFE_INTEGER);
}

function inspect(place: string | TextFile): CorpusFile {
  const text = typeof place === 'string' ? { file: place, name: place } : place;
  const [bytes, kind] = [sizeOf(text), kindOf(text.file)];
  return { ...text, bytes, kind, documents: kind === 'lines' ? countLines(text, bytes).filled : 0 };
}

function requireText(parts: readonly FilePart[]): void {
  for (const held of [false, true]) {
    for (const { text } of readParts(parts, held, 0, Number.MAX_SAFE_INTEGER)) if (text.trim() !== '') return;
  }
  const names = parts.map(({ file }) => file.name);
  throw new HelioError(
    'HELIO-1003',
    `The corpus ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' …' : ''} holds no text.`,
    'Point data.paths at files with text in them.',
  );
}

/**
 * What of a file is held out: from a byte on, all or nothing, or some of its lines. `first` is the number of its first document among the `of` of
 * all files; without `whole` they are too few, and of each the end is held out.
 */
type HeldOut =
  | { readonly kind: 'from'; readonly byte: number }
  | { readonly kind: 'whole'; readonly held: boolean }
  | {
      readonly kind: 'lines';
      readonly first: number;
      readonly of: number;
      readonly share: number;
      readonly whole: boolean;
    };

interface FilePart {
  readonly file: CorpusFile;
  readonly field: string | undefined;
  readonly heldOut: HeldOut;
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

function lengthOf(part: FilePart, held: boolean): number {
  const [begin, end] = spanOf(part, held);
  return end - begin;
}

function passagesOf(parts: readonly FilePart[], held: boolean, from: number, to: number): Passages {
  let [start, bytes] = [0, 0];
  for (const part of parts) {
    const length = lengthOf(part, held);
    const inside = Math.max(0, Math.min(start + length, to) - Math.max(start, from));
    const share = part.heldOut.kind !== 'lines' ? 1 : held ? part.heldOut.share : 1 - part.heldOut.share;
    bytes += inside * share;
    start += length;
  }
  return {
    bytes: Math.ceil(bytes),
    files: parts.map(({ file }) => file),
    documents: () => readParts(parts, held, from, to),
  };
}

/** Documents of the spans laid end to end, from byte `from` to `to`, both moved on to where a document, or a line or word of it, begins. */
function* readParts(parts: readonly FilePart[], held: boolean, from: number, to: number): Generator<Document> {
  let start = 0;
  for (const part of parts) {
    const { file } = part;
    const [spanBegin, spanEnd] = spanOf(part, held);
    const place = (at: number): number => {
      const byte = Math.min(spanEnd, Math.max(spanBegin, spanBegin + at - start));
      if (byte === spanBegin || byte === spanEnd) return byte;
      return file.kind === 'lines' ? lineStart(file, byte, spanEnd) : cutAt(file, byte, spanEnd);
    };
    const [begin, end] = [place(from), place(to)];
    start += spanEnd - spanBegin;
    if (end <= begin) continue;
    if (file.kind === 'text') yield* readText(file, begin, end);
    else yield* readLines(part, held, begin, end);
  }
}

function* readText(file: CorpusFile, begin: number, end: number): Generator<Document> {
  for (const { text, last } of readPieces(file, begin, end, 'anywhere')) {
    yield last ? { source: file.name, text } : { source: file.name, text, continues: true };
  }
}

function* readLines(
  { file, field, heldOut }: FilePart,
  held: boolean,
  begin: number,
  end: number,
): Generator<Document> {
  const before = begin === 0 ? { lines: 0, filled: 0 } : countLines(file, begin);
  let [number, index] = [before.lines, before.filled];
  for (const { text } of readPieces(file, begin, end, 'whole lines')) {
    const lines = text.split('\n');
    // A piece ends with its last line's newline, which splits off an empty string.
    if (lines.at(-1) === '') lines.pop();
    for (const line of lines) {
      number++;
      // As `countLines` counts them: a byte above the space.
      if (!FILLED.test(line)) continue;
      const isWhole = heldOut.kind !== 'lines' || heldOut.whole;
      const place = index++;
      if (isWhole && isLineHeldOut(heldOut, place) !== held) continue;
      const document = documentOf(line, `${file.name}:${number}`, field);
      if (document === undefined) continue;
      yield* isWhole ? [document] : endOrRest(document, heldOut, place, held);
    }
  }
}

const FILLED = /[^\0- ]/;

type HeldOutLines = HeldOut & { readonly kind: 'lines' };

const isLineHeldOut = (heldOut: HeldOut, index: number): boolean =>
  heldOut.kind === 'lines' ? isHeldOut(heldOut.first + index, heldOut.share) : heldOut.kind === 'whole' && heldOut.held;

/** Of too few lines for a share of them: of a text its end is held out, and of lines that are prompts and completions, or conversations, the last one. */
function endOrRest(document: Document, heldOut: HeldOut, index: number, held: boolean): readonly Document[] {
  const { first, of, share } = heldOut as HeldOutLines;
  if (document.prompt !== undefined || document.conversation !== undefined)
    return (of > 1 && first + index === of - 1) === held ? [document] : [];
  const cut = cutOf(document.text, Math.floor(document.text.length * (1 - share)));
  const text = held ? document.text.slice(cut) : document.text.slice(0, cut);
  return text === '' ? [] : [{ ...document, text }];
}

/** Where a line or word begins at or soon after a place of a text; the place, or the next character, where none does. */
function cutOf(text: string, at: number): number {
  for (const separator of ['\n', ' ']) {
    const found = text.indexOf(separator, at);
    if (found !== -1 && found + 1 < text.length) return found + 1;
  }
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code < 0xe000 ? at + 1 : at;
}
