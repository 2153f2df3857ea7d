import { createHash } from 'node:crypto';
import { z } from 'zod';
import { HelioError } from '../errors.ts';
import { CODEC_PATTERN, type CodecName } from './codec-names.ts';
import { SIGNATURE_PATTERN } from './identity.ts';

/**
 * Bulk data in binary frames: "HELI", a version byte, three zero bytes, the header's length (uint32, little-endian),
 * the header (JSON, UTF-8), then a piece of the payload. A payload larger than one piece travels in several frames
 * in order, so that control messages pass between them.
 */

const MAGIC = 0x494c4548; // "HELI" read as a little-endian uint32
const FRAME_VERSION = 1;
const PREFIX_BYTES = 12;
const MAX_HEADER_BYTES = 4_096;

/** Payload bytes in one frame. */
export const PIECE_BYTES = 1024 * 1024;
/** Largest frame that a peer may send. */
export const MAX_FRAME_BYTES = PREFIX_BYTES + MAX_HEADER_BYTES + PIECE_BYTES;

/** A SHA-256 in hexadecimal digits. */
export const HASH_PATTERN = /^[0-9a-f]{64}$/;

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
  /** Inner steps from receiving it until the island reports the fragment due. */
  stepsUntilDue: counter,
  /** The newest round of this island's work on the fragment that the coordinator has merged, or has for its next merge. */
  round: counter,
};

/** What a transfer carries. */
export const contentSchema = z.discriminatedUnion('kind', [
  /** Island → coordinator: where it is with a fragment, and what it did since it received `version`, its base. */
  z.strictObject({
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
  z.strictObject({ kind: z.literal('merged'), ...version, form, codec }),
  /** Coordinator → island: a fragment as it is now, for one who comes; float32. */
  z.strictObject({ kind: z.literal('global'), ...version }),
  /** Coordinator → island: how data become numbers in this run, as JSON: its tokenizer, or the layout of its table. */
  z.strictObject({ kind: z.literal('preparation') }),
  /** Coordinator → island: the frozen weights that adapters are trained on, as a safetensors file. */
  z.strictObject({ kind: z.literal('base') }),
]);
export type Content = z.output<typeof contentSchema>;

const headerSchema = z.strictObject({
  transfer: counter,
  content: contentSchema,
  totalBytes: counter,
  offset: counter,
  sha256: z.string().regex(HASH_PATTERN),
});

/** A fragment on its way: a payload, and how to read it. */
export interface Parcel {
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
  readonly payload: Uint8Array<ArrayBuffer>;
  /** Of the payload, checked. */
  readonly sha256: string;
}

export const sha256 = (payload: Uint8Array): string => createHash('sha256').update(payload).digest('hex');

/**
 * Cuts a payload into frames.
 *
 * @param transfer number of the transfer, rising on each connection
 * @param hash SHA-256 of the payload, where it is known already
 * @param from how much of it the other side has
 */
export function* encodeFrames(
  transfer: number,
  content: Content,
  payload: Uint8Array,
  hash = sha256(payload),
  from = 0,
): Generator<Frame> {
  for (let offset = from; offset === from || offset < payload.length; offset += PIECE_BYTES) {
    const piece = payload.subarray(offset, offset + PIECE_BYTES);
    const json = JSON.stringify({ transfer, content, totalBytes: payload.length, offset, sha256: hash });
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
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly received: number;
}

/** Puts the frames of one connection together again; one transfer at a time, bounded in size. */
export class FrameAssembler {
  readonly #maxPayloadBytes: number;
  /** From this connection and earlier ones, until their transfers go on, or what they were for is over. */
  #beginnings: readonly Beginning[] = [];
  #open: { transfer: number; hash: string; payload: Uint8Array<ArrayBuffer>; received: number } | undefined;

  constructor(maxPayloadBytes: number) {
    this.#maxPayloadBytes = maxPayloadBytes;
  }

  /** @param before what came of transfers on earlier connections: they may go on */
  goOnWith(before: readonly Beginning[]): void {
    this.#beginnings = before;
  }

  /** What the next connection may go on with. */
  get beginnings(): readonly Beginning[] {
    return this.#open === undefined || this.#open.received === 0 ? this.#beginnings : [...this.#beginnings, this.#open];
  }

  /**
   * Takes the next frame; returns the transfer once it is whole and its hash is right.
   *
   * @throws HelioError HELIO-4004 on a foreign, oversized, disordered or damaged frame
   */
  accept(frame: Uint8Array): Transfer | undefined {
    const { header, piece } = parseFrame(frame);
    if (this.#open === undefined) this.#open = this.#begin(header);
    const open = this.#open;
    if (header.transfer !== open.transfer || header.offset !== open.received || header.sha256 !== open.hash) {
      throw damaged(
        `piece at ${header.offset} of transfer ${header.transfer} came where byte ${open.received} of transfer ${open.transfer} belongs`,
      );
    }
    if (open.received + piece.length > open.payload.length) throw damaged('it is longer than its header says');
    if (piece.length === 0 && open.received < open.payload.length) throw damaged('it is empty');
    open.payload.set(piece, open.received);
    open.received += piece.length;
    if (open.received < open.payload.length) return undefined;
    this.#open = undefined;
    if (sha256(open.payload) !== open.hash) throw damaged('its SHA-256 is not the one it names');
    if (header.content.kind === 'merged' || header.content.kind === 'contribution') this.#beginnings = [];
    // What is large and never changes need not come twice, even if the connection breaks before all is there.
    if (header.content.kind === 'base') this.#beginnings = [...this.#beginnings, open];
    return { content: header.content, payload: open.payload, sha256: open.hash };
  }

  #begin(header: z.output<typeof headerSchema>) {
    if (header.totalBytes > this.#maxPayloadBytes) {
      throw damaged(`it announces ${header.totalBytes} bytes and at most ${this.#maxPayloadBytes} are expected`);
    }
    const { transfer, sha256: hash, totalBytes, offset } = header;
    const before = this.#beginnings.find((beginning) => beginning.hash === hash);
    if (offset > 0 && before?.payload.length === totalBytes && before.received === offset) {
      this.#beginnings = this.#beginnings.filter((beginning) => beginning !== before);
      return { transfer, hash, payload: before.payload, received: offset };
    }
    return { transfer, hash, payload: new Uint8Array(totalBytes), received: 0 };
  }
}

function parseFrame(frame: Uint8Array): { header: z.output<typeof headerSchema>; piece: Uint8Array } {
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
