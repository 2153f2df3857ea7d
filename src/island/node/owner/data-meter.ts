import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { writeWhole } from '../../../files.ts';

const keptSchema = z.strictObject({
  /** Like 2026-06, UTC. */
  month: z.string().regex(/^\d{4}-\d\d$/),
  bytes: z.number().min(0).max(1e18),
});

/** What a process that is killed may forget. */
const SAVE_MS = 60_000;

/** Counts what a site's islands send and receive in a month (UTC), over restarts: for who pays by the gigabyte. */
export class DataMeter {
  readonly #file: string;
  readonly #nowMs: () => number;
  readonly #say: (sentence: string) => void;
  #month: string;
  #bytes = 0;
  #savedMs: number;
  #savedBytes = 0;
  #isFailing = false;

  /** @param say told once that the count begins anew, or cannot be kept */
  constructor(folder: string, nowMs: () => number, say: (sentence: string) => void) {
    this.#file = path.join(folder, 'data.json');
    this.#nowMs = nowMs;
    this.#say = say;
    this.#month = monthOf(nowMs());
    this.#savedMs = nowMs();
    const kept = this.#read();
    if (kept?.month === this.#month) this.#bytes = this.#savedBytes = kept.bytes;
  }

  add(bytes: number): void {
    this.#turn();
    this.#bytes += bytes;
    // A clock that was set back: the file is as old as nobody knows.
    if (Math.abs(this.#nowMs() - this.#savedMs) >= SAVE_MS) this.save();
  }

  get thisMonthBytes(): number {
    this.#turn();
    return this.#bytes;
  }

  /** A disk that takes nothing stops no island: the count goes on in memory. */
  save(): void {
    this.#savedMs = this.#nowMs();
    if (this.#bytes === this.#savedBytes) return;
    try {
      writeWhole(this.#file, `${JSON.stringify({ month: this.#month, bytes: this.#bytes })}\n`);
      this.#savedBytes = this.#bytes;
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing)
        this.#say(`What was sent and received this month could not be written down: ${String(error)}`);
      this.#isFailing = true;
    }
  }

  #turn(): void {
    const month = monthOf(this.#nowMs());
    if (month === this.#month) return;
    this.#month = month;
    this.#bytes = 0;
    this.#savedBytes = Number.NaN;
  }

  #read(): z.output<typeof keptSchema> | undefined {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#say(`${this.#file} cannot be read (${String(error)}): this month's data are counted anew.`);
      return undefined;
    }
    try {
      return keptSchema.parse(JSON.parse(text));
    } catch {
      this.#say(`${this.#file} is damaged: this month's data are counted anew.`);
      return undefined;
    }
  }
}

const monthOf = (nowMs: number): string => new Date(nowMs).toISOString().slice(0, 7);
