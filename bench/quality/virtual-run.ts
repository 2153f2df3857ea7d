import { Aggregation } from '../../src/coordinator/aggregation.ts';
import { isAwaited, placeOf } from '../../src/coordinator/due.ts';
import type { Effect, Event } from '../../src/coordinator/events.ts';
import { initialState, isOver, react } from '../../src/coordinator/run.ts';
import type { RunSettings, RunState } from '../../src/coordinator/state.ts';
import { FragmentExchange } from '../../src/island/fragment-exchange.ts';
import { activity, reactIsland } from '../../src/island/machine.ts';
import {
  type IslandEffect,
  type IslandEvent,
  type IslandState,
  type Merged,
  newIsland,
} from '../../src/island/state.ts';
import type { BatchSource } from '../../src/ml/data/batches.ts';
import type { Random } from '../../src/ml/tensor/random.ts';
import type { Trainer } from '../../src/ml/training/trainer.ts';
import { type Fragment, manifestOf, pack, unpack } from '../../src/outer/fragments.ts';
import type { OuterSettings } from '../../src/outer/settings.ts';
import type { EncodedFragment } from '../../src/protocol/frame.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';
import type { Job } from '../../src/protocol/run-file.ts';
import { OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../src/protocol/versions.ts';
import type { Attack } from './trial.ts';

/**
 * A run in virtual time: the machines of coordinator and islands with their aggregation and exchange, and real
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
  /** Global parameters of each fragment, as the machine has them in its own `newest`. */
  readonly newest: Float32Array[];
  /** What the newest took the place of, and where the island was when it last handed in. */
  readonly before: Float32Array[];
  readonly handedIn: Float32Array[];
  state: IslandState;
  nextMs: number;
  /** A step is under way, and ends at `nextMs`; what comes meanwhile is heeded then. */
  stepping: boolean;
  readonly later: (() => Promise<void>)[];
  tokens: number;
  steps: number;
}

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
      newest: [...packed],
      before: [...packed],
      handedIn: [],
      state: newIsland,
      nextMs: 0,
      stepping: false,
      later: [],
      tokens: 0,
      steps: 0,
    }));
  }

  async run(): Promise<void> {
    const versions = { protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL };
    const challenge = { kind: 'challenge', ...versions, nonce: 'virtual', run: 'virtual' } as const;
    const admitted = {
      kind: 'admitted',
      protocol: PROTOCOL_VERSION,
      run: 'virtual',
      capabilities: [],
      leaseS: 2,
    } as const;
    for (const island of this.#islands) {
      await this.#tell(island, { kind: 'connected' });
      await this.#tell(island, { kind: 'told', message: challenge });
      await this.#tell(island, { kind: 'told', message: { ...admitted, capabilities: [] } });
    }
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
        return this.#welcome(island!, effect.fragments);
      case 'send':
        return this.#tell(island!, { kind: 'told', message: effect.message });
      case 'merge': {
        const { fragment } = effect;
        const { encoded } = this.#aggregation.merge(fragment, effect.weights);
        const { form, codec } = encoded;
        for (const name of effect.receivers) {
          const receiver = this.#islands.find((other) => other.name === name)!;
          const place = placeOf(this.#settings, this.#state, fragment, name);
          const { runStep } = this.#state.fragments[fragment]!;
          const content: Merged = { kind: 'merged', ...place, runStep, form, codec };
          this.#bytes += encoded.payload.length;
          const arrive = () => this.#arrive(receiver, content, { ...encoded, payload: encoded.payload.slice() });
          this.#post(async () => {
            await this.#tell(receiver, { kind: 'told', message: { kind: 'place', ...place } });
            return receiver.stepping ? void receiver.later.push(arrive) : arrive();
          });
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

  async #welcome(island: Island, fragments: readonly number[]): Promise<void> {
    const { outer } = this.#options;
    const job = { outer: { ...outer, strategy: 'auto' }, model: {} } as unknown as Job;
    const manifest = manifestOf(this.#options.fragments);
    const welcome = { kind: 'welcome', run: 'virtual', job, manifest, hostKey: '', dataFolder: '' } as const;
    const rest = { shard: { index: 0, count: 1 }, restore: null, fragments: [...fragments], beginnings: [] };
    await this.#tell(island, { kind: 'told', message: { ...welcome, ...rest } });
    await this.#tell(island, { kind: 'received', content: { kind: 'preparation' } });
    for (const fragment of fragments) {
      const place = placeOf(this.#settings, this.#state, fragment, island.name);
      const { version, runStep } = this.#state.fragments[fragment]!;
      await this.#tell(island, { kind: 'told', message: { kind: 'place', ...place } });
      await this.#tell(island, { kind: 'received', content: { kind: 'global', fragment, version, runStep } });
    }
  }

  #post(deliver: () => Promise<void>): void {
    this.#mail.push({ atMs: this.#nowMs + 1000 * this.#options.latencyS, deliver });
  }

  async #tell(island: Island, event: IslandEvent): Promise<void> {
    const { state, effects } = reactIsland(island.state, event);
    island.state = state;
    for (const effect of effects) await this.#act(island, effect);
    // Who held goes on at once if it may.
    if (island.state.training && !island.stepping) island.nextMs = this.#nowMs;
  }

  async #act(island: Island, effect: IslandEffect): Promise<void> {
    const { name } = island;
    switch (effect.kind) {
      case 'hello':
        return this.#dispatch({ kind: 'joined', island: name, key: name, invitation: null, holds: [] });
      case 'prepare':
        return this.#tell(island, { kind: 'prepared', restored: null, clocks: null, place: 0 });
      case 'send':
        if (effect.message.kind === 'due' || effect.message.kind === 'ready')
          await this.#dispatch({ ...effect.message, island: name });
        return;
      case 'take': {
        const { fragment, keep, place } = effect;
        const layout = this.#options.fragments[fragment]!;
        const global = unpack(layout, island.newest[fragment]!);
        if (keep.kind === 'share') await island.trainer.write(global, keep);
        else {
          const from = island[keep.from === 'receipt' ? 'before' : 'handedIn'][fragment]!;
          await island.trainer.write(global, { kind: 'moved', from: unpack(layout, from) });
        }
        return island.trainer.moveTo(place);
      }
      case 'rebase':
        return island.exchange.rebase(effect.fragment, effect.version);
      case 'read':
        island.handedIn[effect.fragment] = await this.#copy(island, effect.fragment);
        return;
      case 'contribute':
        return this.#contribute(island, effect);
      case 'evaluate':
        for (const part of effect.message.parts) {
          const answer = { evaluation: effect.message.evaluation, part, lossSum: 1, tokens: 1 };
          await this.#dispatch({ kind: 'evaluated', island: name, ...answer });
        }
        return;
      case 'save':
        return this.#dispatch({ kind: 'saved', island: name, checkpoint: effect.checkpoint });
      default:
        return;
    }
  }

  /** Where an island is with a fragment now. */
  async #copy({ trainer }: Island, fragment: number): Promise<Float32Array> {
    const { elements, tensors } = this.#options.fragments[fragment]!;
    const own = new Float32Array(elements);
    await trainer.read(
      tensors.map((t) => t.name),
      own,
    );
    return own;
  }

  async #contribute(
    island: Island,
    { content, stepsSinceRead }: IslandEffect & { readonly kind: 'contribute' },
  ): Promise<void> {
    const { fragment, version, round, steps, tokens } = content;
    if (stepsSinceRead === null) island.handedIn[fragment] = await this.#copy(island, fragment);
    const own = island.handedIn[fragment]!.slice();
    this.#lie(island, fragment, own);
    const encoded = island.exchange.contribute(fragment, own, round);
    this.#bytes += encoded.payload.length;
    if (island === this.#islands[0]) {
      const second = Math.floor(this.#nowMs / 1000);
      this.#upBySecond.set(second, (this.#upBySecond.get(second) ?? 0) + encoded.payload.length);
    }
    if (this.#options.random.uniform() < this.#options.lost) return;
    const event = { kind: 'contributed', island: island.name, fragment, version, round, steps, tokens } as const;
    if (!isAwaited(this.#settings, this.#state, event)) return;
    const { length } = this.#aggregation.contribute(fragment, island.name, encoded);
    await this.#dispatch({ ...event, length });
  }

  /** Puts something else in the place of where a lying island is with a fragment. */
  #lie(island: Island, fragment: number, own: Float32Array): void {
    const { attack, random } = this.#options;
    if (attack === undefined || this.#islands.indexOf(island) >= this.#islands.length / 4) return;
    const base = island.newest[fragment]!;
    const length = Math.sqrt(own.reduce((sum, x, i) => sum + (x - base[i]!) ** 2, 0) / own.length);
    for (let i = 0; i < own.length; i++) {
      const moved = own[i]! - base[i]!;
      if (attack === 'noise') own[i] = own[i]! + 100 * length * random.normal();
      else own[i] = base[i]! + (attack === 'sign-flip' ? -4 : 100) * moved;
    }
  }

  async #arrive(island: Island, content: Merged, encoded: EncodedFragment): Promise<void> {
    await this.#tell(island, { kind: 'received', content });
    island.before[content.fragment] = island.newest[content.fragment]!;
    const { fragment, version, round } = content;
    island.newest[fragment] = island.exchange.receive(fragment, version, encoded, round);
    await this.#tell(island, { kind: 'opened', content });
  }

  async #live(island: Island): Promise<void> {
    if (island.stepping) await this.#finishStep(island);
    for (let next = island.later.shift(); next !== undefined; next = island.later.shift()) await next();
    const { state, activity: next } = activity(island.state, this.#nowMs);
    island.state = state;
    island.stepping = next.kind === 'step';
    island.nextMs = next.kind === 'step' ? this.#nowMs + island.stepMs : Math.min(next.untilMs, this.#nowMs + TICK_MS);
  }

  async #finishStep(island: Island): Promise<void> {
    island.stepping = false;
    const result = await island.trainer.step(island.source(island.trainer.steps));
    island.tokens += result.tokens;
    island.steps++;
    const progress = { ...NO_PROGRESS, step: island.trainer.steps, tokens: island.tokens };
    const computeS = (island.steps * island.stepMs) / 1000;
    await this.#dispatch({ kind: 'progress', island: island.name, progress: { ...progress, computeS } });
    await this.#tell(island, { kind: 'stepped', tokens: result.tokens, stepMs: island.stepMs });
  }
}
