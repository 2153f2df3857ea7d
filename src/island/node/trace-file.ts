import { appendFileSync, closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { explainSystemError } from '../../errors.ts';
import { writePieces, writeWhole } from '../../files.ts';
import type { Span } from '../host.ts';

/**
 * An island's timeline in the Trace Event Format, which ui.perfetto.dev opens: one process an island, one thread a lane. The
 * format lets the closing bracket be missing, so a file is whole at any moment.
 */

const LANES: readonly Span['lane'][] = ['training', 'exchange', 'upload', 'download'];
/** Spans that a process adds, some 30 MB, and bytes from which on a file gets no more of any: what comes later is not traced. */
const MAX_SPANS = 250_000;
const MAX_BYTES = 64 * 2 ** 20;
const FLUSH_SPANS = 500;
/** Shorter spans are left out. */
const SHORTEST_WAIT_MS = 0.2;

export class TraceFile {
  readonly #file: string;
  readonly #pid: number;
  #lines: string[];
  #spans = 0;

  /** @param island its name, on the timeline @throws HelioError when the file cannot be written */
  constructor(file: string, island: string) {
    this.#file = file;
    this.#pid = pidOf(island);
    const named = (name: string, tid: number, label: string): string =>
      JSON.stringify({ ph: 'M', pid: this.#pid, tid, name, args: { name: label } });
    this.#lines = [named('process_name', 0, island), ...LANES.map((lane, i) => named('thread_name', i + 1, lane))];
    if (!existsSync(file)) writeWhole(file, OPENING);
    if (statSync(file).size >= MAX_BYTES) this.#spans = MAX_SPANS;
    this.flush();
  }

  add({ lane, name, startMs, endMs }: Span): void {
    if (name === 'wait' && endMs - startMs < SHORTEST_WAIT_MS) return;
    if (this.#spans++ >= MAX_SPANS) return;
    const ts = Math.round((performance.timeOrigin + startMs) * 1000);
    const dur = Math.max(1, Math.round((endMs - startMs) * 1000));
    this.#lines.push(JSON.stringify({ ph: 'X', pid: this.#pid, tid: LANES.indexOf(lane) + 1, name, ts, dur }));
    if (this.#lines.length >= FLUSH_SPANS) this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    try {
      appendFileSync(this.#file, this.#lines.map((line) => `${line},\n`).join(''));
    } catch (error) {
      throw explainSystemError(error, `write the trace ${this.#file}`);
    }
    this.#lines = [];
  }
}

const OPENING = '[\n';

/** Puts the islands' timelines into one file, piece by piece. */
export function joinTraces(files: readonly string[], into: string): void {
  const there = files.filter((file) => existsSync(file));
  if (there.length > 0) writePieces(into, joined(there));
}

function* joined(files: readonly string[]): Generator<Uint8Array> {
  yield Buffer.from(OPENING);
  for (const file of files) yield* piecesAfter(file, OPENING.length);
  yield Buffer.from('{}]\n');
}

function* piecesAfter(file: string, from: number): Generator<Uint8Array> {
  const piece = Buffer.alloc(2 ** 20);
  const descriptor = openSync(file, 'r');
  try {
    for (let at = from; ; ) {
      const bytes = readSync(descriptor, piece, 0, piece.length, at);
      if (bytes === 0) return;
      at += bytes;
      yield piece.subarray(0, bytes);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** A number for an island's name: the traces of several islands are shown together. */
const pidOf = (island: string): number =>
  [...island].reduce((hash, character) => (Math.imul(hash, 31) + character.charCodeAt(0)) & 0x7fff_ffff, 7);
