import { type Codec, codecFor, malformed } from '../outer/codecs/index.ts';
import { openFragment, packUpdate, packWhole } from '../outer/encoded-fragment.ts';
import type { Fragment } from '../outer/fragments.ts';
import type { OuterSettings } from '../outer/settings.ts';
import type { EncodedFragment } from '../protocol/frame.ts';

export type ExchangeSettings = Pick<OuterSettings, 'upCodec' | 'maxStaleness'>;

/** What an island's checkpoint keeps of the exchange; one array a fragment. */
export interface ExchangeState {
  /** Residuals of its lossy contributions (error feedback), up to the last merge. */
  readonly residuals: readonly Float32Array[];
  readonly memories: readonly Float32Array[];
}

/** The memory that it is in, to be handed over. */
export const buffersOf = ({ residuals, memories }: ExchangeState): readonly ArrayBuffer[] => [
  ...new Set([...residuals, ...memories].map(({ buffer }) => buffer as ArrayBuffer)),
];

interface Side {
  readonly residual: Float32Array;
  readonly memory: Float32Array;
}

interface Version {
  readonly version: number;
  readonly parameters: Float32Array;
}

/** What an island keeps of a fragment for the exchange. */
interface FragmentState {
  readonly layout: Fragment;
  readonly codec: Codec;
  /** The global parameters that its next contribution is the difference to. */
  readonly base: Float32Array;
  /** Global parameters that came since, in order: those that it trains from next may be any of them. */
  readonly later: readonly Version[];
  /** As of the last contribution that was merged; and with the one that is under way, of this round. */
  readonly settled: Side;
  readonly pending: (Side & { readonly round: number }) | null;
}

/** An island's side of the exchange: encodes contributions and decodes merged fragments. Pure, and separate from training. */
export class FragmentExchange {
  readonly #settings: ExchangeSettings;
  readonly #fragments: FragmentState[];

  /** @param parameters the newest global ones, one packed array a fragment */
  constructor(fragments: readonly Fragment[], settings: ExchangeSettings, parameters: readonly Float32Array[]) {
    this.#settings = settings;
    this.#fragments = fragments.map((layout, i) => {
      const codec = codecFor(settings.upCodec, layout);
      const side = {
        // An exact codec leaves no residual.
        residual: new Float32Array(this.#sendsWhole ? 0 : layout.elements),
        memory: new Float32Array(codec.memoryElements),
      };
      return { layout, codec, base: parameters[i]!, later: [], settled: side, pending: null };
    });
  }

  /** In full precision the parameters themselves are sent, which needs no common base; unless bases may differ. */
  get #sendsWhole(): boolean {
    return this.#settings.upCodec === 'f32' && this.#settings.maxStaleness === 0;
  }

  /**
   * Packs where the island is with a fragment. Residual and memory count once the contribution was merged: one that is
   * asked for again, or was lost, starts from the old ones.
   */
  contribute(fragment: number, own: Float32Array, round: number): EncodedFragment {
    const state = this.#fragments[fragment]!;
    if (this.#sendsWhole) return packWhole(own);
    const { encoded, residual, memory } = packUpdate(state.codec, {
      parameters: own,
      base: state.base,
      sign: -1,
      ...state.settled,
    });
    this.#fragments[fragment] = { ...state, pending: { round, residual, memory } };
    return encoded;
  }

  /** Goes on from a version of the global parameters: one that came since, or the one that it went on from before. */
  rebase(fragment: number, version: number): void {
    const state = this.#fragments[fragment]!;
    const next = state.later.find((each) => each.version === version);
    if (next === undefined) return;
    const later = state.later.filter((each) => each.version > version);
    this.#fragments[fragment] = { ...state, base: next.parameters, later };
  }

  /**
   * Opens a merged fragment: the version after the one that came last.
   *
   * @param round the newest of this island's that was merged
   * @throws HelioError HELIO-4004 when it cannot be read
   */
  receive(fragment: number, version: number, encoded: EncodedFragment, round: number): Float32Array {
    const state = this.#fragments[fragment]!;
    const codec = encoded.codec === state.codec.name ? state.codec : codecFor(encoded.codec, state.layout);
    const parameters = openFragment(encoded, codec, state.later.at(-1)?.parameters ?? state.base);
    const later = [...state.later, { version, parameters }];
    this.#fragments[fragment] = { ...state, later, ...settle(state, round) };
    return parameters;
  }

  /** Takes a whole fragment as the newest, in place of all versions since the one that training goes on from. */
  show(fragment: number, version: number, parameters: Float32Array, round: number): void {
    const state = this.#fragments[fragment]!;
    requireSize(state, parameters);
    this.#fragments[fragment] = { ...state, later: [{ version, parameters }], ...settle(state, round) };
  }

  /** Takes a fragment whole, after a reconnection. */
  reset(fragment: number, parameters: Float32Array, round: number): void {
    const state = this.#fragments[fragment]!;
    requireSize(state, parameters);
    this.#fragments[fragment] = { ...state, base: parameters, later: [], ...settle(state, round) };
  }

  save(): ExchangeState {
    return {
      residuals: this.#fragments.map(({ settled }) => settled.residual),
      memories: this.#fragments.map(({ settled }) => settled.memory),
    };
  }

  load({ residuals, memories }: ExchangeState): void {
    if (this.#sendsWhole) return;
    for (const [i, state] of this.#fragments.entries()) {
      const side = { residual: residuals[i] ?? state.settled.residual, memory: memories[i] ?? state.settled.memory };
      this.#fragments[i] = { ...state, settled: side, pending: null };
    }
  }
}

function requireSize({ layout }: FragmentState, { length }: Float32Array): void {
  if (length !== layout.elements) throw malformed(`it has ${length} numbers instead of ${layout.elements}`);
}

const settle = ({ settled, pending }: FragmentState, round: number): Pick<FragmentState, 'settled' | 'pending'> =>
  pending !== null && pending.round <= round ? { settled: pending, pending: null } : { settled, pending };
