import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { HelioError } from '../../errors.ts';
import { writeWhole } from '../../files.ts';
import { MOST_BYTES, NoAnswer } from './answer.ts';

export interface SourceDeps {
  readonly nowMs: () => number;
  /** 0 to 1; so that a thousand homes do not ask again at the same moment. */
  readonly random: () => number;
  /** Where answers are kept; nothing is kept without it. */
  readonly cacheFolder?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A sentence for whoever runs the site. */
  readonly say: (sentence: string) => void;
  readonly timeoutMs?: number;
}

const keptSchema = z.object({
  fromMs: z.number(),
  toMs: z.number(),
  fetchedMs: z.number(),
  answer: z.unknown(),
});
type Kept = z.output<typeof keptSchema>;

const feedFileSchema = z.object({
  /** What was asked, so that an answer for another zone is never used. */
  about: z.string(),
  kept: keptSchema.optional(),
  /** A service that wants peace has it from the next process too. */
  peace: z.object({ untilMs: z.number(), what: z.string().max(1_000), remedy: z.string().max(1_000) }).optional(),
});

/** What a feed has, and how it stands. */
export interface Fed<T> {
  readonly value: T;
  readonly fetchedMs: number;
  /** Why it is not of now. */
  readonly stale?: string;
}

interface FeedOptions<T> {
  readonly name: string;
  /** Address and zone; no token. */
  readonly about: string;
  /** Longest range that may be asked for at once; left out where an answer is the same for all ranges. */
  readonly mostMs?: number;
  ask(fromMs: number, toMs: number): Promise<unknown>;
  /** @throws HelioError when it is of another shape */
  parse(answer: unknown): T;
}

const FRESH_MS = 15 * 60_000;
/** What is older says nothing of now. */
const STALE_MS = 6 * 3_600_000;
const FIRST_WAIT_MS = 30_000;
const LONGEST_WAIT_MS = 3_600_000;
/** Clocks may differ by this much. */
const SKEW_MS = 60_000;

/** A service that is asked as rarely as it can be: kept on disk, left in peace when it fails. */
export class Feed<T> {
  readonly #options: FeedOptions<T>;
  readonly #deps: SourceDeps;
  #kept: Kept | undefined;
  #failures = 0;
  #retryAtMs = 0;
  #error: HelioError | undefined;
  /** Who asks while another waits gets a turn after that one, and mostly finds its answer kept. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: FeedOptions<T>, deps: SourceDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#load();
  }

  /** @throws HelioError when there is neither an answer nor one of the last six hours */
  get(fromMs: number, toMs: number): Promise<Fed<T>> {
    const { mostMs } = this.#options;
    const untilMs = mostMs === undefined ? toMs : Math.min(toMs, fromMs + mostMs);
    const mine = this.#turn.then(() => this.#get(fromMs, untilMs));
    this.#turn = mine.catch(() => {});
    return mine;
  }

  async #get(fromMs: number, toMs: number): Promise<Fed<T>> {
    const nowMs = this.#deps.nowMs();
    // A clock that was set back makes answers of the future: they are asked for again.
    if (this.#kept !== undefined && this.#kept.fetchedMs > nowMs + SKEW_MS) this.#kept = undefined;
    const kept = this.#kept;
    const { mostMs } = this.#options;
    const isFresh = kept !== undefined && nowMs - kept.fetchedMs < FRESH_MS;
    if (isFresh && (mostMs === undefined || (kept.fromMs <= fromMs && kept.toMs >= toMs)))
      return { value: this.#options.parse(kept.answer), fetchedMs: kept.fetchedMs };
    // Of two who ask for other hours in turns, neither drives out the other's.
    if (isFresh && Math.max(toMs, kept.toMs) - Math.min(fromMs, kept.fromMs) <= mostMs!)
      [fromMs, toMs] = [Math.min(fromMs, kept.fromMs), Math.max(toMs, kept.toMs)];
    if (nowMs < this.#retryAtMs && this.#retryAtMs - nowMs <= 24 * LONGEST_WAIT_MS) return this.#orOlder(nowMs);
    try {
      const answer = await this.#options.ask(fromMs, toMs);
      const value = this.#options.parse(answer);
      this.#failures = 0;
      this.#kept = { fromMs, toMs, fetchedMs: nowMs, answer };
      this.#save({});
      return { value, fetchedMs: nowMs };
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures, 10));
      const asked = error instanceof NoAnswer ? (error.retryAfterMs ?? 0) : 0;
      this.#retryAtMs = nowMs + Math.max(asked, wait * (0.5 + this.#deps.random()));
      if (this.#failures++ === 0) this.#deps.say(error.message);
      this.#error = error;
      if (asked > 0) this.#save({ peace: { untilMs: this.#retryAtMs, what: error.what, remedy: error.remedy } });
      return this.#orOlder(nowMs);
    }
  }

  #orOlder(nowMs: number): Fed<T> {
    const kept = this.#kept;
    if (kept === undefined || nowMs - kept.fetchedMs > STALE_MS) throw this.#error!;
    const minutes = Math.round((nowMs - kept.fetchedMs) / 60_000);
    return {
      value: this.#options.parse(kept.answer),
      fetchedMs: kept.fetchedMs,
      stale: `a newer answer (this one is ${minutes} min old): ${this.#error!.what}`,
    };
  }

  get #file(): string | undefined {
    const { cacheFolder } = this.#deps;
    return cacheFolder === undefined ? undefined : path.join(cacheFolder, `${this.#options.name}.json`);
  }

  #load(): void {
    const file = this.#file;
    if (file === undefined || !existsSync(file)) return;
    try {
      if (statSync(file).size > 2 * MOST_BYTES) return;
      const { about, kept, peace } = feedFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
      if (about !== this.#options.about) return;
      if (peace !== undefined) {
        this.#error = new NoAnswer('HELIO-6201', peace.what, peace.remedy);
        this.#retryAtMs = peace.untilMs;
      }
      if (kept !== undefined) this.#options.parse(kept.answer);
      this.#kept = kept;
    } catch {
      // Whatever is wrong with it: it can be asked for again.
    }
  }

  #save({ peace }: Pick<z.output<typeof feedFileSchema>, 'peace'>): void {
    const file = this.#file;
    if (file === undefined) return;
    try {
      writeWhole(file, JSON.stringify({ about: this.#options.about, kept: this.#kept, peace }));
    } catch (error) {
      this.#deps.say(`The answer of ${this.#options.name} could not be kept: ${(error as Error).message}`);
    }
  }
}
