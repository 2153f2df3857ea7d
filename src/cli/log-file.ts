import { existsSync, statSync } from 'node:fs';
import { appendFile, open, rename } from 'node:fs/promises';
import path from 'node:path';

/** Characters that wait for the disk at most; beyond, the oldest lines are lost, and counted. */
const MOST_WAITING = 8 * 2 ** 20;
/** Lines are written together, this often. */
const GATHER_MS = 100;
const SAY_EVERY_MS = 60_000;

/** Where a log's parts are, the oldest first: the beginning is kept for good, of the rest the newest two. */
export function logParts(folder: string, name: string): readonly string[] {
  const { name: stem, ext } = path.parse(name);
  return [`${stem}.1${ext}`, `${stem}.2${ext}`, name].map((part) => path.join(folder, part));
}

/**
 * A log that people read, with an end: lines are written beside the run, nobody waits for them, and a file that is full is put aside. At
 * most three of `mostBytes` each are kept. A disk that is full costs lines, and not the run.
 */
export class LogFile {
  readonly #parts: readonly string[];
  readonly #mostBytes: number;
  readonly #say: (sentence: string) => void;
  #waiting: string[] = [];
  #waitingLength = 0;
  #bytes: number | undefined;
  #isLong: boolean;
  #lost = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | undefined;
  /** Ends the wait for more lines. */
  #wake: (() => void) | undefined;

  constructor(folder: string, name: string, mostBytes: number, say: (sentence: string) => void) {
    this.#parts = logParts(folder, name);
    this.#mostBytes = mostBytes;
    this.#say = say;
    this.#isLong = existsSync(this.#parts[0]!);
  }

  /** Whether the first file has been full. */
  get isLong(): boolean {
    return this.#isLong;
  }

  append(line: string): void {
    this.#waiting.push(line);
    this.#waitingLength += line.length + 1;
    if (this.#waitingLength > MOST_WAITING) this.#drop(this.#waitingLength - MOST_WAITING * 0.9);
    this.#writing ??= this.#write();
  }

  /** Resolves when all that was appended so far is in the file, or lost. */
  async flush(): Promise<void> {
    this.#wake?.();
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather();
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingLength = 0;
      try {
        await this.#writeLines(lines);
      } catch (error) {
        this.#lose(lines.length, error instanceof Error ? error.message : String(error));
      }
    }
    this.#writing = undefined;
  }

  async #gather(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, GATHER_MS);
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }

  async #writeLines(lines: readonly string[]): Promise<void> {
    const [first, second, file] = this.#parts as readonly [string, string, string];
    const text = Buffer.from(`${lines.join('\n')}\n`);
    this.#bytes ??= await endWithLine(file);
    if (this.#bytes > 0 && this.#bytes + text.length > this.#mostBytes) {
      await rename(file, this.#isLong ? second : first);
      this.#isLong = true;
      this.#bytes = 0;
    }
    await appendFile(file, text);
    this.#bytes += text.length;
  }

  #drop(length: number): void {
    let [dropped, count] = [0, 0];
    while (dropped < length && count < this.#waiting.length - 1) dropped += this.#waiting[count++]!.length + 1;
    this.#waiting.splice(0, count);
    this.#waitingLength -= dropped;
    this.#lose(count, 'the disk is too slow for it');
  }

  #lose(count: number, why: string): void {
    this.#lost += count;
    this.#bytes = undefined;
    if (performance.now() - this.#saidAtMs < SAY_EVERY_MS) return;
    this.#saidAtMs = performance.now();
    this.#say(`${this.#lost} lines of ${this.#parts.at(-1)} are lost so far: ${why}. The run itself is not.`);
  }
}

/** A line that was cut off must not swallow the next one. @returns the file's size */
async function endWithLine(file: string): Promise<number> {
  if (!existsSync(file)) return 0;
  const { size } = statSync(file);
  if (size === 0) return 0;
  const handle = await open(file, 'r+');
  try {
    const last = Buffer.alloc(1);
    await handle.read(last, 0, 1, size - 1);
    if (last.toString() === '\n') return size;
    await handle.write('\n', size);
    return size + 1;
  } finally {
    await handle.close();
  }
}
