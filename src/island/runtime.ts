import { fragmentsIn } from '../outer/fragments.ts';
import { decodeFloats, type EncodedFragment } from '../protocol/frame.ts';
import { contentHash } from '../protocol/hash.ts';
import { unitOf } from '../protocol/job.ts';
import type { CoordinatorMessage, IslandMessage } from '../protocol/messages.ts';
import { BooksReporter } from './books-reporter.ts';
import { ConnectionInbox } from './connection-inbox.ts';
import { Counters } from './counters.ts';
import { helloOf } from './hello.ts';
import type { CoordinatorConnection, Incoming, IslandHost, Span } from './host.ts';
import { activity, isWanted, reactIsland } from './machine.ts';
import { Outbox, type Outgoing } from './outbox.ts';
import { keepReceipt } from './own-receipt.ts';
import { isNews } from './rounds.ts';
import { RuleKeeper } from './rule-keeper.ts';
import {
  type IslandEffect,
  type IslandEvent,
  type IslandState,
  type Keep,
  type Merged,
  newIsland,
  type Told,
  type Welcome,
} from './state.ts';
import type { Assignment, IslandExchange, IslandTrainer, Kept } from './trainer-interface.ts';
import { readWelcome } from './welcome.ts';

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Whether global parameters are only to be measured. */
const trainsOn = (keep: Keep): boolean => keep.kind === 'share' && keep.share === 1;

const keyOf = ({ fragment, version }: Pick<Merged, 'fragment' | 'version'>): string => `${fragment}:${version}`;

export type Ending = 'finished' | 'interrupted' | 'failed';

/** Longest single wait: the heartbeat runs beside it. */
const IDLE_MS = 1_000;

/** Does what the island's machine decides, with a real trainer and a real connection, until the run is over. */
export class IslandSession {
  readonly #host: IslandHost;
  readonly #connection: CoordinatorConnection;
  readonly #inbox: ConnectionInbox;
  readonly #trainer: IslandTrainer;
  readonly #exchange: IslandExchange;
  #state: IslandState = newIsland;
  /** Global parameters of each fragment, as the machine has them in `newest`. */
  readonly #newest: Float32Array[] = [];
  /** Where that will be wanted: where it was with each fragment when it last handed in, and the global parameters that it has trained from since. */
  readonly #handedIn: Float32Array[] = [];
  readonly #received: Float32Array[] = [];
  #preparation = '';
  #base: Assignment['base'] = null;
  readonly #outbox: Outbox;
  #hostKey = '';
  /** Payloads of merged fragments that the machine is to be asked about, by fragment and version. */
  readonly #payloads = new Map<string, EncodedFragment['payload']>();
  /** Merged fragments that are open and wait for the end of the step. */
  readonly #opened: { readonly content: Merged; readonly parameters: Float32Array }[] = [];
  /** The first error of what goes on while the trainer computes. */
  #fault: { readonly error: unknown } | undefined;
  #ending: Ending | undefined;
  readonly #counters: Counters;
  readonly #rules: RuleKeeper | undefined;
  readonly #books: BooksReporter | undefined;
  /** Whether the run plans when its islands take power from the grid: others are told nothing of a home. */
  #runPlans = false;

  constructor(host: IslandHost, connection: CoordinatorConnection, trainer: IslandTrainer, exchange: IslandExchange) {
    this.#host = host;
    this.#connection = connection;
    this.#inbox = new ConnectionInbox(connection);
    this.#trainer = trainer;
    this.#exchange = exchange;
    this.#outbox = new Outbox(host.identity);
    this.#counters = new Counters(host);
    if (host.rules !== undefined) this.#rules = new RuleKeeper(host.rules, connection, () => host.nowMs());
    if (host.books !== undefined) this.#books = new BooksReporter(host.books, (message) => this.#tell(message));
  }

  /** What it has done since it was started. */
  get work(): Counters['work'] {
    return this.#counters.work;
  }

  /** Says goodbye, whatever it is doing, and ends the connection. */
  leave(reason: string): void {
    this.#books?.leaves();
    this.#connection.send({ kind: 'leaving', reason });
    this.#connection.close();
  }

  /**
   * Runs until the coordinator says stop, or the connection is closed from this side.
   *
   * @throws HelioError when the coordinator refuses the island or stays away, or its own part cannot be done
   */
  async run(): Promise<Ending> {
    for (;;) {
      await this.#keepToRules();
      await this.#takeOpened();
      if (this.#ending !== undefined) return this.#ending;
      const pauseMs = this.#rules?.pauseMs ?? 0;
      const waitMs = this.#waitMs(pauseMs);
      const [seconds, item] = await this.#timed('wait', () => this.#inbox.next(waitMs));
      // What its owner's rules cost is no waiting for the run.
      if (this.#state.training && this.#state.rest === null && waitMs !== pauseMs)
        this.#counters.took('waitS', seconds);
      if (item === null) return 'interrupted';
      if (item !== 'timeout') await this.#handle(item);
      else if (waitMs === 0) await this.#step();
    }
  }

  /** Work that may take minutes: the handshake of a new connection is answered during it. */
  #meanwhile<T>(work: Promise<T>): Promise<T> {
    return this.#inbox.during(work, (item) => this.#handle(item));
  }

  /** 0 when there is a step to take; otherwise how long to wait for the next message. */
  #waitMs(pauseMs: number): number {
    const nowMs = this.#host.nowMs();
    const next = activity(this.#state, nowMs);
    this.#state = next.state;
    if (next.activity.kind === 'step') return Math.min(IDLE_MS, pauseMs);
    return Math.max(1, Math.min(IDLE_MS, next.activity.untilMs - nowMs));
  }

  async #keepToRules(): Promise<void> {
    if (this.#rules === undefined) return;
    const rest = this.#rules.news(this.#state);
    if (rest !== undefined) {
      this.#report();
      if (rest !== null) this.#books?.rests(rest);
      await this.#dispatch({ kind: 'ruled', rest });
    }
    this.#rules.keepTo(this.#state);
    const forecast = this.#runPlans ? this.#rules.forecast(this.#state, this.#counters.tokensPerS) : undefined;
    if (forecast !== undefined) this.#tell({ kind: 'forecast', forecast });
  }

  async #step(): Promise<void> {
    const [seconds, result] = await this.#timed('step', () => this.#meanwhile(this.#trainer.step()));
    this.#counters.stepped(seconds, result);
    this.#rules?.stepped(1000 * seconds);
    this.#books?.trained(result.tokens);
    await this.#dispatch({ kind: 'stepped', tokens: result.tokens, stepMs: 1000 * seconds });
    if (this.#counters.isReportDue) this.#report();
  }

  async #handle(item: Incoming): Promise<void> {
    if (item.kind === 'told') return this.#dispatch({ kind: 'told', message: this.#read(item.message) });
    if (item.kind !== 'received') return this.#dispatch(item);
    const { content, payload, sink, sinceMs } = item;
    switch (content.kind) {
      case 'preparation':
        this.#preparation = new TextDecoder().decode(payload);
        break;
      case 'base':
        this.#base = sink?.file === undefined ? payload : { file: sink.file };
        break;
      case 'global':
        if (isWanted(this.#state, content)) this.#newest[content.fragment] = decodeFloats(payload);
        break;
      case 'merged':
        this.#payloads.set(keyOf(content), payload);
        this.#host.trace({ lane: 'download', name: 'merged', startMs: sinceMs, endMs: this.#host.nowMs() });
        break;
    }
    await this.#dispatch({ kind: 'received', content });
  }

  #read(message: CoordinatorMessage): Told {
    if (message.kind !== 'welcome') return message;
    const { welcome, unknown } = readWelcome(message);
    const left = unknown.join(', ');
    if (left !== '') this.#host.say(`this version of Heliotrope does not know, and leaves out, ${left} of the run`);
    this.#outbox.welcomed(message.beginnings);
    this.#hostKey = message.hostKey;
    return welcome;
  }

  async #takeOpened(): Promise<void> {
    for (let next = this.#opened.shift(); next !== undefined; next = this.#opened.shift()) {
      const { fragment } = next.content;
      if (isNews(this.#state, next.content)) {
        this.#newest[fragment] = next.parameters;
        this.#outbox.merged(fragment);
      }
      await this.#dispatch({ kind: 'opened', content: next.content });
    }
    if (this.#fault !== undefined) throw this.#fault.error;
  }

  async #dispatch(event: IslandEvent): Promise<void> {
    const { state, effects } = reactIsland(this.#state, event);
    if (state.training && !this.#state.training) this.#host.say(`training from step ${state.place}`);
    this.#state = state;
    for (const effect of effects) await this.#perform(effect);
  }

  async #perform(effect: IslandEffect): Promise<void> {
    switch (effect.kind) {
      case 'hello':
        return this.#connection.send(await helloOf(this.#host, effect.nonce, effect.run));
      case 'resume':
        return this.#resume(effect);
      case 'receipt':
        return keepReceipt(this.#host, this.#hostKey, effect.message);
      case 'planned':
        return this.#rules?.planned(effect.plan);
      case 'say':
        return this.#host.say(effect.sentence);
      case 'send':
        // Whoever hears that it is due also knows how fast it is.
        if (effect.message.kind === 'due') {
          this.#report();
          this.#books?.news();
        }
        this.#connection.send(effect.message);
        if (effect.message.kind === 'ready') this.#books?.connected();
        return;
      case 'prepare':
        return this.#prepare(effect.welcome);
      case 'open':
        return this.#open(effect.content);
      case 'take': {
        const { fragment, place } = effect;
        const take = (): Promise<void> =>
          this.#trainer.take(fragment, this.#newest[fragment]!, this.#kept(effect), place);
        this.#counters.took('exchangeS', (await this.#timed('take', take))[0]);
        if (this.#state.work!.outer.carryOver && !trainsOn(effect.keep))
          this.#received[fragment] = this.#newest[fragment]!;
        return;
      }
      case 'show': {
        const { fragment, version, round } = effect.content;
        return this.#exchange.show(fragment, version, this.#newest[fragment]!, round);
      }
      case 'reset': {
        const { fragment, round } = effect.content;
        return this.#exchange.reset(fragment, this.#newest[fragment]!, round);
      }
      case 'rebase':
        return this.#exchange.rebase(effect.fragment, effect.version);
      case 'read':
        this.#handedIn[effect.fragment] = await this.#copy(effect.fragment);
        return;
      case 'contribute':
        return this.#contribute(effect);
      case 'evaluate':
        this.#counters.took('evaluateS', (await this.#timed('evaluate', () => this.#evaluate(effect.message)))[0]);
        return;
      case 'save':
        await this.#timed('checkpoint', () => this.#save(effect));
        return;
      case 'end':
        this.#books?.leaves();
        this.#ending = effect.reason;
        return;
    }
  }

  #kept({ fragment, keep }: IslandEffect & { readonly kind: 'take' }): Kept {
    if (keep.kind === 'share') return keep;
    return { kind: 'moved', from: (keep.from === 'receipt' ? this.#received : this.#handedIn)[fragment]! };
  }

  async #resume({ run, holds }: IslandEffect & { readonly kind: 'resume' }): Promise<void> {
    const hashes = await Promise.all(holds.map((_, fragment) => contentHash(bytesOf(this.#newest[fragment]!))));
    const hashed = holds.map((held, fragment) => ({ ...held, hash: hashes[fragment]! }));
    this.#connection.send({ kind: 'resume', run, holds: hashed, beginnings: this.#connection.beginnings });
  }

  async #prepare({ run, job, manifest, shard, restore }: Welcome): Promise<void> {
    this.#counters.unit = unitOf(job);
    this.#books?.begin(run, this.#host.name);
    this.#runPlans = job.energy.plan !== undefined;
    const fragments = Array.from({ length: job.outer.fragments }, (_, i) => this.#newest[i]!);
    const layout = fragmentsIn(manifest);
    const preparing = this.#trainer.prepare(
      {
        run,
        job,
        fragments: layout,
        island: this.#host.name,
        shard,
        data: this.#host.data,
        preparation: this.#preparation,
        base: this.#base,
        threads: this.#host.threads,
        device: this.#host.engine.device,
        stateFolder: this.#host.stateFolder(run),
      },
      fragments,
    );
    await this.#meanwhile(preparing);
    if (job.outer.carryOver) this.#received.push(...fragments);
    this.#base = null;
    await this.#exchange.prepare(layout, job.outer, fragments);
    const versions = this.#state.clocks.map((clock) => clock.version);
    const restored = await this.#trainer.restore(restore, versions);
    if (restored !== null) await this.#exchange.load(restored.exchange);
    const place = await this.#trainer.skipTo(this.#state.place);
    const clocks = restored?.clocks ?? null;
    await this.#dispatch({
      kind: 'prepared',
      restored: clocks === null ? null : (restore ?? 'latest'),
      clocks,
      place,
    });
  }

  /** Opens a merged fragment in the background; it is taken at the end of the step that is then under way. */
  #open(content: Merged): void {
    const { fragment, version, round, form, codec } = content;
    const encoded: EncodedFragment = { form, codec, payload: this.#payloads.get(keyOf(content))! };
    this.#payloads.delete(keyOf(content));
    this.#inBackground(async () => {
      const open = (): Promise<Float32Array> => this.#exchange.receive(fragment, version, encoded, round);
      this.#opened.push({ content, parameters: await this.#spanned('exchange', 'open', open) });
      this.#connection.wake();
    });
  }

  /** A copy at this step's boundary; packing and sending go on in the background. */
  async #contribute({ content, stepsSinceRead }: IslandEffect & { readonly kind: 'contribute' }): Promise<void> {
    const { fragment, round } = content;
    const before = this.#outbox.underWay(content);
    if (before !== undefined) return this.#inBackground(() => this.#upload(before.outgoing, before.from));
    const own = stepsSinceRead === null ? await this.#copy(fragment) : this.#handedIn[fragment]!.slice();
    if (stepsSinceRead === null && this.#state.work!.outer.carryOver) this.#handedIn[fragment] = own.slice();
    const pack = this.#spanned('exchange', 'pack', () => this.#exchange.contribute(fragment, own, round));
    const signed = this.#outbox.sign(this.#state.work!.run, content, pack);
    this.#inBackground(async () => this.#upload(await signed, 0));
    this.#report();
  }

  /** Where it is with a fragment now. */
  async #copy(fragment: number): Promise<Float32Array> {
    const [seconds, own] = await this.#timed('copy', () => this.#trainer.snapshot(fragment));
    this.#counters.took('exchangeS', seconds);
    return own;
  }

  async #upload(outgoing: Outgoing, from: number): Promise<void> {
    // Asked for on a connection that is gone, it is asked for again on the next.
    if (this.#state.link !== 'joined') return;
    await this.#spanned('upload', 'contribution', () => this.#connection.transfer(outgoing, from));
  }

  #inBackground(work: () => Promise<void>): void {
    void work().catch((error: unknown) => {
      this.#fault ??= { error };
      this.#connection.wake();
    });
  }

  async #save({ checkpoint, clocks }: IslandEffect & { readonly kind: 'save' }): Promise<void> {
    await this.#meanwhile(this.#trainer.save(checkpoint, clocks, await this.#exchange.save()));
    this.#tell({ kind: 'saved', checkpoint });
  }

  async #evaluate({ evaluation, parts, of }: CoordinatorMessage & { kind: 'evaluate' }): Promise<void> {
    for (const part of parts) {
      const { lossSum, tokens, correct } = await this.#meanwhile(this.#trainer.evaluate(part, of));
      const right = correct === undefined ? {} : { correct: Math.round(correct) };
      // A model that has diverged has no loss that is a number: so large a one is believed by nobody, and no fault of this island's.
      const said = Number.isFinite(lossSum) ? lossSum : Number.MAX_VALUE;
      this.#tell({ kind: 'evaluated', evaluation, part, lossSum: said, tokens, ...right });
    }
    if (this.#state.training) this.#report();
  }

  /** Messages without a connection, or before the island has joined again, are dropped. */
  #tell(message: IslandMessage): void {
    if (this.#state.link === 'joined') this.#connection.send(message);
  }

  #report(): void {
    const progress = this.#counters.report(this.#state.place);
    this.#tell({ kind: 'progress', ...progress });
    if (this.#state.training) this.#counters.tellOwner(progress);
  }

  /** Something that training waits for, and how long it took. */
  async #timed<T>(name: string, work: () => Promise<T>): Promise<readonly [seconds: number, result: T]> {
    const startMs = this.#host.nowMs();
    const result = await work();
    const endMs = this.#host.nowMs();
    if (this.#state.training) this.#host.trace({ lane: 'training', name, startMs, endMs });
    return [(endMs - startMs) / 1000, result];
  }

  /** Something that goes on beside training. */
  async #spanned<T>(lane: Span['lane'], name: string, work: () => Promise<T>): Promise<T> {
    const startMs = this.#host.nowMs();
    const result = await work();
    this.#host.trace({ lane, name, startMs, endMs: this.#host.nowMs() });
    return result;
  }
}
