import { Aggregation } from '../../src/coordinator/aggregation.ts';
import { isAdmitted, stepsUntilDue } from '../../src/coordinator/due.ts';
import { initialState, isOver, react } from '../../src/coordinator/run.ts';
import type { Effect, Event, RunSettings, RunState } from '../../src/coordinator/state.ts';
import {
  type FragmentClock,
  holding,
  holdsUntilMs,
  isDue,
  received,
  stepped,
} from '../../src/island/fragment-clock.ts';
import { FragmentExchange } from '../../src/island/fragment-exchange.ts';
import type { BatchSource } from '../../src/ml/data/batches.ts';
import type { Random } from '../../src/ml/tensor/random.ts';
import type { Trainer } from '../../src/ml/training/trainer.ts';
import { type Fragment, pack, unpack } from '../../src/outer/fragments.ts';
import type { OuterSettings } from '../../src/outer/settings.ts';
import type { Content, Parcel } from '../../src/protocol/frame.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';
import type { Attack } from './trial.ts';

/**
 * A run in virtual time: the coordinator's own machine and aggregation, islands with their own clocks and exchange, and real
 * trainers. What takes time is said by the trial (steps a second, latency), not by this machine.
 */
export interface VirtualOptions {
  readonly outer: OuterSettings;
  readonly steps: number;
  readonly fragments: readonly Fragment[];
  readonly initial: ReadonlyMap<string, Float32Array>;
  readonly trainers: readonly Trainer[];
  readonly sources: readonly BatchSource[];
  readonly speeds: readonly number[];
  readonly latencyS: number;
  readonly lost: number;
  readonly attack: Attack | undefined;
  readonly random: Random;
}

export interface VirtualOutcome {
  readonly parameters: ReadonlyMap<string, Float32Array>;
  readonly merges: number;
  readonly mergedTokens: number;
  readonly trainedTokens: number;
  readonly bytes: number;
  /** Bytes up from the first island, by virtual second. */
  readonly upBySecond: ReadonlyMap<number, number>;
  readonly virtualS: number;
  /** Tokens that all islands could have trained in that time. */
  readonly possibleTokens: number;
}

interface Island {
  readonly name: string;
  readonly trainer: Trainer;
  readonly source: BatchSource;
  readonly exchange: FragmentExchange;
  readonly stepMs: number;
  readonly newest: { content: Merged; parameters: Float32Array }[];
  clocks: FragmentClock[];
  nextMs: number;
  training: boolean;
  /** A step is under way, and ends at `nextMs`. */
  stepping: boolean;
  tokens: number;
  steps: number;
}

type Merged = Content & { readonly kind: 'merged' };
const TICK_MS = 250;

export async function runVirtually(options: VirtualOptions): Promise<VirtualOutcome> {
  const world = new VirtualRun(options);
  await world.run();
  return world.outcome();
}

class VirtualRun {
  readonly #options: VirtualOptions;
  readonly #settings: RunSettings;
  readonly #aggregation: Aggregation;
  readonly #islands: readonly Island[];
  readonly #upBySecond = new Map<number, number>();
  #state: RunState;
  #nowMs = 0;
  #mergedTokens = 0;
  #bytes = 0;
  /** What is on its way: in the order of its arrival. */
  #mail: { readonly atMs: number; readonly deliver: () => Promise<void> }[] = [];

  constructor(options: VirtualOptions) {
    const { outer, steps, fragments, initial, trainers, sources, speeds } = options;
    this.#options = options;
    this.#settings = {
      outer,
      steps,
      expectedIslands: trainers.length,
      stop: {},
      evaluation: { everyMerges: 1e9, parts: 1 },
      checkpointEveryMerges: 1e9,
      // A contribution that is lost is waited for so long.
      leaseMs: 2_000,
      gatherMs: 60_000,
    };
    this.#state = initialState(this.#settings);
    this.#aggregation = new Aggregation(fragments, outer, { parameters: initial });
    const packed = fragments.map((fragment) => pack(fragment, initial));
    this.#islands = trainers.map((trainer, m) => ({
      name: `island-${String(m + 1).padStart(3, '0')}`,
      trainer,
      source: sources[m]!,
      exchange: new FragmentExchange(fragments, outer, packed),
      stepMs: 1000 / speeds[m % speeds.length]!,
      newest: [],
      clocks: [],
      nextMs: 0,
      training: false,
      stepping: false,
      tokens: 0,
      steps: 0,
    }));
  }

  async run(): Promise<void> {
    for (const { name } of this.#islands) await this.#dispatch({ kind: 'joined', island: name });
    for (const { name } of this.#islands) await this.#dispatch({ kind: 'ready', island: name, restored: null });
    let tickMs = TICK_MS;
    while (!isOver(this.#state.phase)) {
      const next = this.#islands.reduce((a, b) => (b.nextMs < a.nextMs ? b : a));
      const mail = this.#mail[0];
      this.#nowMs = Math.min(next.nextMs, tickMs, mail?.atMs ?? Number.POSITIVE_INFINITY);
      if (mail !== undefined && mail.atMs <= this.#nowMs) {
        this.#mail.shift();
        await mail.deliver();
      } else if (tickMs <= this.#nowMs) {
        tickMs += TICK_MS;
        for (const { name } of this.#islands) await this.#dispatch({ kind: 'alive', island: name });
        await this.#dispatch({ kind: 'tick' });
      } else await this.#live(next);
    }
  }

  outcome(): VirtualOutcome {
    const seconds = this.#nowMs / 1000;
    const perStep = this.#islands.reduce((most, { tokens, steps }) => Math.max(most, tokens / Math.max(1, steps)), 0);
    return {
      parameters: this.#aggregation.state().parameters,
      merges: this.#state.merges,
      mergedTokens: this.#mergedTokens,
      trainedTokens: this.#islands.reduce((sum, { tokens }) => sum + tokens, 0),
      bytes: this.#bytes,
      upBySecond: this.#upBySecond,
      virtualS: seconds,
      possibleTokens: this.#islands.reduce((sum, { stepMs }) => sum + (this.#nowMs / stepMs) * perStep, 0),
    };
  }

  async #dispatch(event: Event): Promise<void> {
    const { state, effects } = react(this.#settings, this.#state, event, this.#nowMs);
    this.#state = state;
    for (const effect of effects) await this.#perform(effect);
  }

  async #perform(effect: Effect): Promise<void> {
    const island = 'island' in effect ? this.#islands.find(({ name }) => name === effect.island) : undefined;
    switch (effect.kind) {
      case 'send-state':
        for (const [fragment] of this.#options.fragments.entries()) {
          const parcel = this.#aggregation.whole(fragment);
          await this.#arrive(island!, this.#content(fragment, island!.name, parcel), parcel, true);
        }
        return;
      case 'send':
        return this.#tell(island!, effect.message);
      case 'merge': {
        const parcel = this.#aggregation.merge(effect.fragment, effect.weights);
        for (const name of effect.receivers) {
          const receiver = this.#islands.find((other) => other.name === name)!;
          const content = this.#content(effect.fragment, name, parcel);
          this.#bytes += parcel.payload.length;
          this.#post(() => this.#arrive(receiver, content, { ...parcel, payload: parcel.payload.slice() }, false));
        }
        return;
      }
      case 'record':
        if (effect.record.kind === 'merge') {
          const { fragment, contributions } = effect.record;
          const share = this.#options.fragments[fragment]!.elements / this.#elements();
          this.#mergedTokens += share * contributions.reduce((sum, c) => sum + c.tokens, 0);
        }
        return;
      default:
        return;
    }
  }

  #elements(): number {
    return this.#options.fragments.reduce((sum, { elements }) => sum + elements, 0);
  }

  #content(fragment: number, island: string, { form, codec }: Parcel): Merged {
    const { version, runStep } = this.#state.fragments[fragment]!;
    const steps = stepsUntilDue(this.#settings, this.#state, fragment, island);
    return { kind: 'merged', fragment, version, runStep, stepsUntilDue: steps, form, codec };
  }

  #post(deliver: () => Promise<void>): void {
    this.#mail.push({ atMs: this.#nowMs + 1000 * this.#options.latencyS, deliver });
  }

  async #tell(island: Island, message: (Effect & { kind: 'send' })['message']): Promise<void> {
    switch (message.kind) {
      case 'start':
        island.training = true;
        island.nextMs = this.#nowMs;
        return;
      case 'pull':
        return this.#contribute(island, message.fragment);
      case 'evaluate':
        for (const part of message.parts) {
          const answer = { evaluation: message.evaluation, part, lossSum: 1, tokens: 1 };
          await this.#dispatch({ kind: 'evaluated', island: island.name, ...answer });
        }
        return;
      case 'checkpoint':
        return this.#dispatch({ kind: 'saved', island: island.name, checkpoint: message.checkpoint });
      default:
        return;
    }
  }

  async #contribute(island: Island, fragment: number): Promise<void> {
    const layout = this.#options.fragments[fragment]!;
    const own = new Float32Array(layout.elements);
    await island.trainer.read(
      layout.tensors.map((t) => t.name),
      own,
    );
    this.#lie(island, fragment, own);
    const { version, steps, tokens } = island.clocks[fragment]!;
    const parcel = island.exchange.contribute(fragment, own);
    this.#bytes += parcel.payload.length;
    if (island === this.#islands[0]) {
      const second = Math.floor(this.#nowMs / 1000);
      this.#upBySecond.set(second, (this.#upBySecond.get(second) ?? 0) + parcel.payload.length);
    }
    if (this.#options.outer.oneStepDelay) await this.#nextRound(island, fragment);
    if (this.#options.random.uniform() < this.#options.lost) return;
    const state = this.#state.fragments[fragment]!;
    if (!isAdmitted(this.#settings, state, version)) return;
    this.#aggregation.contribute(fragment, island.name, parcel);
    await this.#dispatch({ kind: 'contributed', island: island.name, fragment, version, steps, tokens });
  }

  /** Puts something else in the place of where a lying island is with a fragment. */
  #lie(island: Island, fragment: number, own: Float32Array): void {
    const { attack, random } = this.#options;
    if (attack === undefined || this.#islands.indexOf(island) >= this.#islands.length / 4) return;
    const base = island.newest[fragment]!.parameters;
    const length = Math.sqrt(own.reduce((sum, x, i) => sum + (x - base[i]!) ** 2, 0) / own.length);
    for (let i = 0; i < own.length; i++) {
      const moved = own[i]! - base[i]!;
      if (attack === 'noise') own[i] = own[i]! + 100 * length * random.normal();
      else own[i] = base[i]! + (attack === 'sign-flip' ? -4 : 100) * moved;
    }
  }

  async #nextRound(island: Island, fragment: number): Promise<void> {
    const { content, parameters } = island.newest[fragment]!;
    island.exchange.rebase(fragment);
    await island.trainer.write(unpack(this.#options.fragments[fragment]!, parameters));
    const same = content.version === island.clocks[fragment]!.version;
    island.clocks[fragment] = received(content.version, same ? this.#options.outer.innerSteps : content.stepsUntilDue);
  }

  async #arrive(island: Island, content: Merged, parcel: Parcel, whole: boolean): Promise<void> {
    const { outer, fragments } = this.#options;
    const { fragment, version, runStep } = content;
    const parameters = island.exchange.receive(fragment, parcel);
    const delayed = outer.oneStepDelay && !whole;
    const share = whole ? 0 : delayed ? 1 : outer.localShare;
    await island.trainer.write(unpack(fragments[fragment]!, parameters), share);
    island.trainer.skipTo(runStep);
    island.newest[fragment] = { content, parameters };
    if (delayed) {
      island.clocks[fragment] = { ...island.clocks[fragment]!, reported: false };
      return this.#reportDue(island);
    }
    island.exchange.rebase(fragment);
    island.clocks[fragment] = received(version, content.stepsUntilDue);
    // Who held for it goes on at once.
    if (island.training && !island.stepping) island.nextMs = this.#nowMs;
  }

  async #live(island: Island): Promise<void> {
    const { outer } = this.#options;
    if (!island.training) {
      island.nextMs = this.#nowMs + TICK_MS;
      return;
    }
    if (island.stepping) await this.#finishStep(island);
    island.clocks = holding(island.clocks, outer.overlapSteps, this.#nowMs);
    const untilMs = holdsUntilMs(island.clocks, outer, this.#nowMs);
    island.stepping = untilMs === null;
    island.nextMs = untilMs === null ? this.#nowMs + island.stepMs : Math.min(untilMs, this.#nowMs + TICK_MS);
  }

  async #finishStep(island: Island): Promise<void> {
    island.stepping = false;
    const result = await island.trainer.step(island.source(island.trainer.steps));
    island.tokens += result.tokens;
    island.steps++;
    island.clocks = island.clocks.map((clock) => stepped(clock, result.tokens));
    const progress = { ...NO_PROGRESS, step: island.trainer.steps, tokens: island.tokens };
    const computeS = (island.steps * island.stepMs) / 1000;
    await this.#dispatch({ kind: 'progress', island: island.name, progress: { ...progress, computeS } });
    await this.#reportDue(island);
  }

  async #reportDue(island: Island): Promise<void> {
    for (const [fragment] of island.clocks.entries()) {
      const clock = island.clocks[fragment]!;
      if (!isDue(clock)) continue;
      island.clocks[fragment] = { ...clock, reported: true };
      await this.#dispatch({ kind: 'due', island: island.name, fragment, version: clock.version });
    }
  }
}
