import { Aggregation } from '../../src/coordinator/aggregation.ts';
import type { RunSettings, RunState } from '../../src/coordinator/state.ts';
import type { AggregationState } from '../../src/coordinator/state-pieces.ts';
import { FragmentExchange } from '../../src/island/fragment-exchange.ts';
import type { IslandEffect, Keep } from '../../src/island/state.ts';
import type { Random } from '../../src/ml/tensor/random.ts';
import { codecFor } from '../../src/outer/codecs/index.ts';
import { packUpdate } from '../../src/outer/encoded-fragment.ts';
import { cutIntoFragments, type Fragment, pack, type TensorLayout } from '../../src/outer/fragments.ts';
import type { OuterSettings } from '../../src/outer/settings.ts';
import type { EncodedFragment } from '../../src/protocol/frame.ts';

/**
 * What the islands of a seeded world compute, and what travels between them: small arrays through the real codecs, the real exchange and the
 * real aggregation. What is sent is handed over as `runtime.ts` and `server/effect-runner.ts` do it, so that a version that arrives at an island
 * with other bits than the coordinator has is found at once.
 */

/** Small, but with a matrix that is worth factoring, a block that is not full, and whole layers to cut. */
const TENSORS: readonly TensorLayout[] = [
  { name: 'embedding', elements: 300, rows: 30, role: 'embedding' },
  ...[0, 1, 2, 3].flatMap((layer): TensorLayout[] => [
    { name: `h.${layer}.matrix`, elements: 320, rows: 20, layer, role: 'other' },
    { name: `h.${layer}.bias`, elements: 7, layer, role: 'other' },
  ]),
];

export const fragmentsFor = ({ fragments, fragmentation }: OuterSettings): readonly Fragment[] =>
  cutIntoFragments(TENSORS, fragments, fragmentation);

type Contribute = (IslandEffect & { readonly kind: 'contribute' })['content'];

const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.compare(
    new Uint8Array(a.buffer, a.byteOffset, a.byteLength),
    new Uint8Array(b.buffer, b.byteOffset, b.byteLength),
  ) === 0;

const copies = (arrays: readonly Float32Array[]): Float32Array[] => arrays.map((array) => array.slice());

/** Tokens of a part of the held-out text. */
export const PART_TOKENS = 100;

/** Loss of a part of the held-out text, in nats a token: each part has its own best parameters, near those of all. */
function lossOf(global: readonly Float32Array[], part: number): number {
  let sum = 0;
  let elements = 0;
  for (const [fragment, array] of global.entries()) {
    for (const [i, x] of array.entries()) sum += (x - targetOf(fragment, i) - 0.01 * part) ** 2;
    elements += array.length;
  }
  return 3 + sum / elements;
}

const targetOf = (fragment: number, i: number): number => Math.sin(1 + 3 * fragment + i);

/** What one island's process has in memory. */
export class IslandNumbers {
  readonly #all: Numbers;
  /** As its session has them (`runtime.ts`). */
  readonly newest: Float32Array[] = [];
  /** Merged fragments that came, by fragment and version. */
  readonly encoded = new Map<string, EncodedFragment>();
  readonly #handedIn: Float32Array[] = [];
  readonly #received: Float32Array[] = [];
  #exchange: FragmentExchange | undefined;
  /** As its trainer has them. */
  own: Float32Array[] = [];
  global: Float32Array[] = [];

  constructor(all: Numbers) {
    this.#all = all;
  }

  prepare(): void {
    const { fragments, outer } = this.#all;
    const begin = fragments.map((_, i) => this.newest[i]!);
    this.#exchange = new FragmentExchange(fragments, outer, begin);
    this.own = copies(begin);
    this.global = copies(begin);
    this.#received.push(...begin);
  }

  step(random: Random): void {
    for (const [fragment, own] of this.own.entries())
      for (let i = 0; i < own.length; i++)
        own[i] = own[i]! + 0.05 * (targetOf(fragment, i) - own[i]!) + 0.02 * random.normal();
  }

  /** A fragment that came whole. */
  came(fragment: number, whole: Float32Array): void {
    this.newest[fragment] = whole.slice();
  }

  /** What came whole is only measured. */
  show(fragment: number, version: number, round: number): void {
    this.#exchange!.show(fragment, version, this.newest[fragment]!, round);
    this.#all.requireBits(fragment, version, this.newest[fragment]!);
  }

  reset(fragment: number, version: number, round: number): void {
    this.#exchange!.reset(fragment, this.newest[fragment]!, round);
    this.#all.requireBits(fragment, version, this.newest[fragment]!);
  }

  /** Unpacks a merged fragment: what comes of it is put in its place by {@link opened}. */
  open(fragment: number, version: number, round: number): Float32Array {
    const opened = this.#exchange!.receive(fragment, version, this.encoded.get(`${fragment}:${version}`)!, round);
    this.#all.requireBits(fragment, version, opened);
    return opened;
  }

  opened(fragment: number, parameters: Float32Array): void {
    this.newest[fragment] = parameters;
  }

  take(fragment: number, keep: Keep): void {
    const [own, global] = [this.own[fragment]!, this.newest[fragment]!];
    this.global[fragment] = global.slice();
    if (keep.kind === 'share') {
      const { share } = keep;
      for (let i = 0; i < own.length; i++) own[i] = share === 1 ? own[i]! : share * own[i]! + (1 - share) * global[i]!;
      if (share === 0 && !sameBits(own, global)) throw new Error(`fragment ${fragment} was taken, and is another`);
      if (share < 1) this.#received[fragment] = global;
      return;
    }
    const from = (keep.from === 'receipt' ? this.#received : this.#handedIn)[fragment]!;
    for (let i = 0; i < own.length; i++) own[i] = global[i]! + (own[i]! - from[i]!);
    this.#received[fragment] = global;
  }

  rebase(fragment: number, version: number): void {
    this.#exchange!.rebase(fragment, version);
  }

  read(fragment: number): void {
    this.#handedIn[fragment] = this.own[fragment]!.slice();
  }

  /** @throws Error when it is not the difference to the version that it names, or loses something of it */
  contribute({ fragment, version, round }: Contribute, wasRead: boolean): EncodedFragment {
    const own = (wasRead ? this.#handedIn : this.own)[fragment]!.slice();
    if (!wasRead && this.#all.outer.carryOver) this.#handedIn[fragment] = own.slice();
    const { residuals, memories } = this.#exchange!.save();
    const [residual, memory] = [residuals[fragment]!.slice(), memories[fragment]!.slice()];
    const encoded = this.#exchange!.contribute(fragment, own, round);
    if (encoded.form === 'parameters') return encoded;
    const base = this.#all.bitsOf(fragment, version);
    const codec = codecFor(this.#all.outer.upCodec, this.#all.fragments[fragment]!);
    const expected = packUpdate(codec, { parameters: own, base, residual, memory, sign: -1 });
    if (Buffer.compare(encoded.payload, expected.encoded.payload) !== 0)
      throw new Error(`a contribution to fragment ${fragment} is no difference to version ${version}, which it names`);
    return encoded;
  }

  measure(part: number): number {
    return PART_TOKENS * lossOf(this.global, part);
  }
}

/** The coordinator's side, and what is known of all versions that there were. */
export class Numbers {
  readonly outer: OuterSettings;
  readonly fragments: readonly Fragment[];
  aggregation: Aggregation;
  readonly #start: AggregationState;
  readonly #history = new Map<string, Float32Array>();
  readonly #deltas = new Map<string, Float32Array>();
  readonly #saved = new Map<string, AggregationState>();

  constructor({ outer }: Pick<RunSettings, 'outer'>, random: Random) {
    this.outer = outer;
    this.fragments = fragmentsFor(outer);
    const parameters = new Map(
      TENSORS.map(({ name, elements }) => [name, Float32Array.from({ length: elements }, () => random.normal())]),
    );
    this.aggregation = new Aggregation(this.fragments, outer, { parameters });
    this.#start = structuredClone(this.aggregation.state());
    for (const [i, fragment] of this.fragments.entries()) this.#history.set(`${i}:0`, pack(fragment, parameters));
  }

  bitsOf(fragment: number, version: number): Float32Array {
    return this.#history.get(`${fragment}:${version}`)!;
  }

  requireBits(fragment: number, version: number, bits: Float32Array): void {
    if (sameBits(bits, this.bitsOf(fragment, version))) return;
    throw new Error(`version ${version} of fragment ${fragment} is another at an island than at the coordinator`);
  }

  merge(
    fragment: number,
    version: number,
    weights: readonly { readonly island: string; readonly weight: number }[],
  ): EncodedFragment {
    const { encoded, delta } = this.aggregation.merge(fragment, weights);
    this.#history.set(`${fragment}:${version}`, this.aggregation.array('parameters', fragment).slice());
    this.#deltas.set(`${fragment}:${version}`, delta.slice());
    return encoded;
  }

  save(checkpoint: string): void {
    this.#saved.set(checkpoint, structuredClone(this.aggregation.state()));
  }

  /** Begins again from a checkpoint and the merges since. @throws Error when that leads to other bits */
  recover(checkpoint: string | undefined, versions: readonly number[]): void {
    const state = structuredClone(checkpoint === undefined ? this.#start : this.#saved.get(checkpoint)!);
    this.aggregation = new Aggregation(this.fragments, this.outer, state);
    for (const [fragment, newest] of versions.entries()) {
      for (let version = this.aggregation.version(fragment) + 1; version <= newest; version++)
        this.aggregation.follow(fragment, this.#deltas.get(`${fragment}:${version}`)!.slice());
      this.requireBits(fragment, newest, this.aggregation.array('parameters', fragment));
    }
  }

  /** Validation loss of the model that would be saved now. */
  loss(parts: number): number {
    const global = this.fragments.map((_, i) => this.aggregation.array('parameters', i));
    return Array.from({ length: parts }, (_, part) => lossOf(global, part)).reduce((a, b) => a + b, 0) / parts;
  }

  /** That what the run says of the newest model is so. */
  checkLoss({ lastLoss, lastLossMerges, merges }: RunState, parts: number): void {
    if (lastLoss === null || lastLossMerges !== merges) return;
    const loss = this.loss(parts);
    if (Math.abs(lastLoss - loss) > 1e-9 * loss) throw new Error(`a loss of ${lastLoss} is said of a model of ${loss}`);
  }
}
