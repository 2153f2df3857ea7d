import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import {
  type EnergyInterval,
  intervalLine,
  type MachineMade,
  NO_TOTALS,
  readInterval,
  sumOfTotals,
  totalsOfRecord,
} from '../../../energy/accounting/index.ts';
import { makeFolder, writeWhole } from '../../../files.ts';
import { type EnergyHandIn, energyTotalsSchema, handInSchema } from '../../../protocol/energy.ts';
import type { Standing } from '../../../protocol/standing.ts';

/** What an island has used for one run; what of it the run's host may know, and since when; and which record was counted last. */
const accountSchema = z.strictObject({
  version: z.literal(1),
  ...handInSchema.shape,
  released: energyTotalsSchema,
  releasedMs: z.number(),
  lastStartMs: z.number().nullable(),
});
type RunAccount = z.output<typeof accountSchema>;

const openSchema = z.strictObject({ account: z.string().max(200).nullable(), record: z.unknown() });

/**
 * What is between two sums that a host is told. From those of each quarter of an hour he could tell when people are at home: where a machine has what a household leaves
 * of the sun, its part says what the household took.
 */
const APART_MS = 6 * 3_600_000;

/**
 * The energy books of a site on disk, below `energy/`:
 * - `2026-11.jsonl`: the records of a month. The owner deletes what he does not want to keep.
 * - `runs/RUN-ISLAND.json`: their sums for a run, as they are handed in to its host.
 * - `open.json`: the record under way, as it was a minute ago. A process that is killed loses no more than that minute: the next one closes it.
 *
 * A record is in `open.json` before it is counted and written, so that whoever comes after a crash knows what is still to be done, and does nothing twice.
 */
export class BooksFile {
  readonly #folder: string;
  readonly #made: MachineMade | undefined;
  /** Of the run that the island takes part in now. */
  #account: { readonly name: string; held: RunAccount } | undefined;

  /** @throws what the file system does */
  constructor(siteFolder: string, made?: MachineMade) {
    this.#folder = path.join(siteFolder, 'energy');
    this.#made = made;
    makeFolder(this.#folder);
    this.#finish();
  }

  /** What is handed in; undefined while the island is part of no run. */
  get handIn(): EnergyHandIn | undefined {
    if (this.#account === undefined) return undefined;
    const { account, released } = this.#account.held;
    return { account, totals: released };
  }

  /** From the next record on the books are for this run: for the island's account in it, if it was there before. */
  begin(run: string, island: string, nowMs: number): void {
    const name = `${run}-${island}`;
    this.#account = { name, held: this.#read(name) ?? newAccount(nowMs) };
    this.#write(this.#account.name, this.#account.held);
  }

  /** The next records are for no run. */
  end(): void {
    this.#account = undefined;
  }

  /** Remembers the record under way. */
  remember(record: EnergyInterval | undefined): void {
    if (record === undefined) return;
    writeWhole(this.#openFile, JSON.stringify({ account: this.#account?.name ?? null, record }));
  }

  /** Keeps a record that has ended. */
  keep(record: EnergyInterval): void {
    this.remember(record);
    if (this.#account !== undefined) this.#account.held = this.#counted(this.#account.name, this.#account.held, record);
    appendFileSync(this.#monthOf(record), intervalLine(record));
    rmSync(this.#openFile, { force: true });
    this.release(record.endMs, undefined);
  }

  /**
   * The host may know what was used until now, unless he was told something a short time ago: when that is so, only if the machine rests for long, or its part in the run
   * is over (null).
   */
  release(nowMs: number, rest: Standing | null | undefined): void {
    if (this.#account === undefined) return;
    const { name, held } = this.#account;
    const isLong = rest === null || (rest?.next?.atS ?? 0) * 1000 - nowMs >= APART_MS;
    if (held.released === held.totals || !(isLong || Math.abs(nowMs - held.releasedMs) >= APART_MS)) return;
    this.#account.held = { ...held, released: held.totals, releasedMs: nowMs };
    this.#write(name, this.#account.held);
  }

  /** Does what a process that was killed had still to do. */
  #finish(): void {
    const open = this.#readOpen();
    if (open === undefined) return;
    const { account: name, record } = open;
    const held = name === null ? undefined : this.#read(name);
    if (held !== undefined && held.lastStartMs !== record.startMs) this.#counted(name!, held, record);
    if (!this.#isWritten(record)) appendFileSync(this.#monthOf(record), intervalLine(record));
    rmSync(this.#openFile, { force: true });
  }

  #counted(name: string, held: RunAccount, record: EnergyInterval): RunAccount {
    const totals = sumOfTotals(held.totals, totalsOfRecord(record, this.#made));
    const after = { ...held, totals, lastStartMs: record.startMs };
    this.#write(name, after);
    return after;
  }

  #readOpen(): { readonly account: string | null; readonly record: EnergyInterval } | undefined {
    try {
      const { account, record } = openSchema.parse(JSON.parse(readFileSync(this.#openFile, 'utf8')));
      return { account, record: readInterval(JSON.stringify(record), this.#openFile) };
    } catch {
      return undefined;
    }
  }

  /** Whether it is the last of its month. A line that was cut off is ended first, so that it spoils no other. */
  #isWritten(record: EnergyInterval): boolean {
    const file = this.#monthOf(record);
    const text = readText(file);
    if (text === '') return false;
    if (!text.endsWith('\n')) appendFileSync(file, '\n');
    const last = text.trimEnd().split('\n').at(-1)!;
    try {
      return readInterval(last, file).startMs === record.startMs;
    } catch {
      return false;
    }
  }

  /** One that cannot be read is begun anew under another number: the host keeps what it has of the old one. */
  #read(name: string): RunAccount | undefined {
    try {
      return accountSchema.parse(JSON.parse(readFileSync(this.#accountFile(name), 'utf8')));
    } catch {
      return undefined;
    }
  }

  #write(name: string, account: RunAccount): void {
    writeWhole(this.#accountFile(name), `${JSON.stringify(account)}\n`);
  }

  get #openFile(): string {
    return path.join(this.#folder, 'open.json');
  }

  #accountFile(name: string): string {
    return path.join(this.#folder, 'runs', `${name}.json`);
  }

  #monthOf({ startMs }: EnergyInterval): string {
    return path.join(this.#folder, `${new Date(startMs).toISOString().slice(0, 7)}.jsonl`);
  }
}

const newAccount = (nowMs: number): RunAccount => ({
  version: 1,
  account: randomBytes(8).toString('hex'),
  totals: NO_TOTALS,
  released: NO_TOTALS,
  releasedMs: nowMs,
  lastStartMs: null,
});

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
