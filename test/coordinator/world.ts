import { isConsistent, mostLength } from '../../src/coordinator/claims.ts';
import { isAwaited, placeOf } from '../../src/coordinator/due.ts';
import type { Effect, Event, RunRecord } from '../../src/coordinator/events.ts';
import { Leases, silence } from '../../src/coordinator/leases.ts';
import { recordOf } from '../../src/coordinator/merge-records.ts';
import { deadlineMs } from '../../src/coordinator/merging.ts';
import { has } from '../../src/coordinator/persistent-map.ts';
import { recover } from '../../src/coordinator/recovery.ts';
import { islandOf } from '../../src/coordinator/roster.ts';
import { initialState, isOver, react, runStepOf } from '../../src/coordinator/run.ts';
import type { RunSettings, RunState } from '../../src/coordinator/state.ts';
import type { CommittedMerge, History, LoggedEvent } from '../../src/coordinator/store/run-store.ts';
import { activity, isWanted, reactIsland } from '../../src/island/machine.ts';
import { hasHandedIn } from '../../src/island/rest.ts';
import { isNews } from '../../src/island/rounds.ts';
import {
  type IslandEffect,
  type IslandEvent,
  type IslandState,
  newIsland,
  type Welcome,
} from '../../src/island/state.ts';
import type { Random } from '../../src/ml/tensor/random.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';
import type { EncodedFragment } from '../../src/protocol/frame.ts';
import { type IslandMessage, NO_PROGRESS } from '../../src/protocol/messages.ts';
import type { Job } from '../../src/protocol/run-file.ts';
import { standing } from '../../src/protocol/standing.ts';
import { OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../src/protocol/versions.ts';
import type { Claim, Known, Lie } from './liars.ts';
import { IslandNumbers, type Numbers, PART_TOKENS } from './numbers.ts';
import { checkTallies } from './tallies.ts';

/**
 * A world for the pure machines of coordinator and islands: clocks of their own, links that delay and break, processes that crash and begin
 * again, all driven by one seed. What is computed is only counted, step by step, so that it can be told whether any step was merged twice.
 */
export interface WorldOptions {
  readonly settings: RunSettings;
  readonly islands: number;
  /** What they are called, if not by numbers. */
  readonly names?: readonly string[];
  readonly random: Random;
  readonly stepMs: (island: string) => number;
  /** Chances by step of an island, and by 10 ms of the coordinator. */
  readonly chances?: Partial<Chances>;
  /** Islands that lie, and how. */
  readonly lies?: Readonly<Record<string, Lie>>;
  /** What is another at each start of the coordinator, as of a new version of it, for all that it replays too. */
  readonly upgrade?: (kills: number) => Pick<WorldOptions, 'settings'>;
  /** What is computed, where that is looked at (`numbers.ts`). */
  readonly numbers?: Numbers;
}

export interface Chances {
  /** An island crashes; it is back after a while, with nothing. */
  readonly crash: number;
  /** Its connection breaks; it trains on and connects again. */
  readonly cut: number;
  /** Nothing gets through for a while, and nobody is told. */
  readonly stall: number;
  /** Something that it said comes once more, later. */
  readonly duplicate: number;
  /** The coordinator is killed; it is back after a while, with what it has committed. */
  readonly kill: number;
  /** Its clock jumps ahead. */
  readonly jump: number;
  /** An island's owner stops it for a while; once it has handed in, it may sleep without a connection. */
  readonly rest: number;
}

const NONE: Chances = { crash: 0, cut: 0, stall: 0, duplicate: 0, kill: 0, jump: 0, rest: 0 };

interface SimIsland {
  readonly name: string;
  alive: boolean;
  /** Number of its connection: what was sent on an earlier one is lost with it. */
  connection: number;
  connected: boolean;
  stalledUntilMs: number;
  state: IslandState;
  nextMs: number;
  stepping: boolean;
  /** Steps of its whole life, and of each fragment the one at which its counters last began. */
  steps: number;
  begun: number[];
  longestHoldMs: number;
  heldSinceMs: number | null;
  readonly lie: Lie | undefined;
  /** Of one that lies: the newest evaluation that it knows, and when it last connected. */
  evaluation: number;
  connectedMs: number;
  numbers: IslandNumbers | undefined;
  /** While it prepares: what waits until it is done (`connection-inbox.ts`). */
  waiting: (() => void)[] | undefined;
  /** Until when its owner's rules stop it; 0 while they do not. */
  restsUntilMs: number;
  isRuled: boolean;
  asleep: boolean;
}

/** As of the server: an effect is for the connections that there were when it was decided. */
interface Decision {
  readonly effect: Effect;
  readonly state: RunState;
  readonly seq: number;
  readonly connections: ReadonlyMap<string, number>;
}

/** Steps [from, to) of an island's life, as they were handed in to a fragment. */
interface Work {
  readonly from: number;
  readonly to: number;
}

/** What strategies are told of the runs here. */
export const SHAPE = { islands: 3, steps: 50, inner: 'adamw' } as const;
const TOKENS = 100;
const RUN = 'world';

export const settingsFor = (
  change: Partial<RunSettings['outer']> = {},
  rest: Partial<RunSettings> = {},
): RunSettings => ({
  outer: { ...STRATEGIES.fedavg(SHAPE), innerSteps: 10, graceS: 5, ...change },
  steps: 50,
  tokensPerStep: TOKENS,
  expectedIslands: 3,
  stop: {},
  evaluation: { everyMerges: 2, parts: 2 },
  checkpointEveryMerges: 2,
  leaseMs: 4_000,
  gatherMs: 60_000,
  ...rest,
});

export class World {
  options: WorldOptions;
  readonly records: RunRecord[] = [];
  readonly merges: (Effect & { kind: 'merge' })[] = [];
  readonly islands: SimIsland[];
  state: RunState;
  /** Told what islands decide. */
  watch: (island: Pick<SimIsland, 'name' | 'steps'>, effect: IslandEffect) => void = () => {};
  /** The world's time; the coordinator's clock may be ahead of it. */
  nowMs = 0;
  end: (Effect & { kind: 'end' }) | undefined;
  kills = 0;
  /** Starts at which records of merges had the last word. */
  upgrades = 0;
  readonly #chances: Chances;
  #leases: Leases;
  #mail: { atMs: number; order: number; deliver: () => void }[] = [];
  #order = 0;
  #lastArrivalMs = new Map<string, number>();
  /** The connection that the coordinator knows of each island: a crash may go unnoticed for a while. */
  #accepted = new Map<string, number>();
  #aheadMs = 0;
  /** The coordinator's life: events of an earlier one are none. */
  #life = 0;
  #downUntilMs = 0;
  #effects: Decision[] = [];
  #busyUntilMs = 0;
  #seq = 0;
  /** Events that are remembered, and may be forgotten when it is killed. */
  #pending: LoggedEvent[] = [];
  #store: {
    checkpoint: History['checkpoint'];
    sessions: History['sessions'];
    saved: NonNullable<History['checkpoint']>[];
  };
  #log: LoggedEvent[] = [];
  #committed: CommittedMerge[] = [];
  readonly #work = new Map<string, Work>();
  /** What was merged of each island and fragment. */
  readonly #ledger = new Map<string, Work[]>();

  constructor(options: WorldOptions) {
    this.options = options;
    this.#chances = { ...NONE, ...options.chances };
    this.state = initialState(options.settings);
    this.#leases = new Leases(options.settings.leaseMs);
    this.#store = { checkpoint: undefined, sessions: [{ seq: 0, settings: options.settings }], saved: [] };
    const names = options.names ?? Array.from({ length: options.islands }, (_, i) => `island-${i + 1}`);
    this.islands = names.map((name) => ({
      name,
      alive: false,
      connection: 0,
      connected: false,
      stalledUntilMs: 0,
      state: newIsland,
      nextMs: 0,
      stepping: false,
      steps: 0,
      begun: [],
      longestHoldMs: 0,
      heldSinceMs: null,
      lie: Object.hasOwn(options.lies ?? {}, name) ? options.lies![name] : undefined,
      evaluation: 0,
      connectedMs: 0,
      numbers: undefined,
      waiting: undefined,
      restsUntilMs: 0,
      isRuled: false,
      asleep: false,
    }));
  }

  run(limitMs = 3_600_000): this {
    for (; this.end === undefined && this.nowMs < limitMs; this.nowMs += 10) {
      this.#coordinate();
      this.#deliver();
      for (const island of this.islands) this.#live(island);
    }
    return this;
  }

  get runStep(): number {
    return runStepOf(this.state);
  }

  /** Steps that were merged into fragment 0, of all islands. */
  get mergedSteps(): number {
    return [...this.#ledger].reduce(
      (sum, [key, works]) => sum + (key.endsWith(' 0') ? works.reduce((s, w) => s + w.to - w.from, 0) : 0),
      0,
    );
  }

  dispatch(event: Event): void {
    if (isOver(this.state.phase) && event.kind !== 'recovered') return;
    const { state, effects } = react(this.options.settings, this.state, event, this.#clockMs);
    checkTallies(state);
    const decided = effects.length > 0 || state !== this.state;
    this.state = state;
    if (decided) this.#pending.push({ seq: ++this.#seq, atMs: this.#clockMs, event });
    const connections = new Map(this.#accepted);
    for (const effect of effects) this.#effects.push({ effect, state, seq: this.#seq, connections });
    this.#perform();
  }

  get #numbers(): Numbers | undefined {
    return this.options.numbers;
  }

  get #clockMs(): number {
    return this.nowMs + this.#aheadMs;
  }

  #chance(kind: keyof Chances): boolean {
    return this.#chances[kind] > 0 && this.options.random.uniform() < this.#chances[kind];
  }

  // The coordinator's process.

  #coordinate(): void {
    if (this.#downUntilMs > 0) {
      if (this.nowMs < this.#downUntilMs) return;
      this.#downUntilMs = 0;
      this.#recover();
    }
    if (this.#chance('kill')) return this.#kill();
    if (this.#chance('jump')) this.#aheadMs += this.options.random.integer(30_000);
    this.#perform();
    const deadline = deadlineMs(this.options.settings, this.state);
    if (deadline !== undefined && deadline <= this.#clockMs) this.dispatch({ kind: 'tick' });
    if (this.nowMs % 250 !== 0) return;
    for (const { island, silentMs } of this.#leases.expire(this.#clockMs)) {
      const connection = this.#accepted.get(island);
      this.#accepted.delete(island);
      this.dispatch({ kind: 'left', island, reason: silence(silentMs), because: 'lease-expired' });
      if (this.islands.some((i) => i.name === island && i.connection === connection)) this.#cut(island);
    }
    this.dispatch({ kind: 'tick' });
    this.#flush();
  }

  #flush(): void {
    this.#log.push(...this.#pending);
    this.#pending = [];
  }

  #kill(): void {
    this.kills++;
    this.#life++;
    this.#downUntilMs = this.nowMs + 10 * (1 + this.options.random.integer(200));
    this.#pending = [];
    this.#effects = [];
    this.#busyUntilMs = 0;
    this.#aheadMs = 0;
    for (const { name } of this.islands) this.#cut(name);
    this.#accepted.clear();
    this.#leases = new Leases(this.options.settings.leaseMs);
  }

  /** Begins again as `cli/begin-run.ts` does. */
  #recover(): void {
    this.options = { ...this.options, ...this.options.upgrade?.(this.kills) };
    const { settings } = this.options;
    const sessions = this.#store.sessions.map((session) => ({ ...session, settings }));
    const recovery = recover({ ...this.history, sessions })!;
    this.upgrades += recovery.records.filter(({ kind }) => kind === 'took-records').length;
    this.#log = this.#log.filter(({ seq }) => seq <= recovery.seq);
    this.#seq = recovery.seq;
    this.#store.sessions = [...sessions, { seq: this.#seq, settings: this.options.settings }];
    this.state = recovery.state;
    this.#numbers?.recover(
      this.#store.checkpoint?.id,
      this.state.fragments.map(({ version }) => version),
    );
    for (const [fragment, { version, lengths }] of this.state.fragments.entries()) {
      if (version > 0 && lengths.length === 0) throw new Error(`fragment ${fragment} came back without its lengths`);
      const newest = Math.max(0, ...this.#committed.filter((m) => m.fragment === fragment).map((m) => m.version));
      if (version !== newest) throw new Error(`fragment ${fragment} came back at version ${version}, not ${newest}`);
    }
    this.dispatch({ kind: 'recovered', trainedMs: recovery.trainedMs });
    this.#flush();
  }

  /** What its store holds. */
  get history(): History {
    const since = this.#store.checkpoint?.seq ?? 0;
    const { checkpoint, sessions } = this.#store;
    return {
      checkpoint,
      sessions,
      events: this.#log.filter(({ seq }) => seq > since),
      merges: this.#committed.filter(({ seq }) => seq > since),
    };
  }

  #perform(): void {
    while (this.#effects.length > 0 && this.nowMs >= this.#busyUntilMs) {
      const next = this.#effects[0]!;
      if (next.effect.kind === 'merge' && this.#busyUntilMs === 0) {
        // The sum takes a while, and the process may be killed meanwhile.
        this.#busyUntilMs = this.nowMs + 10 * this.options.random.integer(8);
        if (this.nowMs < this.#busyUntilMs) return;
      }
      this.#busyUntilMs = 0;
      this.#effects.shift();
      this.#do(next);
    }
  }

  #do(decision: Decision): void {
    const { effect, state, seq } = decision;
    switch (effect.kind) {
      case 'record':
        this.records.push(effect.record);
        if (effect.record.kind === 'evaluation')
          this.#numbers?.checkLoss(state, this.options.settings.evaluation.parts);
        return;
      case 'end':
        this.end = effect;
        return;
      case 'merge':
        return this.#merge(effect, decision);
      case 'send-state':
        return this.#sendState(effect, decision);
      case 'show':
        return this.#sendWhole(effect, decision);
      case 'send':
        return this.#down(effect.island, decision, { kind: 'told', message: effect.message });
      case 'save':
        this.#numbers?.save(effect.checkpoint);
        this.#store.saved.push({ id: effect.checkpoint, seq, state, blobs: {}, islandsSaved: true, missing: [] });
        return;
      case 'commit':
        this.#store.checkpoint = this.#store.saved.find(({ id }) => id === effect.checkpoint) ?? this.#store.checkpoint;
        return;
      case 'disconnect':
        return this.#cut(effect.island);
    }
  }

  #merge(effect: Effect & { kind: 'merge' }, decision: Decision): void {
    const { state, seq } = decision;
    const { fragment, version, weights, receivers } = effect;
    this.merges.push(effect);
    this.#flush();
    const what = recordOf(effect, state, (island) => `of ${island}`);
    // As it is read again.
    this.#committed.push(JSON.parse(JSON.stringify({ seq, fragment, version, blob: '', what })));
    for (const { island } of weights) this.#credit(island, fragment, state);
    const encoded = this.#numbers?.merge(fragment, version, weights);
    for (const island of receivers) this.#sendMerged(island, fragment, encoded, decision);
  }

  #sendMerged(island: string, fragment: number, encoded: EncodedFragment | undefined, decision: Decision): void {
    const { state } = decision;
    const { version, runStep } = state.fragments[fragment]!;
    const place = placeOf(this.options.settings, state, fragment, island);
    this.#down(island, decision, { kind: 'told', message: { kind: 'place', ...place } });
    const { form, codec } = encoded ?? { form: 'parameters', codec: 'f32' };
    const content = { kind: 'merged', fragment, version, runStep, form, codec } as const;
    this.#down(island, decision, { kind: 'received', content }, (to) => {
      if (encoded !== undefined) to.numbers!.encoded.set(`${fragment}:${version}`, encoded);
    });
  }

  /** No step of an island may be in two merges of a fragment. What a liar's steps are, nobody knows. */
  #credit(island: string, fragment: number, state: RunState): void {
    if (this.options.lies?.[island] !== undefined) return;
    const round = islandOf(state.islands, island)!.merged[fragment]!;
    const work = this.#work.get(`${island} ${fragment} ${round}`)!;
    const key = `${island} ${fragment}`;
    const before = this.#ledger.get(key) ?? [];
    if (before.some((other) => work.from < other.to && other.from < work.to))
      throw new Error(`${key}: steps ${work.from} to ${work.to} were merged before`);
    this.#ledger.set(key, [...before, work]);
  }

  #sendState(effect: Effect & { kind: 'send-state' }, decision: Decision): void {
    const { island, fragments } = effect;
    const { settings } = this.options;
    const down = (event: IslandEvent): void => this.#down(island, decision, event);
    const job = { outer: { ...settings.outer, strategy: 'fedavg' }, model: {} } as unknown as Job;
    const welcome: Welcome = {
      kind: 'welcome',
      run: RUN,
      job,
      manifest: { tensors: [] },
      hostKey: '',
      dataFolder: '',
      shard: { index: 0, count: 1 },
      restore: null,
      beginnings: [],
      fragments: [...fragments],
    };
    down({ kind: 'told', message: welcome });
    down({ kind: 'received', content: { kind: 'preparation' } });
    this.#sendWhole(effect, decision);
  }

  #sendWhole(
    { island, fragments, state }: Effect & { readonly kind: 'send-state' | 'show' },
    decision: Decision,
  ): void {
    for (const fragment of fragments) {
      const { version, runStep } = state.fragments[fragment]!;
      const place = placeOf(this.options.settings, state, fragment, island);
      this.#down(island, decision, { kind: 'told', message: { kind: 'place', ...place } });
      // The newest that there is: what was decided before is done.
      const whole = this.#numbers?.aggregation.array('parameters', fragment).slice();
      const content = { kind: 'global', fragment, version, runStep } as const;
      this.#down(island, decision, { kind: 'received', content }, (to) => {
        if (whole !== undefined && isWanted(to.state, content)) to.numbers!.came(fragment, whole);
      });
    }
  }

  // The network: what is sent on one connection arrives in order, after delays, or not at all.

  #post(connection: string, deliver: () => void): void {
    const delayMs = 5 + this.options.random.uniform() * 200;
    const atMs = Math.max(this.nowMs + delayMs, this.#lastArrivalMs.get(connection) ?? 0);
    this.#lastArrivalMs.set(connection, atMs);
    this.#mail.push({ atMs, order: this.#order++, deliver });
  }

  #deliver(): void {
    const due = this.#mail.filter((m) => m.atMs <= this.nowMs).toSorted((a, b) => a.atMs - b.atMs || a.order - b.order);
    this.#mail = this.#mail.filter((m) => m.atMs > this.nowMs);
    for (const { deliver } of due) deliver();
  }

  /** @param first what its session does before it tells the machine */
  #down(name: string, { connections }: Decision, event: IslandEvent, first: (to: SimIsland) => void = () => {}): void {
    const island = this.islands.find((i) => i.name === name)!;
    const connection = this.#accepted.get(name);
    if (connection === undefined || connections.get(name) !== connection) return;
    const deliver = (): void =>
      this.#onLine(island, connection, () => {
        if (island.waiting !== undefined) return void island.waiting.push(deliver);
        first(island);
        this.#tell(island, event);
      });
    this.#post(`${name} down ${connection}`, deliver);
  }

  /** @param said what it says, or what becomes of it when it arrives */
  #up(island: SimIsland, said: Event | (() => Event | undefined)): void {
    const { connection, name } = island;
    const life = this.#life;
    const deliver = (): void =>
      this.#onLine(island, connection, () => {
        if (this.#accepted.get(name) !== connection || this.#life !== life || this.#downUntilMs > 0) return;
        this.#leases.seen(name, this.#clockMs);
        const event = typeof said === 'function' ? said() : said;
        if (event !== undefined) this.dispatch(event);
      });
    if (!island.connected) return;
    this.#post(`${name} up ${connection}`, deliver);
    if (island.lie?.repeats === true || this.#chance('duplicate')) this.#post(`${name} again ${this.#order}`, deliver);
  }

  /** Delivers on a connection that still stands. */
  #onLine(island: SimIsland, connection: number, deliver: () => void): void {
    if (island.alive && island.connection === connection) deliver();
  }

  /** What is sent from now on arrives after a while. */
  #stall(island: SimIsland): void {
    island.stalledUntilMs = this.nowMs + this.options.random.integer(8_000);
    for (const direction of ['up', 'down']) {
      const line = `${island.name} ${direction} ${island.connection}`;
      this.#lastArrivalMs.set(line, Math.max(this.#lastArrivalMs.get(line) ?? 0, island.stalledUntilMs));
    }
  }

  /** The connection is gone; both sides are told after a while. */
  #cut(name: string): void {
    const island = this.islands.find((i) => i.name === name)!;
    if (!island.connected) return;
    const { connection } = island;
    const life = this.#life;
    island.connected = false;
    this.#post(`${name} cut ${connection}`, () => {
      if (this.#life === life && this.#downUntilMs === 0 && this.#accepted.get(name) === connection) {
        this.#accepted.delete(name);
        this.#leases.end(name);
        this.dispatch({ kind: 'left', island: name, reason: 'connection closed', because: 'connection-lost' });
      }
      if (!island.alive || island.connection !== connection) return;
      island.connection++;
      this.#tell(island, { kind: 'lost' });
      if (island.asleep) return;
      this.#reconnect(island);
    });
  }

  #reconnect(island: SimIsland): void {
    const { connection } = island;
    this.#post(`${island.name} reconnect ${connection}`, () => {
      if (!island.alive || island.connection !== connection || island.connected) return;
      if (this.#downUntilMs > 0) return this.#reconnect(island);
      island.connection++;
      island.connected = true;
      island.stalledUntilMs = 0;
      this.#connected(island);
    });
  }

  // Islands' processes.

  #connected(island: SimIsland): void {
    this.#tell(island, { kind: 'connected' });
    const versions = { protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL };
    this.#tell(island, { kind: 'told', message: { kind: 'challenge', ...versions, nonce: 'world', run: RUN } });
    const admitted = { protocol: PROTOCOL_VERSION, capabilities: [], run: RUN, leaseS: 10 };
    this.#tell(island, { kind: 'told', message: { kind: 'admitted', ...admitted } });
  }

  #tell(island: SimIsland, event: IslandEvent): void {
    const before = island.state;
    const { state, effects } = reactIsland(before, event);
    island.state = state;
    // What is carried over may make an island due again at once: it holds anew, for another merge.
    const { carryOver, exactOverlap } = this.options.settings.outer;
    if (event.kind === 'opened' && (carryOver || exactOverlap)) island.heldSinceMs = null;
    for (const [fragment, clock] of state.clocks.entries())
      if (clock.round !== before.clocks[fragment]?.round) island.begun[fragment] = island.steps;
    for (const effect of effects) {
      this.watch(island, effect);
      this.#act(island, effect, before);
    }
  }

  #act(island: SimIsland, effect: IslandEffect, before: IslandState): void {
    const { name } = island;
    switch (effect.kind) {
      case 'resume':
        return this.#hello(island, effect.holds);
      case 'send':
        return this.#say(island, effect.message);
      case 'prepare': {
        const waiting: (() => void)[] = [];
        island.waiting = waiting;
        return this.#post(`${name} prepares ${this.#order}`, () => {
          if (island.waiting !== waiting) return;
          island.numbers?.prepare();
          island.waiting = undefined;
          this.#tell(island, { kind: 'prepared', restored: null, clocks: null, place: island.state.place });
          for (const deliver of waiting) deliver();
        });
      }
      case 'open': {
        const { content } = effect;
        const { connection, numbers } = island;
        const { fragment, version, round } = content;
        const opened = numbers?.open(fragment, version, round);
        return this.#post(`${name} opens`, () => {
          if (!island.alive || island.connection < connection) return;
          if (opened !== undefined && isNews(island.state, content)) numbers!.opened(fragment, opened);
          this.#tell(island, { kind: 'opened', content });
        });
      }
      case 'take':
        return island.numbers?.take(effect.fragment, effect.keep);
      case 'show':
        return island.numbers?.show(effect.content.fragment, effect.content.version, effect.content.round);
      case 'reset':
        return island.numbers?.reset(effect.content.fragment, effect.content.version, effect.content.round);
      case 'rebase':
        return island.numbers?.rebase(effect.fragment, effect.version);
      case 'contribute':
        return this.#contribute(island, effect, before);
      case 'read':
        return island.numbers?.read(effect.fragment);
      case 'evaluate':
        for (const part of effect.message.parts) {
          const { evaluation } = effect.message;
          island.evaluation = evaluation;
          const lossSum = island.numbers?.measure(part) ?? 300;
          this.#say(island, { kind: 'evaluated', evaluation, part, lossSum, tokens: PART_TOKENS });
        }
        return;
      case 'save':
        return this.#up(island, { kind: 'saved', island: name, checkpoint: effect.checkpoint });
      default:
        return;
    }
  }

  #hello(island: SimIsland, holds: (IslandEffect & { kind: 'resume' })['holds']): void {
    const { connection, name } = island;
    const life = this.#life;
    this.#post(`${name} up ${connection}`, () => {
      if (!island.alive || island.connection !== connection || this.#life !== life || this.#downUntilMs > 0) return;
      if (has(this.state.banned, name)) return this.#cut(name);
      this.#accepted.set(name, connection);
      this.#leases.seen(name, this.#clockMs);
      island.connectedMs = this.nowMs;
      this.dispatch({ kind: 'joined', island: name, key: name, invitation: null, holds });
    });
  }

  #say(island: SimIsland, message: IslandMessage): void {
    for (const said of island.lie?.says?.(message, this.#knownBy(island)) ?? [message])
      if (said.kind === 'due' || said.kind === 'ready' || said.kind === 'evaluated')
        this.#up(island, { ...said, island: island.name });
      else if (said.kind === 'progress') {
        const { kind, ...progress } = said;
        this.#up(island, { kind, island: island.name, progress });
      } else if (said.kind === 'standing') {
        const { kind, due, ...standing } = said;
        this.#up(island, { kind, island: island.name, standing, due, backInMs: island.restsUntilMs - this.nowMs });
      }
  }

  #knownBy({ state, evaluation }: SimIsland): Known {
    const { settings, random } = this.options;
    return {
      random,
      innerSteps: settings.outer.innerSteps,
      tokensPerStep: TOKENS,
      versions: state.clocks.map(({ version }) => version),
      parts: settings.evaluation.parts,
      evaluation,
    };
  }

  #contribute(
    island: SimIsland,
    { content, stepsSinceRead }: IslandEffect & { kind: 'contribute' },
    before: IslandState,
  ): void {
    const { kind: _, ...rest } = content;
    const { fragment, round, steps } = content;
    // With one step of delay the counters begin anew with the contribution itself.
    const to = island.steps - (stepsSinceRead ?? 0);
    const from = to - steps;
    if (stepsSinceRead === null && before.clocks[fragment]!.round === round && before.clocks[fragment]!.steps !== steps)
      throw new Error('an island hands in other steps than it counted');
    this.#work.set(`${island.name} ${fragment} ${round}`, { from, to });
    const claim = island.lie?.contributes === undefined ? rest : island.lie.contributes(rest, this.#knownBy(island));
    if (claim === null) return;
    const scale = island.lie?.scale ?? 1;
    const length = scale * (0.5 + this.options.random.uniform()) * Math.sqrt(steps);
    this.#upContribution(island, claim, length, island.numbers?.contribute(content, stepsSinceRead !== null));
  }

  /** As `server/contribution-receiver.ts`: what comes is measured before it is an event. */
  #upContribution(island: SimIsland, claim: Claim, given: number, encoded?: EncodedFragment): void {
    const { name } = island;
    this.#up(island, () => {
      if (!isAwaited(this.options.settings, this.state, { island: name, ...claim })) return undefined;
      // One that came late must not get into the merge that is being summed up now.
      if (encoded !== undefined && this.#effects.length > 0) {
        this.#upContribution(island, claim, given, encoded);
        return undefined;
      }
      const measured = encoded && this.#numbers!.aggregation.contribute(claim.fragment, name, encoded);
      const length = measured?.length ?? given;
      const event = { kind: 'contributed', island: name, ...claim, length } as const;
      if (!Number.isFinite(length)) {
        this.#cut(name);
        return { kind: 'offended', island: name, reason: 'it holds numbers that are not finite' };
      }
      const { settings } = this.options;
      const claimed = { claimedSteps: claim.steps, claimedTokens: claim.tokens };
      if (!isConsistent(settings, claimed))
        return { ...event, kind: 'left-out', reason: 'more tokens than steps have' };
      const pace = islandOf(this.state.islands, name)!.paces[claim.fragment]!;
      const most = mostLength(settings, this.state.fragments[claim.fragment]!, pace, claimed, this.#clockMs);
      return length > most ? { ...event, kind: 'left-out', reason: 'too long' } : event;
    });
  }

  #lie(island: SimIsland): void {
    const { lie, name } = island;
    if (lie === undefined || !island.connected || this.#accepted.get(name) !== island.connection) return;
    if (this.nowMs - island.connectedMs > (lie.staysMs ?? Number.POSITIVE_INFINITY)) return this.#cut(name);
    if (!island.state.training) return;
    for (const said of lie.volunteers?.(this.#knownBy(island)) ?? [])
      if (said.kind === 'due' || said.kind === 'ready' || said.kind === 'evaluated')
        this.#up(island, { ...said, island: name });
  }

  #live(island: SimIsland): void {
    const { name } = island;
    const { stepMs } = this.options;
    if (this.nowMs < island.nextMs) return;
    if (!island.alive) return this.#start(island);
    if (this.#chance('crash')) return this.#crash(island);
    if (this.#chance('cut')) this.#cut(name);
    if (this.#chance('stall')) this.#stall(island);
    if (island.connected && this.nowMs >= island.stalledUntilMs && this.#accepted.get(name) === island.connection)
      this.#leases.seen(name, this.#clockMs);
    if (island.stepping) this.#finishStep(island);
    this.#mayRest(island);
    this.#lie(island);
    const { state, activity: next } = activity(island.state, this.nowMs);
    island.state = state;
    island.stepping = next.kind === 'step';
    island.nextMs = this.nowMs + (next.kind === 'step' ? stepMs(name) : 50);
    if (next.kind === 'step') island.heldSinceMs = null;
    else if (island.state.training && next.untilMs !== Number.POSITIVE_INFINITY) {
      island.heldSinceMs ??= this.nowMs;
      island.longestHoldMs = Math.max(island.longestHoldMs, this.nowMs - island.heldSinceMs);
    }
  }

  /** Its owner's rules stop an island for so long. */
  rest(name: string, forMs: number): void {
    const island = this.islands.find((i) => i.name === name)!;
    island.restsUntilMs = this.nowMs + forMs;
    island.isRuled = false;
  }

  kill(): void {
    this.#kill();
  }

  #mayRest(island: SimIsland): void {
    if (island.restsUntilMs === 0) {
      if (this.#chance('rest')) this.rest(island.name, 10 * this.options.random.integer(3_000));
    } else if (!island.isRuled) {
      // Between two steps.
      island.isRuled = true;
      this.#tell(island, { kind: 'ruled', rest: standing('away', 'policy', 'The sun has set.') });
    } else if (this.nowMs >= island.restsUntilMs) {
      island.restsUntilMs = 0;
      const { asleep } = island;
      island.asleep = false;
      this.#tell(island, { kind: 'ruled', rest: null });
      if (asleep && !island.connected) this.#reconnect(island);
    } else if (island.connected && !island.asleep && hasHandedIn(island.state)) {
      island.asleep = true;
      this.#cut(island.name);
    }
  }

  #start(island: SimIsland): void {
    Object.assign(island, {
      alive: true,
      restsUntilMs: 0,
      asleep: false,
      connected: true,
      connection: island.connection + 1,
      stalledUntilMs: 0,
      state: newIsland,
      stepping: false,
      nextMs: this.nowMs + 100,
      heldSinceMs: null,
      numbers: this.#numbers && new IslandNumbers(this.#numbers),
      waiting: undefined,
    });
    if (this.#downUntilMs > 0) {
      island.connected = false;
      this.#reconnect(island);
    } else this.#connected(island);
  }

  #crash(island: SimIsland): void {
    const { name, connection } = island;
    island.alive = false;
    island.waiting = undefined;
    island.nextMs = this.nowMs + 2_000 + this.options.random.integer(10_000);
    // Half of the crashes cut the connection, the other half are only noticed by the lease.
    if (this.options.random.uniform() < 0.5) return;
    const life = this.#life;
    this.#post(`${name} up ${connection}`, () => {
      if (this.#life !== life || this.#downUntilMs > 0 || this.#accepted.get(name) !== connection) return;
      this.#accepted.delete(name);
      this.#leases.end(name);
      this.dispatch({ kind: 'left', island: name, reason: 'connection closed', because: 'connection-lost' });
    });
  }

  #finishStep(island: SimIsland): void {
    const { name } = island;
    const { stepMs, settings } = this.options;
    island.steps++;
    island.numbers?.step(this.options.random);
    this.#tell(island, { kind: 'stepped', tokens: TOKENS, stepMs: stepMs(name) });
    if (!settings.outer.stepsBySpeed) return;
    const computeS = (island.steps * stepMs(name)) / 1000;
    const progress = { ...NO_PROGRESS, step: island.steps, tokens: TOKENS * island.steps, computeS };
    this.#say(island, { kind: 'progress', ...progress });
  }
}
