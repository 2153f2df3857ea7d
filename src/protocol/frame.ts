import { z } from 'zod';
import { HelioError } from '../errors.ts';
import { CODEC_PATTERN, type CodecName } from './codec-names.ts';
import { HASH_PATTERN, PIECE_BYTES, PieceHasher } from './hash.ts';
import { SIGNATURE_PATTERN } from './identity.ts';

/**
 * Bulk data in binary frames: "HELI", a version byte, three zero bytes, the header's length (uint32, little-endian),
 * the header (JSON, UTF-8), then a piece of the payload. A payload larger than one piece travels in several frames
 * in order, so that control messages pass between them. Nothing in a frame is about one receiver: it is made once, and may be sent to many,
 * relayed, and asked for by its hash.
 */

const MAGIC = 0x494c4548; // "HELI" read as a little-endian uint32
const FRAME_VERSION = 2;
const PREFIX_BYTES = 12;
const MAX_HEADER_BYTES = 4_096;

/** Largest frame that a peer may send. */
export const MAX_FRAME_BYTES = PREFIX_BYTES + MAX_HEADER_BYTES + PIECE_BYTES;

const counter = z.int().min(0);

/**
 * parameters: the fragment itself, codec f32 · update: a difference in the named codec: base − own parameters from an
 * island (its pseudo-gradient), new − previous global parameters from the coordinator.
 */
const form = z.enum(['parameters', 'update']);
const codec = z
  .string()
  .regex(CODEC_PATTERN)
  .transform((name) => name as CodecName);

const version = {
  fragment: counter,
  version: counter,
  /** The run's step at that merge. */
  runStep: counter,
};

/** What a transfer carries. What a receiver is told of it alone is in the message `place` before. */
export const contentSchema = z.discriminatedUnion('kind', [
  /** Island → coordinator: where it is with a fragment, and what it did since it received `version`, its base. */
  z.object({
    kind: z.literal('contribution'),
    fragment: counter,
    version: counter,
    /** Number of this stretch of work on the fragment; none is merged twice. */
    round: counter,
    steps: counter,
    tokens: counter,
    form,
    codec,
    /** The island's, of all this and the payload (`updateText`). */
    signature: z.string().regex(SIGNATURE_PATTERN),
  }),
  /** Coordinator → island: what was merged, and when the fragment is next due. */
  z.object({ kind: z.literal('merged'), ...version, form, codec }),
  /** Coordinator → island: a fragment as it is now, for one who comes; float32. */
  z.object({ kind: z.literal('global'), ...version }),
  /** Coordinator → island: how data become numbers in this run, as JSON: its tokenizer, or the layout of its table. */
  z.object({ kind: z.literal('preparation') }),
  /** Coordinator → island: the frozen weights that adapters are trained on, as a safetensors file. */
  z.object({ kind: z.literal('base') }),
]);
export type Content = z.output<typeof contentSchema>;

const headerSchema = z.object({
  content: contentSchema,
  totalBytes: z
    .int()
    .min(0)
    .max(2 ** 43),
  offset: counter,
  /** Of the whole payload (`hash.ts`). */
  hash: z.string().regex(HASH_PATTERN),
});
type Header = z.output<typeof headerSchema>;

/** A fragment as it is sent: a payload, and how to decode it. */
export interface EncodedFragment {
  readonly form: 'parameters' | 'update';
  readonly codec: CodecName;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** Float32 numbers as codec f32 lays them out. @throws HelioError HELIO-4004 when the bytes are no whole number of them */
export function decodeFloats(payload: Uint8Array): Float32Array {
  if (payload.length % 4 !== 0) throw damaged(`${payload.length} bytes are no whole number of singles`);
  return new Float32Array(payload.slice().buffer);
}

export interface Transfer {
  readonly content: Content;
  /** Empty where it was put together in a sink that is no array. */
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly sink?: Sink;
  /** Of the payload, checked. */
  readonly hash: string;
}

/** Bytes that are sent piece by piece: an array, or something larger that is read when a piece of it goes out. */
export interface Payload {
  readonly length: number;
  subarray(begin: number, end: number): Uint8Array;
}

/** Where a payload is assembled: an array, or a file. */
export interface Sink extends Payload {
  /** The file's path. */
  readonly file?: string;
  set(piece: Uint8Array, offset: number): void;
}

/** What a peer may send, and where it is assembled. */
export interface Reception {
  /** Bytes that a payload of this kind may have; a number for all kinds. @throws HelioError of what may not be sent at all */
  readonly most: number | ((content: Content) => number);
  /** Asked once as a transfer begins; all is kept when left out. What is not kept is passed over as it comes, and takes no memory. */
  readonly keeps?: (content: Content) => boolean;
  /** In memory when left out. @throws HelioError when there is no room for it */
  readonly sink?: (content: Content, bytes: number) => Sink;
}

/** A payload that is ready to be sent, to one or to many. */
export interface Packed {
  readonly content: Content;
  readonly payload: Payload;
  readonly hash: string;
  /** From the first byte on; where it is sent to many they are made once. */
  readonly frames?: readonly Frame[];
}

/** For many receivers. */
export const shared = (packed: Packed): Packed => ({ ...packed, frames: [...encodeFrames(packed)] });

/**
 * Cuts a payload into frames.
 *
 * @param from how much of it the other side has
 */
export function* encodeFrames({ content, payload, hash }: Packed, from = 0): Generator<Frame> {
  for (let offset = from; offset === from || offset < payload.length; offset += PIECE_BYTES) {
    const piece = payload.subarray(offset, offset + PIECE_BYTES);
    const json = JSON.stringify({ content, totalBytes: payload.length, offset, hash } satisfies Header);
    const header = new TextEncoder().encode(json);
    const head = new Uint8Array(PREFIX_BYTES + header.length);
    const view = new DataView(head.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint8(4, FRAME_VERSION);
    view.setUint32(8, header.length, true);
    head.set(header, PREFIX_BYTES);
    yield { head, piece };
  }
}

/** A frame in its two parts: the piece is not copied. */
export interface Frame {
  readonly head: Uint8Array;
  readonly piece: Uint8Array;
}

/** A frame in one. */
export function joined({ head, piece }: Frame): Uint8Array {
  const frame = new Uint8Array(head.length + piece.length);
  frame.set(head);
  frame.set(piece, head.length);
  return frame;
}

/** What came of a payload before its connection broke: its beginning, or all of it. */
export interface Beginning {
  readonly hash: string;
  /** Of the whole payload's length. */
  readonly payload: Sink;
  readonly received: number;
}

/** Pieces that may wait to be hashed: a network can be faster than that. */
const MOST_OPEN = 64;

interface Open extends Beginning {
  /** As its first frame says, by which it was decided whether it may come: no later one changes it. */
  readonly content: Content;
  received: number;
  /** Undefined where it is passed over. */
  readonly hasher: PieceHasher | undefined;
}
type Kept = Open & { readonly hasher: PieceHasher };

/** Puts the frames of one connection together again; one transfer at a time, bounded in size. */
export class FrameAssembler {
  readonly #reception: Reception;
  /** From this connection and earlier ones, until their transfers go on, or what they were for is over. */
  #beginnings: readonly Beginning[] = [];
  #open: Open | undefined;

  constructor(reception: Reception) {
    this.#reception = reception;
  }

  /** @param before what came of transfers on earlier connections: they may go on */
  resumeFrom(before: readonly Beginning[]): void {
    this.#beginnings = before;
  }

  /** Resolves when what came so far is hashed, where that lies far behind; undefined where it does not. */
  get lag(): Promise<void> | undefined {
    const hasher = this.#open?.hasher;
    return hasher !== undefined && hasher.open > MOST_OPEN ? hasher.soFar() : undefined;
  }

  /** What the next connection may go on with. */
  get beginnings(): readonly Beginning[] {
    const open = this.#open;
    return open?.hasher === undefined || open.received === 0 ? this.#beginnings : [...this.#beginnings, open];
  }

  /**
   * Takes the next frame. The last one of a transfer that is kept gives it, once its hash is known to be right.
   *
   * @throws HelioError HELIO-4004 on a foreign, oversized, disordered or damaged frame; the promise on a wrong hash
   */
  accept(frame: Uint8Array): Promise<Transfer> | undefined {
    const { header, piece } = parseFrame(frame);
    if (this.#open === undefined) this.#open = this.#begin(header);
    const open = this.#open;
    if (header.hash !== open.hash || header.offset !== open.received || header.totalBytes !== open.payload.length) {
      throw damaged(
        `piece at ${header.offset} of ${header.hash.slice(0, 8)} came where byte ${open.received} of ${open.hash.slice(0, 8)} belongs`,
      );
    }
    if (open.received + piece.length > open.payload.length) throw damaged('it is longer than its header says');
    const isLast = open.received + piece.length === open.payload.length;
    if (piece.length !== PIECE_BYTES && !isLast) throw damaged(`it has ${piece.length} bytes and is not the last one`);
    open.payload.set(piece, open.received);
    if (piece.length > 0) open.hasher?.add(piece);
    open.received += piece.length;
    if (!isLast) return undefined;
    this.#open = undefined;
    if (!isKept(open)) return undefined;
    const { kind } = open.content;
    if (kind === 'merged' || kind === 'contribution') this.#beginnings = [];
    // What is large and never changes need not come twice, even if the connection breaks before all is there.
    if (kind === 'base') this.#beginnings = [...this.#beginnings, open];
    return checked(open).catch((error: unknown) => {
      // A transfer with a wrong hash is not resumed.
      this.#beginnings = this.#beginnings.filter((beginning) => beginning !== open);
      throw error;
    });
  }

  #begin({ content, hash, totalBytes, offset }: Header): Open {
    const { most, keeps, sink = inMemory } = this.#reception;
    const mostBytes = typeof most === 'number' ? most : most(content);
    if (totalBytes > mostBytes) throw damaged(`it announces ${totalBytes} bytes and at most ${mostBytes} are expected`);
    const before = this.#beginnings.find((beginning) => beginning.hash === hash);
    if (keeps?.(content) === false) {
      // What it would go on with is left for when it is wanted.
      const goesOn = before?.payload.length === totalBytes && before.received === offset;
      return { content, hash, payload: passedOver(totalBytes), received: goesOn ? offset : 0, hasher: undefined };
    }
    if (offset === 0 || before?.payload.length !== totalBytes || before.received !== offset)
      return { content, hash, payload: sink(content, totalBytes), received: 0, hasher: new PieceHasher() };
    this.#beginnings = this.#beginnings.filter((beginning) => beginning !== before);
    const hasher = new PieceHasher();
    for (let at = 0; at < offset; at += PIECE_BYTES)
      hasher.add(before.payload.subarray(at, Math.min(offset, at + PIECE_BYTES)));
    return { content, hash, payload: before.payload, received: offset, hasher };
  }
}

const isKept = (open: Open): open is Kept => open.hasher !== undefined;

async function checked({ content, hash, payload, hasher }: Kept): Promise<Transfer> {
  if ((await hasher.end()) !== hash) throw damaged('its hash is not the one that it names');
  return payload instanceof Uint8Array
    ? { content, payload: payload as Uint8Array<ArrayBuffer>, hash }
    : { content, payload: new Uint8Array(0), sink: payload, hash };
}

const passedOver = (length: number): Sink => ({ length, set() {}, subarray: () => new Uint8Array(0) });

function inMemory(_: Content, bytes: number): Sink {
  try {
    return new Uint8Array(bytes);
  } catch {
    throw damaged(`there is no memory for its ${bytes} bytes`);
  }
}

function parseFrame(frame: Uint8Array): { header: Header; piece: Uint8Array } {
  if (frame.length < PREFIX_BYTES) throw damaged(`it has ${frame.length} bytes`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw damaged('it does not begin with "HELI"');
  if (view.getUint8(4) !== FRAME_VERSION) throw damaged(`it has version ${view.getUint8(4)}, not ${FRAME_VERSION}`);
  const headerBytes = view.getUint32(8, true);
  if (headerBytes > MAX_HEADER_BYTES || PREFIX_BYTES + headerBytes > frame.length) {
    throw damaged(`its header of ${headerBytes} bytes does not fit`);
  }
  let json: unknown;
  try {
    json = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(frame.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes)),
    );
  } catch {
    throw damaged('its header is not JSON');
  }
  const result = headerSchema.safeParse(json);
  if (!result.success) throw damaged(`its header is wrong at ${result.error.issues[0]!.path.join('.')}`);
  return { header: result.data, piece: frame.subarray(PREFIX_BYTES + headerBytes) };
}

const damaged = (detail: string): HelioError =>
  new HelioError(
    'HELIO-4004',
    `A frame is damaged: ${detail}.`,
    'The connection is closed; the island reconnects by itself.',
  );
