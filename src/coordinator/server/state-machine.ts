import type { Effect, Event } from '../events.ts';
import { deadlineMs } from '../merging.ts';
import { isOver, react } from '../run.ts';
import type { RunState } from '../state.ts';
import type { ServerOptions } from './options.ts';

type Given = Pick<ServerOptions, 'settings' | 'state' | 'store' | 'nowMs'>;

export interface Outcome {
  readonly effects: readonly Effect[];
  readonly state: RunState;
  /** Number of the event in the log; 0 where it changed nothing. */
  readonly seq: number;
}

interface Latest {
  readonly progress?: Event;
  readonly standing?: Event;
  readonly energy?: Event;
}

const TICK_MS = 250;

/** Holds the run's state: gives events one by one to the pure state machine (`run.ts`), and logs those that change it. */
export class StateMachine {
  readonly #given: Given;
  readonly #perform: (outcome: Outcome) => void;
  readonly #fail: (error: unknown) => void;
  readonly #ticker: NodeJS.Timeout;
  #deadline: NodeJS.Timeout | undefined;
  #state: RunState;
  #suspended = false;
  #stopped = false;
  /** The newest counters, standing and energy of each island. They change no decision, so they are logged with the next event that does. */
  readonly #latest = new Map<string, Latest>();

  constructor(
    given: Given,
    handlers: {
      readonly perform: (outcome: Outcome) => void;
      readonly failed: (error: unknown) => void;
      /** Called before each regular tick. */
      readonly beforeTick: () => void;
    },
  ) {
    this.#given = given;
    this.#state = given.state;
    this.#perform = handlers.perform;
    this.#fail = handlers.failed;
    const tick = (): void => {
      if (this.#stopped) return;
      handlers.beforeTick();
      this.take({ kind: 'tick' });
      given.store.flush().catch(handlers.failed);
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
    const isLate = isOver(this.#state.phase) && event.kind !== 'recovered' && event.kind !== 'energy';
    if (this.#suspended || isLate) return;
    const { settings, nowMs } = this.#given;
    const now = nowMs();
    try {
      const { state, effects } = react(settings, this.#state, event, now);
      const changed = state !== this.#state;
      this.#state = state;
      const seq = changed || effects.length > 0 ? this.#log(now, event, effects.length > 0) : 0;
      this.#perform({ effects, state, seq });
      // Other fragments may be ready for their merge as well.
      if (effects.some((effect) => effect.kind === 'merge')) this.take({ kind: 'tick' });
      else if (changed) this.#tickInTime(now);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Logs what was said and not logged yet: by one island, or by all. */
  logProgress(now: number, islands: Iterable<string> = this.#latest.keys()): void {
    for (const island of islands) {
      const { progress, standing, energy } = this.#latest.get(island) ?? {};
      for (const event of [progress, standing, energy]) if (event !== undefined) this.#given.store.append(now, event);
      this.#latest.delete(island);
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
  #log(now: number, event: Event, decided: boolean): number {
    if (event.kind === 'progress' || event.kind === 'energy' || (event.kind === 'standing' && !decided)) {
      this.#latest.set(event.island, { ...this.#latest.get(event.island), [event.kind]: event });
      return 0;
    }
    if (event.kind === 'left' || event.kind === 'joined' || event.kind === 'standing')
      this.logProgress(now, [event.island]);
    return this.#given.store.append(now, event);
  }
}
