import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { HelioError } from '../../errors.ts';
import { writeWhole } from '../../files.ts';
import type { Signal, SiteNow } from '../policy/index.ts';
import type { GridOperatorConfig } from '../site/grid-operator-schema.ts';
import { MOST_BYTES, NoAnswer } from './answer.ts';
import type { SourceDeps } from './feed.ts';
import { type AdrEvent, type EventWindow, eventSchema, isFor, type Wish, windowsOf } from './openadr.ts';
import { Vtn } from './vtn.ts';

/** How the operator stands with the home. */
export interface OperatorStanding {
  readonly isHeard: boolean;
  /** When it was last heard, Unix ms; null when never. */
  readonly heardMs: number | null;
  /** Why it is not heard. */
  readonly problem: string | null;
}

const MOST_EVENTS = 500;
/** What is further away is heard again in time. */
const AHEAD_MS = 31 * 86_400_000;
const MOST_WINDOWS = 5_000;
const LONGEST_WAIT_MS = 60_000;
const LONGEST_PEACE_MS = 5 * 60_000;
const MOST_TOLD = 200;
const MOST_NAME = 60;

const keptSchema = z.object({
  /** Whose events: another VTN's or program's are never obeyed. */
  about: z.string(),
  heardMs: z.number().min(0).max(8.64e15),
  events: z.array(eventSchema).max(MOST_EVENTS),
});

/**
 * A grid operator's events, as a home obeys them. It is asked again and again; while it cannot be reached what is known of it holds, over a restart as well, and
 * of what is new nobody hears.
 */
export class GridOperator {
  readonly #config: GridOperatorConfig;
  readonly #deps: SourceDeps;
  readonly #vtn: Vtn;
  readonly #told = new Set<string>();
  #program: string | undefined;
  #windows: readonly EventWindow[] = [];
  #kept = '';
  #heardMs: number | null = null;
  #problem: HelioError | undefined;
  #failures = 0;
  #dueMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  /** @throws HelioError HELIO-6203 where client id or secret are not there */
  constructor(config: GridOperatorConfig, deps: SourceDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#vtn = new Vtn(config, deps);
    const { protocol, hostname } = new URL(config.baseUrl);
    if (protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(hostname))
      deps.say(
        `the grid operator’s VTN ${hostname} is asked without encryption: anybody in between can read the client’s secret`,
      );
    this.#load();
  }

  /** Cheap while it is not due; of two calls at once the second waits for the first. Never rejects for what the VTN does. */
  poll(): Promise<void> {
    if (
      this.#asking === undefined &&
      this.#deps.nowMs() < this.#dueMs &&
      this.#dueMs - this.#deps.nowMs() <= LONGEST_PEACE_MS
    )
      return Promise.resolve();
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** What is asked of this machine now. */
  signals(nowMs: number, machine: SiteNow['machine']): readonly Signal[] {
    return this.#windows
      .filter(({ startMs, endMs }) => startMs <= nowMs && (endMs === null || nowMs < endMs))
      .map(({ event, endMs, wish }) => ({
        from: `The grid operator (${this.#config.program.slice(0, MOST_NAME)}: ${event})`,
        untilMs: endMs,
        ...limitOf(wish, machine),
      }));
  }

  get standing(): OperatorStanding {
    return {
      isHeard: this.#heardMs !== null && this.#problem === undefined,
      heardMs: this.#heardMs,
      problem: this.#problem?.what ?? null,
    };
  }

  async #ask(): Promise<void> {
    const { nowMs, say } = this.#deps;
    try {
      this.#program ??= await this.#vtn.program();
      const { events, unread } = await this.#vtn.events(this.#program);
      if (unread > 0)
        this.#tell('unread', `${unread} or more events of the grid operator cannot be read, and are not obeyed`);
      this.#learn(events.slice(0, MOST_EVENTS));
      this.#heardMs = nowMs();
      this.#keep(events.slice(0, MOST_EVENTS));
      if (this.#failures > 0) say('the grid operator is heard again');
      this.#failures = 0;
      this.#problem = undefined;
      this.#dueMs = nowMs() + 1_000 * this.#config.pollS;
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      // Its program may have been made anew.
      this.#program = undefined;
      if (this.#failures++ === 0 || this.#problem?.what !== error.what)
        say(
          `the grid operator is not heard: ${error.what} Events that are known are obeyed; of new ones nobody hears. ${error.remedy}`,
        );
      this.#problem = error;
      const waitMs = Math.min(LONGEST_WAIT_MS, 1_000 * this.#config.pollS * 2 ** Math.min(this.#failures - 1, 10));
      const peaceMs = error instanceof NoAnswer ? Math.min(LONGEST_PEACE_MS, error.retryAfterMs ?? 0) : 0;
      this.#dueMs = nowMs() + Math.max(waitMs, peaceMs);
    }
  }

  #learn(events: readonly AdrEvent[]): void {
    const nowMs = this.#deps.nowMs();
    const windows = events
      .filter((event) => isFor(event, this.#config.targets))
      .flatMap((event) => {
        const name = plain(event.eventName ?? event.id);
        return windowsOf({ ...event, eventName: name }, this.#share(event.id), (what) =>
          this.#tell(
            `${event.id} ${what}`,
            `the event ${name} of the grid operator asks for ${plain(what)}, which is unknown here: it is not obeyed`,
          ),
        );
      })
      .filter(({ startMs, endMs }) => startMs < nowMs + AHEAD_MS && (endMs === null || endMs > nowMs));
    if (windows.length > MOST_WINDOWS)
      this.#tell(
        'many',
        `the grid operator has ${windows.length} limits at once; the first ${MOST_WINDOWS} are obeyed`,
      );
    this.#windows = windows.toSorted((a, b) => a.startMs - b.startMs).slice(0, MOST_WINDOWS);
  }

  /** 0 to 1, the same for each of its polls, and another for each home: `randomizeStart` spreads them. */
  #share(eventId: string): number {
    const bytes = createHash('sha256').update(`${this.#vtn.clientId} ${eventId}`).digest();
    return bytes.readUInt32BE(0) / 2 ** 32;
  }

  /** Once, as it is heard again with every poll. */
  #tell(key: string, sentence: string): void {
    if (this.#told.has(key) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(key);
    this.#deps.say(sentence);
  }

  get #about(): string {
    return `${this.#config.baseUrl} ${this.#config.program}`;
  }

  get #file(): string | undefined {
    const { cacheFolder } = this.#deps;
    return cacheFolder === undefined ? undefined : path.join(cacheFolder, 'grid-operator.json');
  }

  #load(): void {
    const file = this.#file;
    if (file === undefined || !existsSync(file)) return;
    try {
      if (statSync(file).size > 2 * MOST_BYTES) return;
      const { about, heardMs, events } = keptSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
      if (about !== this.#about) return;
      this.#heardMs = heardMs;
      this.#learn(events);
    } catch {
      // Whatever is wrong with it: the operator says it again.
    }
  }

  #keep(events: readonly AdrEvent[]): void {
    const [file, kept] = [this.#file, JSON.stringify(events)];
    if (file === undefined || kept === this.#kept) return;
    try {
      writeWhole(file, JSON.stringify({ about: this.#about, heardMs: this.#heardMs, events }));
      this.#kept = kept;
    } catch (error) {
      this.#tell(
        'disk',
        `the events of the grid operator could not be kept for a restart: ${(error as Error).message}`,
      );
    }
  }
}

function limitOf(wish: Wish, { leastW, mostW }: SiteNow['machine']): Pick<Signal, 'limitW' | 'of'> {
  switch (wish.kind) {
    case 'machine':
      return { limitW: wish.unit === '%' ? (wish.most / 100) * mostW : wish.most };
    case 'home':
      return { limitW: wish.limitW, of: 'home' };
    case 'moderate':
      return { limitW: leastW };
    case 'stop':
      return { limitW: 0 };
  }
}

/** A name that somebody else has chosen, for a sentence. */
const plain = (text: string): string =>
  text
    .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
    .trim()
    .slice(0, MOST_NAME) || 'without a name';
