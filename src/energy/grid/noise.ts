/** Seeded noise with memory, whose value at an hour depends on seed and hour alone: whoever asks for other hours sees the same process. */

const BLOCK = 4096;
/** Hours before a block from which it begins: even at a memory of 0.995 an hour, 0.6 % is left of what was before. */
const WARM_UP = 1024;

/** 32 bits of a seed and two places: murmur3's finalizer. */
export function hash(seed: number, stream: number, place: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35) ^ Math.imul(place, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Of a name, so that each zone and place has noise of its own (FNV-1a). */
export function seedOf(name: string, seed: number): number {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h | 0;
}

/** Mean 0, deviation 1; the sum of four uniform numbers, so that nothing is farther out than 3.5. */
export function nearlyNormal(seed: number, stream: number, place: number): number {
  const a = hash(seed, stream, place);
  const b = hash(seed, stream + 0x10000, place);
  return (((a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16)) / 65536 - 2) * Math.sqrt(3);
}

/**
 * A first-order autoregressive process, hourly: mean 0, deviation 1.
 *
 * @param memory correlation of an hour with the next, 0 to 0.995
 */
export function noise(seed: number, stream: number, memory: number, firstHour: number, hours: number): Float64Array {
  const values = new Float64Array(hours);
  const fresh = Math.sqrt(1 - memory * memory);
  const end = firstHour + hours;
  for (let block = Math.floor(firstHour / BLOCK) * BLOCK; block < end; block += BLOCK) {
    let value = nearlyNormal(seed, stream, block - WARM_UP - 1);
    const last = Math.min(block + BLOCK, end);
    for (let hour = block - WARM_UP; hour < last; hour++) {
      value = memory * value + fresh * nearlyNormal(seed, stream, hour);
      if (hour >= firstHour && hour >= block) values[hour - firstHour] = value;
    }
  }
  return values;
}

/** Share of a normal distribution below a value (Abramowitz and Stegun 26.2.17, error < 7.5e-8): uniform in 0 to 1 for normal noise. */
export function normalShare(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    0.3989422804 *
    Math.exp((-z * z) / 2) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? 1 - tail : tail;
}
