import type { CoordinatorConnection, Incoming } from '../../src/island/host.ts';
import type { Random } from '../../src/ml/tensor/random.ts';
import { decodeFloats, type Packed } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { type Identity, updateText } from '../../src/protocol/identity.ts';
import { readJob } from '../../src/protocol/job.ts';
import type { IslandMessage } from '../../src/protocol/messages.ts';
import type { Known, Lie } from '../coordinator/liars.ts';

export interface LyingOptions {
  readonly identity: Identity;
  readonly random: Random;
  /** What it lies about now. */
  readonly lie: () => Lie;
}

const VOLUNTEERS_MS = 250;

/** A real island's way to the coordinator on which a lie stands: it signs what it says instead with the island's own key. Only whole float32 parameters are scaled. */
export class LyingConnection implements CoordinatorConnection {
  readonly #inner: CoordinatorConnection;
  readonly #options: LyingOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #versions: number[] = [];
  #run = '';
  #innerSteps = 1;
  #tokensPerStep = 1;
  #training = false;
  #evaluation = 0;
  #parts = 1;

  constructor(inner: CoordinatorConnection, options: LyingOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#timer = setInterval(() => {
      if (!this.#training) return;
      for (const said of options.lie().volunteers?.(this.#known) ?? []) this.#inner.send(said);
    }, VOLUNTEERS_MS);
  }

  send(message: IslandMessage): void {
    const lie = this.#options.lie();
    for (const said of lie.says?.(message, this.#known) ?? [message]) {
      this.#inner.send(said);
      if (lie.repeats === true && said.kind !== 'hello' && said.kind !== 'resume')
        setTimeout(() => this.#inner.send(said), 500).unref();
    }
  }

  async transfer(packed: Packed, from: number): Promise<void> {
    const { content } = packed;
    if (content.kind !== 'contribution') return this.#inner.transfer(packed, from);
    const lie = this.#options.lie();
    const claim = lie.contributes === undefined ? content : lie.contributes(content, this.#known);
    if (claim === null) return;
    const scales = lie.scale !== undefined && content.codec === 'f32';
    if (claim === content && !scales) return this.#inner.transfer(packed, from);
    const numbers = scales ? decodeFloats(packed.payload.subarray(0, packed.payload.length)) : undefined;
    const scaled = numbers && new Uint8Array(numbers.map((x) => lie.scale! * x).buffer);
    const payload = scaled ?? packed.payload;
    const hash = scaled === undefined ? packed.hash : await contentHash(scaled);
    const { form, codec } = content;
    const update = { ...claim, form, codec };
    const signature = await this.#options.identity.sign(updateText(this.#run, update, hash));
    return this.#inner.transfer({ content: { ...content, ...update, signature }, payload, hash }, 0);
  }

  sleep(): void {
    this.#inner.sleep();
  }

  awaken(): void {
    this.#inner.awaken();
  }

  async next(timeoutMs: number): Promise<Incoming | 'timeout' | null> {
    const item = await this.#inner.next(timeoutMs);
    if (item !== null && item !== 'timeout') this.#learn(item);
    return item;
  }

  wake(): void {
    this.#inner.wake();
  }

  get beginnings(): CoordinatorConnection['beginnings'] {
    return this.#inner.beginnings;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#inner.close();
  }

  get #known(): Known {
    return {
      random: this.#options.random,
      innerSteps: this.#innerSteps,
      tokensPerStep: this.#tokensPerStep,
      versions: this.#versions,
      parts: this.#parts,
      evaluation: this.#evaluation,
    };
  }

  #learn(item: Incoming): void {
    if (item.kind === 'received' && (item.content.kind === 'merged' || item.content.kind === 'global'))
      this.#versions[item.content.fragment] = item.content.version;
    if (item.kind !== 'told') return;
    const { message } = item;
    if (message.kind === 'start') this.#training = true;
    if (message.kind === 'evaluate') [this.#evaluation, this.#parts] = [message.evaluation, message.of];
    if (message.kind !== 'welcome') return;
    this.#run = message.run;
    const { job } = readJob(message.job);
    this.#innerSteps = job.outer.innerSteps;
    this.#tokensPerStep = job.batch * ('paths' in job.data ? job.context : 1);
  }
}
