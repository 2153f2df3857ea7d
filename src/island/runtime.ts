import { type Content, decodeFloats, type Parcel, sha256 } from '../protocol/frame.ts';
import { helloText, updateText } from '../protocol/identity.ts';
import {
  type CoordinatorMessage,
  type IslandMessage,
  NO_PROGRESS,
  PROTOCOL_VERSION,
  type Progress,
} from '../protocol/messages.ts';
import type { Incoming, IslandHost, Line, Span } from './host.ts';
import { activity, reactIsland } from './machine.ts';
import { withOwnData } from './own-data.ts';
import {
  type IslandEffect,
  type IslandEvent,
  type IslandState,
  type Merged,
  newIsland,
  type Welcome,
} from './state.ts';
import type { IslandExchange, IslandTrainer, Kept } from './trainer-face.ts';

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A contribution on its way. */
interface Outgoing {
  readonly content: Content & { readonly kind: 'contribution' };
  readonly payload: Uint8Array;
  readonly hash: string;
}

export type Ending = 'finished' | 'interrupted' | 'failed';

const REPORT_MS = 400;
/** Longest single wait: the heartbeat runs beside it. */
const IDLE_MS = 1_000;

/** Does what the island's machine decides, with a real trainer and a real line, until the run is over. */
export class IslandSession {
  readonly #host: IslandHost;
  readonly #line: Line;
  readonly #trainer: IslandTrainer;
  readonly #exchange: IslandExchange;
  #state: IslandState = newIsland;
  /** Global parameters of each fragment, as the machine has them in `newest`. */
  readonly #newest: Float32Array[] = [];
  /** Where it was with each fragment when it last handed in, where that will be wanted; and what the newest one took the place of. */
  readonly #handedIn: Float32Array[] = [];
  readonly #before: Float32Array[] = [];
  #preparation = '';
  #base: Uint8Array | null = null;
  /** What it handed in of each fragment, until the next merge: if the connection breaks meanwhile, the transfer goes on. */
  readonly #outbox: Outgoing[] = [];
  /** What the coordinator had of its transfers when it welcomed the island. */
  #known: Welcome['beginnings'] = [];
  /** Payloads of merged fragments that the machine is to be asked about. */
  readonly #payloads = new Map<Merged, Parcel['payload']>();
  /** Merged fragments that are open and wait for the end of the step. */
  readonly #opened: { readonly content: Merged; readonly parameters: Float32Array }[] = [];
  /** The first error of what goes on while the trainer computes. */
  #fault: { readonly error: unknown } | undefined;
  #ending: Ending | undefined;
  #counters = { ...NO_PROGRESS };
  #reportedMs = 0;
  readonly #cpuBeforeS: number;

  constructor(host: IslandHost, line: Line, trainer: IslandTrainer, exchange: IslandExchange) {
    this.#host = host;
    this.#line = line;
    this.#trainer = trainer;
    this.#exchange = exchange;
    this.#cpuBeforeS = host.cpuS();
  }

  /**
   * Runs until the coordinator says stop, or the line is closed from this side.
   *
   * @throws HelioError when the coordinator refuses the island or stays away, or its own part cannot be done
   */
  async run(): Promise<Ending> {
    for (;;) {
      await this.#takeOpened();
      if (this.#ending !== undefined) return this.#ending;
      const waitMs = this.#waitMs();
      const [seconds, item] = await this.#timed('wait', () => this.#line.next(waitMs));
      if (this.#state.training) this.#counters.waitS += seconds;
      if (item === null) return 'interrupted';
      if (item !== 'timeout') await this.#handle(item);
      else if (waitMs === 0) await this.#step();
    }
  }

  /** 0 when there is a step to take; otherwise how long to wait for the next message. */
  #waitMs(): number {
    const nowMs = this.#host.nowMs();
    const next = activity(this.#state, nowMs);
    this.#state = next.state;
    return next.activity.kind === 'step' ? 0 : Math.max(1, Math.min(IDLE_MS, next.activity.untilMs - nowMs));
  }

  async #step(): Promise<void> {
    const [seconds, result] = await this.#timed('step', () => this.#trainer.step());
    this.#counters.computeS += seconds;
    this.#counters.tokens += result.tokens;
    if (result.skipped) this.#counters.skippedSteps++;
    else Object.assign(this.#counters, { loss: result.loss, gradNorm: result.gradNorm });
    this.#counters.tokensPerS = result.tokens / seconds;
    await this.#dispatch({ kind: 'stepped', tokens: result.tokens, stepMs: 1000 * seconds });
    if (this.#host.nowMs() - this.#reportedMs >= REPORT_MS) this.#report();
  }

  async #handle(item: Incoming): Promise<void> {
    if (item.kind === 'told' && item.message.kind === 'welcome') this.#known = item.message.beginnings;
    if (item.kind !== 'received') return this.#dispatch(item);
    const { content, payload, sinceMs } = item;
    switch (content.kind) {
      case 'preparation':
        this.#preparation = new TextDecoder().decode(payload);
        break;
      case 'base':
        this.#base = payload;
        break;
      case 'global':
        this.#newest[content.fragment] = decodeFloats(payload);
        break;
      case 'merged':
        this.#payloads.set(content, payload);
        this.#host.trace({ lane: 'download', name: 'merged', startMs: sinceMs, endMs: this.#host.nowMs() });
        break;
    }
    await this.#dispatch({ kind: 'received', content });
  }

  async #takeOpened(): Promise<void> {
    for (let next = this.#opened.shift(); next !== undefined; next = this.#opened.shift()) {
      const { fragment } = next.content;
      if (this.#state.work!.outer.carryOver) this.#before[fragment] = this.#newest[fragment]!;
      this.#newest[fragment] = next.parameters;
      delete this.#outbox[fragment];
      await this.#dispatch({ kind: 'opened', content: next.content });
    }
    if (this.#fault !== undefined) throw this.#fault.error;
  }

  async #dispatch(event: IslandEvent): Promise<void> {
    const { state, effects } = reactIsland(this.#state, event);
    this.#state = state;
    for (const effect of effects) await this.#perform(effect);
  }

  async #perform(effect: IslandEffect): Promise<void> {
    switch (effect.kind) {
      case 'hello':
        return this.#hello(effect);
      case 'say':
        return this.#host.say(effect.sentence);
      case 'send':
        // Whoever hears that it is due also knows how fast it is.
        if (effect.message.kind === 'due') this.#report();
        return this.#line.send(effect.message);
      case 'prepare':
        return this.#prepare(effect.welcome);
      case 'open':
        return this.#open(effect.content);
      case 'take': {
        const { fragment, place } = effect;
        const take = (): Promise<void> =>
          this.#trainer.take(fragment, this.#newest[fragment]!, this.#kept(effect), place);
        this.#counters.exchangeS += (await this.#timed('take', take))[0];
        return;
      }
      case 'reset': {
        const { fragment, round } = effect.content;
        return this.#exchange.reset(fragment, this.#newest[fragment]!, round);
      }
      case 'rebase':
        return this.#exchange.rebase(effect.fragment);
      case 'contribute':
        return this.#contribute(effect);
      case 'evaluate':
        this.#counters.evaluateS += (await this.#timed('evaluate', () => this.#evaluate(effect.message)))[0];
        return;
      case 'save':
        await this.#timed('checkpoint', () => this.#save(effect));
        return;
      case 'end':
        this.#ending = effect.reason;
        return;
    }
  }

  #kept({ fragment, keep }: IslandEffect & { readonly kind: 'take' }): Kept {
    if (keep.kind === 'share') return keep;
    return { kind: 'moved', from: (keep.from === 'receipt' ? this.#before : this.#handedIn)[fragment]! };
  }

  #hello({ nonce, run, holds }: IslandEffect & { readonly kind: 'hello' }): void {
    const { name, identity, invitation, software, threads, engine } = this.#host;
    this.#line.send({
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      island: name,
      key: identity.publicKey,
      signature: identity.sign(helloText(nonce, name)),
      invitation,
      software,
      threads,
      run,
      holds: holds.map((held, fragment) => ({ ...held, sha256: sha256(bytesOf(this.#newest[fragment]!)) })),
      beginnings: this.#line.beginnings,
      engine: { ...engine, onProcessor: [...engine.onProcessor] },
    });
  }

  async #prepare({ run, job: given, shard, dataFolder, restore }: Welcome): Promise<void> {
    const job = withOwnData(given, this.#host.dataPaths);
    const fragments = Array.from({ length: job.outer.fragments }, (_, i) => this.#newest[i]!);
    const layout = await this.#trainer.prepare(
      {
        run,
        job,
        shard,
        dataFolder,
        preparation: this.#preparation,
        base: this.#base,
        threads: this.#host.threads,
        device: this.#host.engine.device,
        stateFolder: this.#host.stateFolder(run),
      },
      fragments,
    );
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
    const { fragment, round, form, codec } = content;
    const parcel: Parcel = { form, codec, payload: this.#payloads.get(content)! };
    this.#payloads.delete(content);
    this.#inBackground(async () => {
      const open = (): Promise<Float32Array> => this.#exchange.receive(fragment, parcel, round);
      this.#opened.push({ content, parameters: await this.#spanned('exchange', 'open', open) });
      this.#line.wake();
    });
  }

  /** A copy at this step's boundary; packing and sending go on in the background. */
  async #contribute({ content }: IslandEffect & { readonly kind: 'contribute' }): Promise<void> {
    const { fragment, round } = content;
    const before = this.#outbox[fragment];
    const there = this.#known.find(({ sha256: hash }) => hash === before?.hash);
    if (before !== undefined && before.content.round === round && there !== undefined) {
      // Goes on as it was handed in, with the counters and the place of then.
      this.#known = [];
      return this.#inBackground(() => this.#upload(before, there.bytes));
    }
    const [seconds, own] = await this.#timed('copy', () => this.#trainer.snapshot(fragment));
    this.#counters.exchangeS += seconds;
    if (this.#state.work!.outer.carryOver) this.#handedIn[fragment] = own.slice();
    const pack = this.#spanned('exchange', 'pack', () => this.#exchange.contribute(fragment, own, round));
    this.#inBackground(async () => {
      const { form, codec, payload } = await pack;
      const update = { ...content, form, codec };
      const hash = sha256(payload);
      const signature = this.#host.identity.sign(updateText(this.#state.work!.run, update, hash));
      const outgoing = { content: { ...update, signature }, payload, hash };
      this.#outbox[fragment] = outgoing;
      await this.#upload(outgoing, 0);
    });
    this.#report();
  }

  async #upload({ content, payload, hash }: Outgoing, from: number): Promise<void> {
    // Asked for on a connection that is gone, it is asked for again on the next.
    if (this.#state.link !== 'joined') return;
    await this.#spanned('upload', 'contribution', () => this.#line.transfer(content, payload, hash, from));
  }

  #inBackground(work: () => Promise<void>): void {
    void work().catch((error: unknown) => {
      this.#fault ??= { error };
      this.#line.wake();
    });
  }

  async #save({ checkpoint, clocks }: IslandEffect & { readonly kind: 'save' }): Promise<void> {
    await this.#trainer.save(checkpoint, clocks, await this.#exchange.save());
    this.#tell({ kind: 'saved', checkpoint });
  }

  async #evaluate({ evaluation, parts, of }: CoordinatorMessage & { kind: 'evaluate' }): Promise<void> {
    for (const part of parts) {
      const { lossSum, tokens, correct } = await this.#trainer.evaluate(part, of);
      const right = correct === undefined ? {} : { correct: Math.round(correct) };
      this.#tell({ kind: 'evaluated', evaluation, part, lossSum, tokens, ...right });
    }
    if (this.#state.training) this.#report();
  }

  /** What is said while there is nobody, or before the island was let in again, is of no use there. */
  #tell(message: IslandMessage): void {
    if (this.#state.link === 'joined') this.#line.send(message);
  }

  #report(): void {
    this.#reportedMs = this.#host.nowMs();
    const progress: Progress = {
      ...this.#counters,
      step: this.#state.place,
      cpuS: this.#host.cpuS() - this.#cpuBeforeS,
      peakMemoryBytes: this.#host.peakMemoryBytes(),
    };
    this.#tell({ kind: 'progress', ...progress });
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
