import { HelioError } from '../errors.ts';
import type { Provider } from '../ml/engine/session.ts';
import { type Content, decodeFloats, type Parcel, type Transfer } from '../protocol/frame.ts';
import {
  type CoordinatorMessage,
  type IslandMessage,
  NO_PROGRESS,
  PROTOCOL_VERSION,
  type Progress,
} from '../protocol/messages.ts';
import { type FragmentClock, holding, holdsUntilMs, isDue, received, stepped } from './fragment-clock.ts';
import { withOwnData } from './own-data.ts';
import type { Assignment, IslandExchange, IslandTrainer } from './trainer-face.ts';

/** One open connection to the coordinator, as the runtime sees it. */
export interface Connection {
  send(message: IslandMessage): void;
  /** Resolves when the last byte has left this process, or the connection is closed. */
  transfer(content: Content, payload: Uint8Array): Promise<void>;
  /** Next message or transfer; null once the connection is closed. Waits no longer than `timeoutMs`. */
  next(timeoutMs: number): Promise<Incoming | 'timeout' | null>;
  /** Ends a wait that is under way, as if its time were over. */
  wake(): void;
  close(): void;
}
export type Incoming =
  | CoordinatorMessage
  /** @property sinceMs when its first byte came */
  | (Transfer & { readonly kind: 'transfer'; readonly sinceMs: number });

/** Something that took time on the island: one bar in its timeline. */
export interface Span {
  readonly lane: 'training' | 'exchange' | 'upload' | 'download';
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** The world as the runtime needs it. */
export interface IslandHost {
  readonly name: string;
  readonly software: string;
  readonly threads: number;
  /** Where the engine computes, and the operators that it leaves to the processor there. */
  readonly engine: { readonly device: Provider; readonly onProcessor: readonly string[] };
  /** Folder for the island's own checkpoints of a run. */
  stateFolder(run: string): string;
  /** The owner's data as absolute paths, where they differ from those that the run names. */
  readonly dataPaths: readonly string[] | undefined;
  nowMs(): number;
  cpuS(): number;
  peakMemoryBytes(): number;
  trace(span: Span): void;
}

export type Ending = 'finished' | 'interrupted' | 'failed' | 'disconnected';

const REPORT_MS = 400;

/** An island's life on one connection: welcomed, catching up, training, until it is told to stop or cut off. */
export class IslandSession {
  readonly #host: IslandHost;
  readonly #connection: Connection;
  readonly #trainer: IslandTrainer;
  readonly #exchange: IslandExchange;
  /** Resolves when all merged fragments that have come are open. */
  #opening: Promise<void> = Promise.resolve();
  /** The first error of what goes on while the trainer computes. */
  #fault: { readonly error: unknown } | undefined;
  /** Merged fragments that are open and wait for the end of the step. */
  readonly #opened: Merged[] = [];
  /** With one step of delay: the newest merge of each fragment, until the island takes it. */
  readonly #newest: Merged[] = [];
  #clocks: FragmentClock[] = [];
  #assignment: Assignment | undefined;
  #training = false;
  #counters = { ...NO_PROGRESS };
  #reportedMs = 0;
  #place = 0;
  readonly #cpuBeforeS: number;

  constructor(host: IslandHost, connection: Connection, trainer: IslandTrainer, exchange: IslandExchange) {
    this.#host = host;
    this.#connection = connection;
    this.#trainer = trainer;
    this.#exchange = exchange;
    this.#cpuBeforeS = host.cpuS();
  }

  /**
   * Runs until the coordinator says stop or the connection ends.
   *
   * @throws HelioError when the coordinator refuses the island, or its own part cannot be done
   */
  async run(): Promise<Ending> {
    const { name, software, threads, engine } = this.#host;
    this.#connection.send({
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      island: name,
      software,
      threads,
      engine: { ...engine, onProcessor: [...engine.onProcessor] },
    });
    const restored = await this.#catchUp();
    if (restored === undefined) return 'disconnected';
    this.#connection.send({ kind: 'ready', restored });
    for (;;) {
      await this.#takeOpened();
      const waitMs = this.#waitMs();
      const [seconds, item] = await this.#timed('wait', () => this.#connection.next(waitMs));
      if (this.#training) this.#counters.waitS += seconds;
      if (item === null) return 'disconnected';
      if (item === 'timeout') {
        if (waitMs === 0) await this.#step();
        continue;
      }
      const ending = await this.#handle(item);
      if (ending !== undefined) return ending;
    }
  }

  /** Welcome, preparation, base if there is one, every fragment; then data and engine. @returns the checkpoint restored, undefined if cut off */
  async #catchUp(): Promise<string | null | undefined> {
    let welcome: (CoordinatorMessage & { kind: 'welcome' }) | undefined;
    let preparation: string | undefined;
    let base: Uint8Array | null = null;
    const fragments = new Map<number, Float32Array>();
    const complete = (): boolean =>
      preparation !== undefined &&
      welcome !== undefined &&
      fragments.size === welcome.job.outer.fragments &&
      (base !== null || welcome.job.model.lora === undefined);
    while (!complete()) {
      const item = await this.#connection.next(PATIENCE_MS);
      if (item === null) return undefined;
      if (item === 'timeout')
        throw new HelioError(
          'HELIO-5001',
          `The coordinator sent nothing for ${PATIENCE_MS / 1000} s.`,
          'Check that it still runs, and join again.',
        );
      if (item.kind === 'refused') throw refusal(item);
      if (item.kind === 'stop') return undefined;
      if (item.kind === 'welcome') welcome = item;
      if (item.kind !== 'transfer') continue;
      if (item.content.kind === 'preparation') preparation = new TextDecoder().decode(item.payload);
      if (item.content.kind === 'base') base = item.payload;
      if (item.content.kind === 'merged') {
        const parameters = decodeFloats(item.payload);
        fragments.set(item.content.fragment, parameters);
        if (welcome?.job.outer.oneStepDelay)
          this.#newest[item.content.fragment] = { content: item.content, parameters };
        this.#clocks[item.content.fragment] = received(item.content.version, item.content.stepsUntilDue);
        this.#place = Math.max(this.#place, item.content.runStep);
      }
    }
    const { run, shard, dataFolder, restore } = welcome!;
    const job = withOwnData(welcome!.job, this.#host.dataPaths);
    this.#assignment = {
      run,
      job,
      shard,
      dataFolder,
      preparation: preparation!,
      base,
      threads: this.#host.threads,
      device: this.#host.engine.device,
      stateFolder: this.#host.stateFolder(run),
    };
    const ordered = Array.from({ length: job.outer.fragments }, (_, i) => fragments.get(i)!);
    const layout = await this.#trainer.prepare(this.#assignment, ordered);
    await this.#exchange.prepare(layout, job.outer, ordered);
    const restored = await this.#trainer.restore(
      restore,
      this.#clocks.map((clock) => clock.version),
    );
    if (restored !== null) await this.#exchange.load(restored.exchange);
    const clocks = restored?.clocks ?? null;
    if (clocks !== null) this.#clocks = clocks.map((c, i) => ({ ...c, stepsUntilDue: this.#clocks[i]!.stepsUntilDue }));
    this.#place = await this.#trainer.skipTo(this.#place);
    return clocks === null ? null : (restore ?? 'latest');
  }

  /** 0 when there is a step to take; otherwise how long to wait for the next message. */
  #waitMs(): number {
    if (!this.#training) return IDLE_MS;
    const { outer } = this.#assignment!.job;
    const nowMs = this.#host.nowMs();
    this.#clocks = holding(this.#clocks, outer.overlapSteps, nowMs);
    const untilMs = holdsUntilMs(this.#clocks, outer, nowMs);
    return untilMs === null ? 0 : Math.max(1, Math.min(IDLE_MS, untilMs - nowMs));
  }

  async #step(): Promise<void> {
    const [seconds, result] = await this.#timed('step', () => this.#trainer.step());
    this.#place++;
    this.#counters.computeS += seconds;
    this.#counters.tokens += result.tokens;
    if (result.skipped) this.#counters.skippedSteps++;
    else Object.assign(this.#counters, { loss: result.loss, gradNorm: result.gradNorm });
    this.#counters.tokensPerS = result.tokens / seconds;
    this.#clocks = this.#clocks.map((clock) => stepped(clock, result.tokens));
    const due = this.#clocks.some(isDue);
    if (due || this.#host.nowMs() - this.#reportedMs >= REPORT_MS) this.#report();
    this.#reportDue();
  }

  #reportDue(): void {
    this.#clocks = this.#clocks.map((clock, fragment) => {
      if (!isDue(clock)) return clock;
      this.#connection.send({ kind: 'due', fragment, version: clock.version });
      return { ...clock, reported: true };
    });
  }

  async #handle(item: Incoming): Promise<Ending | undefined> {
    switch (item.kind) {
      case 'start':
        this.#training = true;
        this.#clocks = this.#clocks.map((clock) => ({ ...clock, reported: false, heldSinceMs: null }));
        this.#reportDue();
        return;
      case 'pull':
        await this.#settle();
        return this.#contribute(item.fragment);
      case 'transfer':
        return this.#receive(item);
      case 'evaluate':
        await this.#settle();
        this.#counters.evaluateS += (await this.#timed('evaluate', () => this.#evaluate(item)))[0];
        return;
      case 'checkpoint':
        await this.#settle();
        await this.#timed('checkpoint', () => this.#save(item.checkpoint));
        return;
      case 'refused':
        throw refusal(item);
      case 'stop':
        await this.#settle();
        return item.reason;
      case 'welcome':
        throw new HelioError(
          'HELIO-4004',
          'The coordinator welcomed this island twice.',
          'Both sides must run the same version of Heliotrope.',
        );
    }
  }

  /** A copy at this step's boundary; packing and sending go on in the background. */
  async #contribute(fragment: number): Promise<undefined> {
    const clock = this.#clocks[fragment];
    if (clock === undefined) throw noSuchFragment(fragment);
    const [seconds, own] = await this.#timed('copy', () => this.#trainer.snapshot(fragment));
    this.#counters.exchangeS += seconds;
    const { version, steps, tokens } = clock;
    const pack = this.#spanned('exchange', 'pack', () => this.#exchange.contribute(fragment, own));
    void this.#inBackground(async () => {
      const { form, codec, payload } = await pack;
      const content = { kind: 'contribution', fragment, version, steps, tokens, form, codec } as const;
      await this.#spanned('upload', 'contribution', () => this.#connection.transfer(content, payload));
    });
    this.#report();
    if (this.#assignment!.job.outer.oneStepDelay) await this.#nextRound(fragment);
  }

  /** One step of delay: what was merged meanwhile, or the same again, is what the next contribution differs from. */
  async #nextRound(fragment: number): Promise<void> {
    const { content, parameters } = this.#newest[fragment]!;
    await this.#exchange.rebase(fragment);
    await this.#take(fragment, parameters, 0, content.runStep);
    const same = content.version === this.#clocks[fragment]!.version;
    const steps = same ? this.#assignment!.job.outer.innerSteps : content.stepsUntilDue;
    this.#clocks[fragment] = received(content.version, steps);
  }

  /** Opens a merged fragment in the background; it is taken at the end of the step that is then under way. */
  #receive({ content, payload, sinceMs }: Incoming & { kind: 'transfer' }): undefined {
    if (content.kind !== 'merged') return;
    if (this.#clocks[content.fragment] === undefined) throw noSuchFragment(content.fragment);
    this.#host.trace({ lane: 'download', name: 'merged', startMs: sinceMs, endMs: this.#host.nowMs() });
    const parcel: Parcel = { form: content.form, codec: content.codec, payload };
    this.#opening = this.#inBackground(async () => {
      const open = (): Promise<Float32Array> => this.#exchange.receive(content.fragment, parcel);
      const parameters = await this.#spanned('exchange', 'open', open);
      this.#opened.push({ content, parameters });
      this.#connection.wake();
    });
  }

  async #takeOpened(): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault.error;
    const { outer } = this.#assignment!.job;
    for (let next = this.#opened.shift(); next !== undefined; next = this.#opened.shift()) {
      const { content, parameters } = next;
      const { fragment, runStep, version, stepsUntilDue } = content;
      await this.#take(fragment, parameters, outer.oneStepDelay ? 1 : outer.localShare, runStep);
      if (outer.oneStepDelay) {
        this.#newest[fragment] = { content, parameters };
        // A report that came before this merge was one for it; if the island is due again already, it says so again.
        this.#clocks[fragment] = { ...this.#clocks[fragment]!, reported: false };
        this.#reportDue();
      } else {
        await this.#exchange.rebase(fragment);
        this.#clocks[fragment] = received(version, stepsUntilDue);
      }
    }
  }

  async #take(fragment: number, parameters: Float32Array, ownShare: number, runStep: number): Promise<void> {
    const take = (): Promise<void> => this.#trainer.take(fragment, parameters, ownShare, runStep);
    this.#counters.exchangeS += (await this.#timed('take', take))[0];
    this.#place = Math.max(this.#place, runStep);
  }

  #inBackground(work: () => Promise<void>): Promise<void> {
    return work().catch((error: unknown) => {
      this.#fault ??= { error };
      this.#connection.wake();
    });
  }

  /** Takes what was merged before the word that is handled now: messages count in the order in which they were sent. */
  async #settle(): Promise<void> {
    await this.#opening;
    await this.#takeOpened();
  }

  async #save(checkpoint: string): Promise<void> {
    await this.#trainer.save(checkpoint, this.#clocks, await this.#exchange.save());
    this.#connection.send({ kind: 'saved', checkpoint });
  }

  async #evaluate({ evaluation, parts, of }: CoordinatorMessage & { kind: 'evaluate' }): Promise<void> {
    for (const part of parts) {
      const { lossSum, tokens, correct } = await this.#trainer.evaluate(part, of);
      const right = correct === undefined ? {} : { correct: Math.round(correct) };
      this.#connection.send({ kind: 'evaluated', evaluation, part, lossSum, tokens, ...right });
    }
    if (this.#training) this.#report();
  }

  #report(): void {
    this.#reportedMs = this.#host.nowMs();
    const progress: Progress = {
      ...this.#counters,
      step: this.#place,
      cpuS: this.#host.cpuS() - this.#cpuBeforeS,
      peakMemoryBytes: this.#host.peakMemoryBytes(),
    };
    this.#connection.send({ kind: 'progress', ...progress });
  }

  /** Something that training waits for, and how long it took. */
  async #timed<T>(name: string, work: () => Promise<T>): Promise<readonly [seconds: number, result: T]> {
    const startMs = this.#host.nowMs();
    const result = await work();
    const endMs = this.#host.nowMs();
    if (this.#training) this.#host.trace({ lane: 'training', name, startMs, endMs });
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

/** A merged fragment, open. */
interface Merged {
  readonly content: Content & { readonly kind: 'merged' };
  readonly parameters: Float32Array;
}

/** How long an island waits for the coordinator's first words. */
const PATIENCE_MS = 60_000;
/** Longest single wait: the heartbeat runs beside it. */
const IDLE_MS = 1_000;

const noSuchFragment = (fragment: number): HelioError =>
  new HelioError(
    'HELIO-4004',
    `The coordinator spoke of fragment ${fragment}, which does not exist.`,
    'Both sides must run the same version of Heliotrope.',
  );

const refusal = ({ code, what, remedy }: CoordinatorMessage & { kind: 'refused' }): HelioError =>
  new HelioError('HELIO-4003', `The coordinator refused this island (${code}): ${what}`, remedy);
