import { setImmediate as nextTurn } from 'node:timers/promises';
import { manifestOf } from '../../outer/fragments.ts';
import { type Content, type Packed, type Payload, shared } from '../../protocol/frame.ts';
import { contentHash } from '../../protocol/hash.ts';
import { placeOf } from '../due.ts';
import type { Effect, RunRecord } from '../events.ts';
import { recordOf } from '../merge-records.ts';
import { islandOf } from '../roster.ts';
import type { RunState } from '../state.ts';
import type { RunMetrics } from './metrics.ts';
import type { ServerOptions } from './options.ts';
import type { Peer } from './peer.ts';
import { Queue } from './queue.ts';
import type { Receipts } from './receipts.ts';

/**
 * An effect, the state that it was decided in, and the number of the event that led to it. It is for the connections that there were then: an
 * island that has connected anew since is told by its welcome.
 */
export interface Decision {
  readonly effect: Effect;
  readonly state: RunState;
  readonly seq: number;
  readonly newestPeer: number;
}

/** What the effects need of the server. */
export interface EffectContext {
  peer(island: string): Peer | undefined;
  record(record: RunRecord): void;
  /** Before a merge is committed: counters that were not logged yet. */
  logProgress(): void;
  ended(effect: Effect & { readonly kind: 'end' }): void;
  failed(error: unknown): void;
  /** What an island is to be sent could not be read: its connection is over. */
  unsent(peer: Peer, error: unknown): void;
}

/** How far an island may be behind in reading: this many times the whole model, and at least so many bytes. */
const MODELS_BEHIND = 4;
const BYTES_BEHIND = 64 * 2 ** 20;
/** Messages after which the event loop gets a turn. */
const TOLD_AT_ONCE = 128;

/** Carries out the state machine's effects in order: merges, stores and sends. */
export class EffectRunner {
  readonly #options: ServerOptions;
  readonly #context: EffectContext;
  readonly #metrics: RunMetrics;
  readonly #receipts: Receipts;
  readonly #decisions = new Queue<Decision>();
  readonly #mostBehind: number;
  /** What every joiner is sent: made and hashed once, and shared. */
  #preparation: Promise<readonly Packed[]> | undefined;
  readonly #wholes = new Map<number, Promise<Packed>>();
  #busy = false;
  #told = 0;
  #working: Promise<void> = Promise.resolve();

  constructor(options: ServerOptions, context: EffectContext, metrics: RunMetrics, receipts: Receipts) {
    this.#receipts = receipts;
    this.#options = options;
    this.#context = context;
    this.#metrics = metrics;
    const elements = options.aggregation.fragments.reduce((sum, fragment) => sum + fragment.elements, 0);
    this.#mostBehind = BYTES_BEHIND + MODELS_BEHIND * 4 * elements + (options.base?.length ?? 0);
  }

  get busy(): boolean {
    return this.#busy;
  }

  add(decisions: readonly Decision[]): void {
    this.#decisions.add(decisions);
    if (!this.#busy) this.#working = this.#work();
  }

  /** Resolves when all that was decided so far is done. */
  settled(): Promise<void> {
    return this.#working;
  }

  /** Nothing goes on half-done. */
  drop(): void {
    this.#decisions.clear();
  }

  /** Carries out what was decided, one after the other: what is sent after a merge comes after its result. */
  async #work(): Promise<void> {
    this.#busy = true;
    try {
      for (let next = this.#decisions.take(); next !== undefined; next = this.#decisions.take()) {
        // Only what takes time is waited for: all else happens at once, as long as nothing is under way.
        const work = this.#do(next);
        if (work !== undefined) await work;
        const turn = this.#yieldTurn();
        if (turn !== undefined) await turn;
      }
    } catch (error) {
      this.#decisions.clear();
      this.#context.failed(error);
    }
    this.#busy = false;
  }

  /** Sending to thousands takes a while: the event loop gets a turn in between. */
  #yieldTurn(): Promise<void> | void {
    if (++this.#told % TOLD_AT_ONCE === 0) return nextTurn();
  }

  #do(decision: Decision): Promise<void> | void {
    const { effect, state, seq } = decision;
    const { store } = this.#options;
    switch (effect.kind) {
      case 'send':
        return this.#peerOf(effect.island, decision)?.channel.send(effect.message);
      case 'send-state':
        return this.#sendState(effect, decision);
      case 'show':
        return this.#show(effect, decision);
      case 'merge':
        return this.#merge(effect, decision);
      case 'disconnect':
        return this.#peerOf(effect.island, decision)?.socket.close(1008, 'refused');
      case 'save':
        return this.#save(effect.checkpoint, state, seq);
      case 'commit':
        return this.#commit(effect);
      case 'record':
        return this.#context.record(effect.record);
      case 'end':
        return store.flush().then(() => this.#context.ended(effect));
    }
  }

  /** The connection that a decision was about, if it is still there. */
  #peerOf(island: string, { newestPeer }: Decision): Peer | undefined {
    const peer = this.#context.peer(island);
    return peer !== undefined && peer.number <= newestPeer ? peer : undefined;
  }

  /** A merge is committed before anyone is told of it: what an island has seen is never lost. */
  async #merge(effect: Effect & { readonly kind: 'merge' }, decision: Decision): Promise<void> {
    const { aggregation, store, blobs } = this.#options;
    const { fragment, version, weights, contributions, receivers } = effect;
    const committed = this.#metrics.merges.startTimer();
    const { encoded, delta, hash } = await aggregation.merge(fragment, weights);
    await blobs.put(hash, delta);
    this.#context.logProgress();
    const what = recordOf(effect, decision.state, (island) => this.#receipts.hashOf(fragment, island));
    await store.commitMerge({ seq: decision.seq, fragment, version, blob: hash, what });
    committed();
    const { form, codec, payload } = encoded;
    const { settings } = this.#options;
    const { runStep } = decision.state.fragments[fragment]!;
    const packed = shared({
      content: { kind: 'merged', fragment, version, runStep, form, codec },
      payload,
      hash: await contentHash(payload),
    });
    this.#wholes.delete(fragment);
    for (const island of receivers) {
      const peer = this.#peerOf(island, decision);
      peer?.channel.send({ kind: 'place', ...placeOf(settings, decision.state, fragment, island) });
      this.#transfer(peer, packed);
      const turn = this.#yieldTurn();
      if (turn !== undefined) await turn;
    }
    this.#receipts
      .merged(fragment, version, contributions, (island) => this.#peerOf(island, decision))
      .catch((error: unknown) => this.#context.failed(error));
  }

  async #save(id: string, state: RunState, seq: number): Promise<void> {
    const { store, onSave } = this.#options;
    const blobs = await onSave();
    await store.saveCheckpoint({ id, seq, state, blobs });
  }

  async #commit({ checkpoint, missing }: Effect & { readonly kind: 'commit' }): Promise<void> {
    const { store, blobs, keepCheckpoints } = this.#options;
    for (const blob of await store.commitCheckpoint(checkpoint, keepCheckpoints, missing)) await blobs.delete(blob);
  }

  async #sendState(effect: Effect & { readonly kind: 'send-state' }, decision: Decision): Promise<void> {
    const { run, job, dataFolder, aggregation, hostKey } = this.#options;
    const { island, fresh, fragments, state } = effect;
    const peer = this.#peerOf(island, decision);
    if (peer === undefined) return;
    peer.channel.send({
      kind: 'welcome',
      run,
      job,
      manifest: manifestOf(aggregation.fragments),
      hostKey,
      dataFolder,
      shard: { index: islandOf(state.islands, island)!.shard % job.islands, count: job.islands },
      restore: state.restore,
      fragments: [...fragments],
      beginnings: peer.channel.beginnings.map(({ hash, received }) => ({ hash, bytes: received })),
    });
    if (fresh) for (const packed of await this.#prepared()) this.#transfer(peer, packed);
    await this.#sendWhole(peer, island, fragments, state);
  }

  async #show(effect: Effect & { readonly kind: 'show' }, decision: Decision): Promise<void> {
    const { island, fragments, state } = effect;
    const peer = this.#peerOf(island, decision);
    if (peer !== undefined) await this.#sendWhole(peer, island, fragments, state);
  }

  async #sendWhole(peer: Peer, island: string, fragments: readonly number[], state: RunState): Promise<void> {
    for (const fragment of fragments) {
      const whole = await this.#whole(fragment, state);
      peer.channel.send({ kind: 'place', ...placeOf(this.#options.settings, state, fragment, island) });
      this.#transfer(peer, whole);
    }
  }

  /** What a new island needs before it can begin. */
  #prepared(): Promise<readonly Packed[]> {
    const { preparation, base } = this.#options;
    const pack = async (content: Content, payload: Payload) => ({
      content,
      payload,
      hash: await contentHash(payload),
    });
    this.#preparation ??= Promise.all([
      pack({ kind: 'preparation' }, new TextEncoder().encode(preparation)),
      ...(base === null ? [] : [pack({ kind: 'base' }, base)]),
    ]);
    return this.#preparation;
  }

  /** A fragment as it is now: until its next merge it is the same for all who come. */
  #whole(fragment: number, state: RunState): Promise<Packed> {
    const known = this.#wholes.get(fragment);
    if (known !== undefined) return known;
    const { version, runStep } = state.fragments[fragment]!;
    const whole = this.#options.aggregation.whole(fragment).then(async ({ payload }): Promise<Packed> => {
      return shared({
        content: { kind: 'global', fragment, version, runStep },
        payload,
        hash: await contentHash(payload),
      });
    });
    this.#wholes.set(fragment, whole);
    return whole;
  }

  /**
   * Sends a payload by its hash, to an island or a relay that lacks it: of what joiners are sent now. One at a time for each; what is not here is not an error, as a merge may
   * have taken its place.
   */
  async fetch(peer: Peer, hash: string): Promise<void> {
    if (peer.isFetching) return;
    peer.isFetching = true;
    try {
      const all = [...(await this.#prepared()), ...(await Promise.all(this.#wholes.values()))];
      const packed = all.find((each) => each.hash === hash);
      if (packed === undefined) peer.channel.send({ kind: 'missing', hash });
      else await peer.channel.transfer(packed).catch((error: unknown) => this.#context.unsent(peer, error));
    } finally {
      peer.isFetching = false;
    }
  }

  /** Disconnects an island that is too far behind in reading: it reconnects and is sent the newest. */
  #transfer(peer: Peer | undefined, packed: Packed): void {
    if (peer === undefined) return;
    if (peer.channel.waitingBytes > this.#mostBehind) return peer.socket.terminate();
    const there = peer.beginnings.find(({ hash, bytes }) => hash === packed.hash && bytes <= packed.payload.length);
    peer.beginnings = peer.beginnings.filter((beginning) => beginning !== there);
    peer.channel.transfer(packed, there?.bytes ?? 0).catch((error: unknown) => this.#context.unsent(peer, error));
  }
}
