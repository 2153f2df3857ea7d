import { parentPort } from 'node:worker_threads';
import type { Fragment } from '../../outer/fragments.ts';
import type { EncodedFragment } from '../../protocol/frame.ts';
import { contentHash } from '../../protocol/hash.ts';
import { answerCalls } from '../../threads.ts';
import { Aggregation, type AggregationSettings, type Measured } from '../aggregation.ts';
import { PlacedPieces, type StatePart, type StatePiece } from '../state-pieces.ts';
import { hashOf } from '../store/blobs.ts';
import { SpillBuffer } from './spill-buffer.ts';
import type { Digest, MergeResult } from './worker-aggregation.ts';

/** The thread of `WorkerAggregation`. Payloads are made for one reader, and handed over. */
let aggregation: Aggregation | undefined;
/** While the initial state arrives. */
let placed: PlacedPieces | undefined;

/** Of each fragment, as it was when somebody last asked. */
const digests: Digest[] = [];

const calls = {
  begin(
    fragments: readonly Fragment[],
    settings: AggregationSettings,
    steps: readonly number[],
    bufferBytes: number,
  ): void {
    const made = new Aggregation(fragments, settings, { steps }, () => new SpillBuffer(bufferBytes / fragments.length));
    placed = new PlacedPieces(fragments, (part, fragment) => made.array(part, fragment));
    aggregation = made;
  },
  place: (piece: StatePiece): void => placed!.put(piece),
  placed(): void {
    placed!.requireAll();
    placed = undefined;
  },
  contribute: (fragment: number, island: string, encoded: EncodedFragment, mostLength: number): Measured =>
    aggregation!.contribute(fragment, island, encoded, mostLength),
  merge(fragment: number, weights: Parameters<Aggregation['merge']>[1]): MergeResult {
    const { encoded, delta } = aggregation!.merge(fragment, weights);
    const bytes = new Uint8Array(delta.buffer as ArrayBuffer);
    return { encoded, delta: bytes, hash: hashOf(bytes) };
  },
  follow(fragment: number, delta: Uint8Array<ArrayBuffer>): void {
    aggregation!.follow(fragment, new Float32Array(delta.buffer, delta.byteOffset, delta.byteLength / 4));
  },
  async digest(fragment: number): Promise<Digest> {
    const version = aggregation!.version(fragment);
    const known = digests[fragment];
    if (known?.version === version) return known;
    const digest = { version, hash: await contentHash(aggregation!.whole(fragment).payload) };
    digests[fragment] = digest;
    return digest;
  },
  whole: (fragment: number): EncodedFragment => aggregation!.whole(fragment),
  steps: (): readonly number[] => aggregation!.fragments.map((_, fragment) => aggregation!.version(fragment)),
  elements: (part: StatePart, fragment: number): number => aggregation!.array(part, fragment).length,
  read: (part: StatePart, fragment: number, begin: number, end: number): Float32Array =>
    aggregation!.array(part, fragment).slice(begin, end),
  takeParameters: (fragment: number): Float32Array => aggregation!.array('parameters', fragment),
};

answerCalls(parentPort!, calls, (method, result) => {
  if (method === 'read' || method === 'takeParameters') return [(result as Float32Array<ArrayBuffer>).buffer];
  if (method === 'whole') return [(result as EncodedFragment).payload.buffer];
  if (method !== 'merge') return [];
  const { encoded, delta } = result as MergeResult;
  return [encoded.payload.buffer, delta.buffer];
});
