import type { NumberCodecName } from '../../protocol/codec-names.ts';
import { type Codec, malformed, notFinite, type Sent, settled, type Update, type Visitor, wantedOf } from './codec.ts';
import { encodedBytes, encodeNumbers, readNumbers } from './numbers.ts';

/**
 * Top-k with error feedback, as SparseLoCo has it (arXiv 2508.15706, section 3): of every 4,096 numbers those of the largest
 * magnitude travel, in a codec of their own, with the gaps between their places; the others stay in the residual.
 */

const GROUP = 4_096;

/** Numbers of a group of `length` that travel. */
const keptOf = (length: number, oneIn: number): number => Math.ceil(length / oneIn);

function keptInAll(elements: number, oneIn: number): number {
  const whole = Math.floor(elements / GROUP);
  return whole * keptOf(GROUP, oneIn) + keptOf(elements - whole * GROUP, oneIn);
}

export function topCodec(oneIn: number, numbers: NumberCodecName, elements: number): Codec {
  const kept = keptInAll(elements, oneIn);
  const front = encodedBytes(numbers, kept);
  return {
    name: `top-1/${oneIn}+${numbers}`,
    elements,
    leastBytes: front + kept,
    // A gap is below 4,096: two bytes of seven bits.
    mostBytes: front + 2 * kept,
    memoryElements: 0,
    send: (update) => send(oneIn, numbers, kept, update),
    read: (payload, visit) => read(oneIn, numbers, elements, kept, payload, visit),
  };
}

function send(oneIn: number, numbers: NumberCodecName, kept: number, update: Update): Sent {
  const wanted = wantedOf(update);
  const places = new Uint32Array(kept);
  const values = new Float32Array(kept);
  const gaps = new Uint8Array(2 * kept);
  let [count, bytes] = [0, 0];
  for (let start = 0; start < wanted.length; start += GROUP) {
    const group = wanted.subarray(start, start + GROUP);
    let next = 0;
    for (const place of largest(group, keptOf(group.length, oneIn))) {
      const gap = place - next;
      if (gap >= 128) gaps[bytes++] = 128 | (gap & 127);
      gaps[bytes++] = gap >= 128 ? gap >> 7 : gap;
      next = place + 1;
      places[count] = start + place;
      values[count++] = group[place]!;
    }
  }
  const front = encodeNumbers(numbers, values);
  const payload = new Uint8Array(front.length + bytes);
  payload.set(front);
  payload.set(gaps.subarray(0, bytes), front.length);
  const decoded = new Float32Array(wanted.length);
  readNumbers(numbers, kept, front, (chunk, offset) => {
    for (let i = 0; i < chunk.length; i++) decoded[places[offset + i]!] = chunk[i]!;
  });
  return settled(update, wanted, decoded, payload, update.memory);
}

/** Places of the `kept` largest magnitudes, rising; among equals the first ones. */
function largest(group: Float32Array, kept: number): readonly number[] {
  const bits = new Uint32Array(group.length);
  const numbers = new Uint32Array(group.buffer, group.byteOffset, group.length);
  for (let i = 0; i < bits.length; i++) {
    // Bits of magnitudes are in the order of their numbers; beyond infinity's is no number.
    bits[i] = numbers[i]! & 0x7fffffff;
    if (bits[i]! >= 0x7f800000) throw notFinite();
  }
  const threshold = ranked(bits, kept);
  let ties = kept;
  for (let i = 0; i < bits.length; i++) if (bits[i]! > threshold) ties--;
  const places: number[] = [];
  for (let i = 0; i < bits.length; i++) {
    if (bits[i]! > threshold || (bits[i] === threshold && ties-- > 0)) places.push(i);
  }
  return places;
}

/** Bits of a magnitude that choose its bin: exponent and three of the mantissa. */
const BIN_SHIFT = 20;

/** The `rank`-th largest number: by a histogram first, so that only one bin is sorted. */
function ranked(bits: Uint32Array, rank: number): number {
  const bins = new Uint16Array(2 ** 31 / 2 ** BIN_SHIFT);
  for (let i = 0; i < bits.length; i++) bins[bits[i]! >>> BIN_SHIFT]!++;
  let bin = bins.length - 1;
  let above = 0;
  while (above + bins[bin]! < rank) above += bins[bin--]!;
  return bits.filter((x) => x >>> BIN_SHIFT === bin).sort()[bins[bin]! - (rank - above)]!;
}

function read(
  oneIn: number,
  numbers: NumberCodecName,
  elements: number,
  kept: number,
  payload: Uint8Array,
  visit: Visitor,
): void {
  const front = encodedBytes(numbers, kept);
  if (payload.length < front) throw malformed(`it has ${payload.length} bytes where its values alone take ${front}`);
  const values = new Float32Array(kept);
  readNumbers(numbers, kept, payload.subarray(0, front), (chunk, offset) => values.set(chunk, offset));
  const group = new Float32Array(GROUP);
  let [at, count] = [front, 0];
  for (let start = 0; start < elements; start += GROUP) {
    const length = Math.min(GROUP, elements - start);
    group.fill(0);
    let place = -1;
    for (let k = keptOf(length, oneIn); k > 0; k--) {
      const first = payload[at++] ?? 0;
      const second = first >= 128 ? (payload[at++] ?? 0) : 0;
      if (second >= 128 || (first >= 128 && second === 0)) throw malformed('a gap between its places is none');
      place += 1 + (first & 127) + (second << 7);
      if (place >= length) throw malformed('it names places beyond its group');
      group[place] = values[count++]!;
    }
    visit(group.subarray(0, length), start);
  }
  if (at !== payload.length) throw malformed(`it has ${payload.length} bytes where its places end at ${at}`);
}
