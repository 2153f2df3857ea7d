import type { HelioError } from '../../errors.ts';
import { worstQuality } from '../figure.ts';
import { type Meter, type Outcome, QUANTITY_UNITS, type Quantity, type Reading } from './reading.ts';
import { type Doubt, stuck, type Trace, weigh } from './watch.ts';

/** What is known of one quantity of one meter. */
export interface Held {
  readonly meter: string;
  readonly quantity: Quantity;
  /** `never`: nothing came yet. `stale`: too old. `doubted`: it came, and cannot be. None of them is a value. */
  readonly state: 'fresh' | 'stale' | 'never' | 'doubted';
  /** The last one that was believed, whatever its age. */
  readonly reading?: Reading;
  readonly ageMs?: number;
  /** Polls without a value, one after the other. */
  readonly failures: number;
  readonly problem?: HelioError;
  readonly doubt?: Doubt;
}

export interface MeterSetOptions {
  /** Between polls of a meter that answers. */
  readonly intervalMs?: number;
  /** A clock that is never set: ages are by it, so that a step of the wall clock makes no dead meter look alive. */
  readonly monotonicMs?: () => number;
  /** After each poll of a meter. */
  readonly onPoll?: (meter: string, outcomes: readonly Outcome[]) => void;
}

const INTERVAL_MS = 10_000;
/** A meter that fails is asked ever more rarely, and at least this often. */
const MOST_BACK_OFF_MS = 5 * 60_000;

/** What several devices have each a part of; of everything else the meter that is listed first is believed. */
const ADDED: ReadonlySet<Quantity> = new Set<Quantity>(['pv-power', 'battery-power', 'pv-energy']);

interface Entry {
  trace: Trace;
  /** Monotonic time of the last reading that was believed. */
  believedAtMs?: number;
  doubt?: Doubt | undefined;
  failures: number;
  problem?: HelioError | undefined;
}

interface Polled {
  readonly meter: Meter;
  readonly entries: Map<Quantity, Entry>;
  failures: number;
  dueMs: number;
  reading: Promise<void> | undefined;
}

/**
 * All meters of a site, asked again and again. It holds the last value of each with its age; a meter that is silent, or says what cannot be, yields no
 * value, and is never counted as 0.
 */
export class MeterSet {
  readonly #polled: readonly Polled[];
  readonly #intervalMs: number;
  readonly #monotonicMs: () => number;
  readonly #onPoll: MeterSetOptions['onPoll'];
  #timer: NodeJS.Timeout | undefined;

  constructor(meters: readonly Meter[], options: MeterSetOptions = {}) {
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#onPoll = options.onPoll;
    const entries = (): Map<Quantity, Entry> => new Map();
    this.#polled = meters.map((meter) => ({
      meter,
      entries: entries(),
      failures: 0,
      dueMs: Number.NEGATIVE_INFINITY,
      reading: undefined,
    }));
  }

  /** Polls from now on; it keeps no process alive. */
  start(): void {
    const tick = (): void => void this.poll();
    tick();
    this.#timer ??= setInterval(tick, Math.max(100, this.#intervalMs / 2));
    this.#timer.unref();
  }

  /** Ends polling, and every connection. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    // A poll under way could open again what was closed before it.
    await Promise.all(this.#polled.map(({ reading }) => reading));
    await Promise.all(this.#polled.map(({ meter }) => meter.close()));
  }

  /** Asks each meter that is due, all at once; resolves when all have answered or failed. */
  async poll(): Promise<void> {
    const nowMs = this.#monotonicMs();
    await Promise.all(
      this.#polled.map((polled) => {
        if (polled.reading === undefined && polled.dueMs > nowMs) return undefined;
        polled.reading ??= this.#read(polled).finally(() => {
          polled.reading = undefined;
        });
        return polled.reading;
      }),
    );
  }

  /** @returns undefined unless it is fresh: of what several meters have a part of, unless each is */
  value(quantity: Quantity): Reading | undefined {
    const held = this.held().filter((each) => each.quantity === quantity);
    if (!ADDED.has(quantity)) return held.find(({ state }) => state === 'fresh')?.reading;
    if (held.length === 0 || held.some(({ state }) => state !== 'fresh')) return undefined;
    const parts = held.map(({ reading }) => reading!);
    if (parts.length === 1) return parts[0];
    return {
      quantity,
      value: parts.reduce((sum, { value }) => sum + value, 0),
      unit: QUANTITY_UNITS[quantity],
      atMs: Math.min(...parts.map(({ atMs }) => atMs)),
      origin: {
        quality: worstQuality(parts.map(({ origin }) => origin.quality)),
        method: parts.map(({ origin }) => origin.method).join(' + '),
      },
    };
  }

  /** Everything, in the order of the meters. */
  held(): readonly Held[] {
    const nowMs = this.#monotonicMs();
    return this.#polled.flatMap(({ meter, entries }) =>
      meter.quantities.map((quantity) => heldOf(meter, quantity, entries.get(quantity), nowMs)),
    );
  }

  async #read(polled: Polled): Promise<void> {
    const { meter, entries } = polled;
    const outcomes = await meter.read();
    const nowMs = this.#monotonicMs();
    for (const outcome of outcomes) {
      const entry = entries.get(outcome.quantity) ?? { trace: {}, failures: 0 };
      entries.set(outcome.quantity, entry);
      if (outcome.ok) {
        const { trace, doubt } = weigh(entry.trace, outcome.reading);
        entry.trace = trace;
        entry.doubt = doubt;
        entry.problem = undefined;
        if (doubt === undefined) entry.believedAtMs = nowMs - (outcome.ageMs ?? 0);
      } else entry.problem = outcome.problem;
      entry.failures = outcome.ok && entry.doubt === undefined ? 0 : entry.failures + 1;
    }
    this.#watchForStuck(polled, outcomes);
    polled.failures = outcomes.some(({ ok }) => ok) ? 0 : polled.failures + 1;
    polled.dueMs = nowMs + Math.min(this.#intervalMs * 2 ** Math.min(polled.failures, 20), MOST_BACK_OFF_MS);
    this.#onPoll?.(meter.name, outcomes);
  }

  #watchForStuck({ entries }: Polled, outcomes: readonly Outcome[]): void {
    const powers = outcomes.flatMap((o) =>
      o.ok && o.reading.unit === 'W' && o.reading.origin.quality === 'measured' ? [o.reading] : [],
    );
    if (powers.length === 0) return;
    const wallMs = Math.max(...powers.map(({ atMs }) => atMs));
    const doubt = stuck(
      powers.map(({ quantity }) => entries.get(quantity)!.trace),
      wallMs,
    );
    if (doubt === undefined) return;
    for (const { quantity } of powers) {
      const entry = entries.get(quantity)!;
      entry.doubt ??= doubt;
      entry.failures++;
    }
  }
}

function heldOf({ name, staleAfterMs }: Meter, quantity: Quantity, entry: Entry | undefined, nowMs: number): Held {
  const { trace, believedAtMs, doubt, failures = 0, problem } = entry ?? { trace: {} };
  const reading = trace.believed;
  const ageMs = believedAtMs === undefined ? undefined : nowMs - believedAtMs;
  const state =
    doubt !== undefined ? 'doubted' : ageMs === undefined ? 'never' : ageMs > staleAfterMs ? 'stale' : 'fresh';
  return {
    meter: name,
    quantity,
    state,
    failures,
    ...(reading === undefined ? {} : { reading }),
    ...(ageMs === undefined ? {} : { ageMs }),
    ...(problem === undefined ? {} : { problem }),
    ...(doubt === undefined ? {} : { doubt }),
  };
}
