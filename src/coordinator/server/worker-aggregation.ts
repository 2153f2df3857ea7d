import { type Fragment, unpack } from '../../outer/fragments.ts';
import type { EncodedFragment } from '../../protocol/frame.ts';
import { ThreadClient } from '../../threads.ts';
import { Aggregation, type AggregationSettings, type Measured } from '../aggregation.ts';
import { type AggregationState, piecesOf, type StatePart, type StatePieces } from '../state-pieces.ts';

/** What a merge gives: the encoded fragment for the islands, and the averaged pseudo-gradient for the store, float32, with its hash. */
export interface MergeResult {
  readonly encoded: EncodedFragment;
  readonly delta: Uint8Array<ArrayBuffer>;
  readonly hash: string;
}

/** Of a fragment's parameters, float32. */
export interface Digest {
  readonly version: number;
  readonly hash: string;
}

const SHELF_BYTES = 2 ** 30;

/** `Aggregation` in a worker thread of its own, so that heartbeats and messages go on while it adds up. Calls keep their order. */
export class WorkerAggregation {
  readonly fragments: readonly Fragment[];
  /** Bytes that a contribution to each fragment may have at most. */
  readonly mostBytes: readonly number[];
  readonly #thread = new ThreadClient(new URL('./aggregation-thread', import.meta.url), 'aggregation');

  private constructor(fragments: readonly Fragment[], settings: AggregationSettings) {
    this.fragments = fragments;
    this.mostBytes = fragments.map((fragment) => Aggregation.mostBytes(fragment, settings));
  }

  /**
   * @param state arrays by name, or pieces; neither is held whole here
   * @param bufferBytes of contributions of all fragments that wait in memory; more wait on the disk
   * @throws HelioError HELIO-3001 when the state does not fit the fragments
   */
  static async begin(
    fragments: readonly Fragment[],
    settings: AggregationSettings,
    state: StatePieces | (Pick<AggregationState, 'parameters'> & Partial<AggregationState>),
    bufferBytes = SHELF_BYTES,
  ): Promise<WorkerAggregation> {
    const aggregation = new WorkerAggregation(fragments, settings);
    const thread = aggregation.#thread;
    try {
      await thread.call('begin', [fragments, settings, state.steps ?? [], bufferBytes]);
      for await (const piece of 'pieces' in state ? state.pieces : piecesOf(fragments, state))
        await thread.call('place', [piece], [piece.data.buffer]);
      await thread.call('placed', []);
    } catch (error) {
      await aggregation.close();
      throw error;
    }
    return aggregation;
  }

  /** @throws HelioError HELIO-4004 when it cannot be read. @see Aggregation.contribute */
  contribute(fragment: number, island: string, encoded: EncodedFragment, mostLength: number): Promise<Measured> {
    return this.#thread.call('contribute', [fragment, island, encoded, mostLength], [encoded.payload.buffer]);
  }

  merge(fragment: number, weights: Parameters<Aggregation['merge']>[1]): Promise<MergeResult> {
    return this.#thread.call('merge', [fragment, weights]);
  }

  /** Takes an outer step again, that was committed before. @param delta is handed over */
  follow(fragment: number, delta: Uint8Array): Promise<void> {
    const { buffer, byteLength } = delta;
    const own = byteLength === buffer.byteLength ? (delta as Uint8Array<ArrayBuffer>) : delta.slice();
    return this.#thread.call('follow', [fragment, own], [own.buffer]);
  }

  /** The version of a fragment after all merges that were asked for so far, and its hash. */
  digest(fragment: number): Promise<Digest> {
    return this.#thread.call('digest', [fragment]);
  }

  whole(fragment: number): Promise<EncodedFragment> {
    return this.#thread.call('whole', [fragment]);
  }

  /** Elements that are kept of a part of a fragment. */
  elements(part: StatePart, fragment: number): Promise<number> {
    return this.#thread.call('elements', [part, fragment]);
  }

  /** A copy of some of them. Between two readings there must be no merge. */
  read(part: StatePart, fragment: number, begin: number, end: number): Promise<Float32Array> {
    return this.#thread.call('read', [part, fragment, begin, end]);
  }

  /** Outer steps taken, by fragment. */
  steps(): Promise<readonly number[]> {
    return this.#thread.call('steps', []);
  }

  /** At the end: parameters by name, handed over and not copied. Nothing else can be asked for after it. */
  async takeParameters(): Promise<ReadonlyMap<string, Float32Array>> {
    const parameters = new Map<string, Float32Array>();
    for (const [fragment, layout] of this.fragments.entries()) {
      const packed = await this.#thread.call<Float32Array>('takeParameters', [fragment]);
      for (const [name, data] of unpack(layout, packed)) parameters.set(name, data);
    }
    return parameters;
  }

  close(): Promise<void> {
    return this.#thread.end();
  }
}
