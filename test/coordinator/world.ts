import { stepsUntilDue } from '../../src/coordinator/due.ts';
import { initialState, isOver, react, runStepOf } from '../../src/coordinator/run.ts';
import type { Effect, Event, RunRecord, RunSettings, RunState } from '../../src/coordinator/state.ts';
import {
  type FragmentClock,
  holding,
  holdsUntilMs,
  isDue,
  received,
  stepped,
} from '../../src/island/fragment-clock.ts';
import type { Random } from '../../src/ml/tensor/random.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';
import { NO_PROGRESS, type Progress } from '../../src/protocol/messages.ts';

/**
 * A world for the pure machine: islands with clocks of their own behind links that delay, all driven by one seed.
 * Islands keep the same clocks as the real runtime (`fragment-clock.ts`); what they compute is counted, not computed.
 */
export interface WorldOptions {
  readonly settings: RunSettings;
  readonly islands: number;
  readonly random: Random;
  /** Chance that an island crashes in a step; it is back after a while. */
  readonly crashChance: number;
  readonly stepMs: (island: string) => number;
}

interface SimIsland {
  readonly name: string;
  alive: boolean;
  /** Number of its connection: what was sent on an earlier one is lost with it. */
  connection: number;
  ready: boolean;
  training: boolean;
  nextMs: number;
  clocks: FragmentClock[];
  /** With one step of delay: what it takes at its next contribution. */
  newest: FragmentClock[];
  steps: number;
  longestHoldMs: number;
  heldSinceMs: number | null;
}

/** What strategies are told of the runs here. */
export const SHAPE = { islands: 3, steps: 50 };

export const settingsFor = (
  change: Partial<RunSettings['outer']> = {},
  rest: Partial<RunSettings> = {},
): RunSettings => ({
  outer: { ...STRATEGIES.fedavg(SHAPE), innerSteps: 10, graceS: 5, ...change },
  steps: 50,
  expectedIslands: 3,
  stop: {},
  evaluation: { everyMerges: 2, parts: 2 },
  checkpointEveryMerges: 2,
  leaseMs: 4_000,
  gatherMs: 60_000,
  ...rest,
});

export class World {
  readonly options: WorldOptions;
  readonly records: RunRecord[] = [];
  readonly merges: (Effect & { kind: 'merge' })[] = [];
  readonly islands: SimIsland[];
  state: RunState;
  nowMs = 0;
  end: (Effect & { kind: 'end' }) | undefined;
  #mail: { atMs: number; order: number; deliver: () => void }[] = [];
  #order = 0;
  #lastArrivalMs = new Map<string, number>();
  /** The connection that the coordinator knows of each island: a crash may go unnoticed for a while. */
  #accepted = new Map<string, number>();

  constructor(options: WorldOptions) {
    this.options = options;
    this.state = initialState(options.settings);
    this.islands = Array.from({ length: options.islands }, (_, i) => ({
      name: `island-${i + 1}`,
      alive: false,
      connection: 0,
      ready: false,
      training: false,
      nextMs: 0,
      clocks: [],
      newest: [],
      steps: 0,
      longestHoldMs: 0,
      heldSinceMs: null,
    }));
  }

  run(limitMs = 3_600_000): this {
    if (this.nowMs === 0) for (const island of this.islands) this.#join(island);
    for (; this.end === undefined && this.nowMs < limitMs; this.nowMs += 10) {
      this.#deliver();
      for (const island of this.islands) this.#live(island);
      if (this.nowMs % 250 === 0) this.dispatch({ kind: 'tick' });
    }
    return this;
  }

  dispatch(event: Event): void {
    if (isOver(this.state.phase)) return;
    const { state, effects } = react(this.options.settings, this.state, event, this.nowMs);
    this.state = state;
    for (const effect of effects) this.#perform(effect);
  }

  get runStep(): number {
    return runStepOf(this.state);
  }

  /** Messages on one connection arrive in order, each after a delay of its own. */
  #post(connection: string, deliver: () => void): void {
    const atMs = Math.max(
      this.nowMs + 5 + this.options.random.uniform() * 200,
      this.#lastArrivalMs.get(connection) ?? 0,
    );
    this.#lastArrivalMs.set(connection, atMs);
    this.#mail.push({ atMs, order: this.#order++, deliver });
  }

  #deliver(): void {
    const due = this.#mail.filter((m) => m.atMs <= this.nowMs).toSorted((a, b) => a.atMs - b.atMs || a.order - b.order);
    this.#mail = this.#mail.filter((m) => m.atMs > this.nowMs);
    for (const { deliver } of due) deliver();
  }

  #join(island: SimIsland): void {
    island.connection++;
    Object.assign(island, {
      alive: true,
      ready: false,
      training: false,
      clocks: [],
      newest: [],
      nextMs: this.nowMs + 500,
      heldSinceMs: null,
    });
    const { connection, name } = island;
    this.#post(`${name} up ${connection}`, () => {
      this.#accepted.set(name, connection);
      this.dispatch({ kind: 'joined', island: name });
    });
  }

  #up(island: SimIsland, event: Event): void {
    const { connection } = island;
    this.#post(`${island.name} up ${connection}`, () => {
      if (island.connection === connection) this.dispatch(event);
    });
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'record':
        this.records.push(effect.record);
        return;
      case 'end':
        this.end = effect;
        return;
      case 'merge':
        this.merges.push(effect);
        for (const name of effect.receivers) this.#down(name, (island) => this.#give(island, effect.fragment));
        return;
      case 'send-state':
        this.#down(effect.island, (island) => {
          this.state.fragments.forEach((_, fragment) => {
            this.#give(island, fragment);
          });
          island.ready = true;
          this.#up(island, { kind: 'ready', island: island.name, restored: null });
        });
        return;
      case 'send':
        this.#down(effect.island, (island) => this.#read(island, effect.message));
        return;
      default:
        return;
    }
  }

  #down(name: string, read: (island: SimIsland) => void): void {
    const island = this.islands.find((i) => i.name === name)!;
    const connection = this.#accepted.get(name)!;
    this.#post(`${name} down ${connection}`, () => {
      if (island.alive && island.connection === connection) read(island);
    });
  }

  #give(island: SimIsland, fragment: number): void {
    const { version } = this.state.fragments[fragment]!;
    const steps = stepsUntilDue(this.options.settings, this.state, fragment, island.name);
    const clock = received(version, steps);
    island.newest[fragment] = clock;
    if (!this.options.settings.outer.oneStepDelay || !island.ready) island.clocks[fragment] = clock;
    else {
      island.clocks[fragment] = { ...island.clocks[fragment]!, reported: false };
      this.#reportDue(island);
    }
  }

  #read(island: SimIsland, message: (Effect & { kind: 'send' })['message']): void {
    const { name } = island;
    switch (message.kind) {
      case 'start':
        island.training = true;
        return;
      case 'pull': {
        const { version, steps, tokens } = island.clocks[message.fragment]!;
        const { oneStepDelay, innerSteps } = this.options.settings.outer;
        const next = island.newest[message.fragment]!;
        if (oneStepDelay)
          island.clocks[message.fragment] = next.version === version ? received(version, innerSteps) : next;
        return this.#up(island, {
          kind: 'contributed',
          island: name,
          fragment: message.fragment,
          version,
          steps,
          tokens,
        });
      }
      case 'evaluate':
        for (const part of message.parts)
          this.#up(island, {
            kind: 'evaluated',
            island: name,
            evaluation: message.evaluation,
            part,
            lossSum: 300,
            tokens: 100,
          });
        return;
      case 'checkpoint':
        return this.#up(island, { kind: 'saved', island: name, checkpoint: message.checkpoint });
      default:
        return;
    }
  }

  #progress({ name, steps }: SimIsland): Progress {
    const computeS = (steps * this.options.stepMs(name)) / 1000;
    return { ...NO_PROGRESS, step: steps, tokens: 100 * steps, computeS };
  }

  #live(island: SimIsland): void {
    const { name } = island;
    const { random, crashChance, settings, stepMs } = this.options;
    if (this.nowMs < island.nextMs) return;
    if (!island.alive) return this.#join(island);
    if (random.uniform() < crashChance) {
      island.alive = false;
      island.nextMs = this.nowMs + 2_000 + random.integer(10_000);
      // Half of the crashes cut the connection, the other half are only noticed by the lease.
      if (random.uniform() < 0.5) this.#up(island, { kind: 'left', island: island.name, reason: 'connection closed' });
      return;
    }
    island.nextMs = this.nowMs + stepMs(island.name);
    this.#up(island, { kind: 'alive', island: island.name });
    if (!island.ready || !island.training) return;
    island.clocks = holding(island.clocks, settings.outer.overlapSteps, this.nowMs);
    const untilMs = holdsUntilMs(island.clocks, settings.outer, this.nowMs);
    if (untilMs !== null) {
      island.heldSinceMs ??= this.nowMs;
      if (untilMs !== Number.POSITIVE_INFINITY)
        island.longestHoldMs = Math.max(island.longestHoldMs, this.nowMs - island.heldSinceMs);
      return;
    }
    island.heldSinceMs = null;
    island.steps++;
    island.clocks = island.clocks.map((clock) => stepped(clock, 100));
    if (settings.outer.stepsBySpeed)
      this.#up(island, { kind: 'progress', island: name, progress: this.#progress(island) });
    this.#reportDue(island);
  }

  #reportDue(island: SimIsland): void {
    island.clocks.forEach((clock, fragment) => {
      if (!isDue(clock)) return;
      island.clocks[fragment] = { ...clock, reported: true };
      this.#up(island, { kind: 'due', island: island.name, fragment, version: clock.version });
    });
  }
}
