import { deadlineMs } from '../merging.ts';
import { isOver, react } from '../run.ts';
import type { Effect, Event, RunState } from '../state.ts';
import type { ServerOptions } from './options.ts';

type Given = Pick<ServerOptions, 'settings' | 'state' | 'store' | 'nowMs'>;

export interface Outcome {
  readonly effects: readonly Effect[];
  readonly state: RunState;
  /** Number of the event in the log; 0 where it changed nothing. */
  readonly seq: number;
}

interface Said {
  readonly progress?: Event;
  readonly standing?: Event;
}

const TICK_MS = 250;

/** Where the run stands: takes events one by one to the pure machine, and logs those that decide. */
export class Decider {
  readonly #given: Given;
  readonly #perform: (outcome: Outcome) => void;
  readonly #fail: (error: unknown) => void;
  readonly #ticker: NodeJS.Timeout;
  #deadline: NodeJS.Timeout | undefined;
  #state: RunState;
  #suspended = false;
  #stopped = false;
  /** What islands say of themselves that decides nothing: the newest counters and standing of each are logged with what does. */
  readonly #said = new Map<string, Said>();

  constructor(
    given: Given,
    hands: {
      readonly perform: (outcome: Outcome) => void;
      readonly failed: (error: unknown) => void;
      /** Called before each regular tick. */
      readonly beforeTick: () => void;
    },
  ) {
    this.#given = given;
    this.#state = given.state;
    this.#perform = hands.perform;
    this.#fail = hands.failed;
    const tick = (): void => {
      if (this.#stopped) return;
      hands.beforeTick();
      this.take({ kind: 'tick' });
      given.store.flush().catch(hands.failed);
    };
    // After a stall timers run before anything is read: what waits in the sockets counts first.
    this.#ticker = setInterval(() => setImmediate(tick), TICK_MS);
  }

  get state(): RunState {
    return this.#state;
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** Decides nothing any more. */
  suspend(): void {
    this.#suspended = true;
  }

  /** Ends the ticks. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#ticker);
    clearTimeout(this.#deadline);
  }

  take(event: Event): void {
    if (this.#suspended || (isOver(this.#state.phase) && event.kind !== 'recovered')) return;
    const { settings, nowMs } = this.#given;
    const now = nowMs();
    try {
      const { state, effects } = react(settings, this.#state, event, now);
      const changed = state !== this.#state;
      this.#state = state;
      const seq = changed || effects.length > 0 ? this.#log(now, event) : 0;
      this.#perform({ effects, state, seq });
      // Other fragments may be ready for their merge as well.
      if (effects.some((effect) => effect.kind === 'merge')) this.take({ kind: 'tick' });
      else if (changed) this.#tickInTime(now);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Logs what was said and not logged yet: by one island, or by all. */
  logProgress(now: number, islands: Iterable<string> = this.#said.keys()): void {
    for (const island of islands) {
      const { progress, standing } = this.#said.get(island) ?? {};
      if (progress !== undefined) this.#given.store.append(now, progress);
      if (standing !== undefined) this.#given.store.append(now, standing);
      this.#said.delete(island);
    }
  }

  /** Windows close when they should, and not at the next regular tick. */
  #tickInTime(now: number): void {
    clearTimeout(this.#deadline);
    const waitMs = (deadlineMs(this.#given.settings, this.#state) ?? Number.POSITIVE_INFINITY) - now;
    if (waitMs < TICK_MS)
      this.#deadline = setTimeout(() => setImmediate(() => this.take({ kind: 'tick' })), Math.max(1, waitMs));
  }

  /** Remembers what decided something; what decides nothing waits for the next such event of its island, or the next merge. */
  #log(now: number, event: Event): number {
    if (event.kind === 'progress' || event.kind === 'standing') {
      this.#said.set(event.island, { ...this.#said.get(event.island), [event.kind]: event });
      return 0;
    }
    if (event.kind === 'left' || event.kind === 'joined') this.logProgress(now, [event.island]);
    return this.#given.store.append(now, event);
  }
}
