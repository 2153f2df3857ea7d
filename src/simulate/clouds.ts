/** Clouds over a simulated place: a seeded process whose value at any moment needs no other, so that every process that asks sees the same sky. */

const HOUR_MS = 3_600_000;
/** Weather fronts, and single clouds. */
const OCTAVES = [
  { stepMs: 5 * HOUR_MS, share: 0.65 },
  { stepMs: 0.5 * HOUR_MS, share: 0.35 },
] as const;
/** What comes through the thickest cloud. */
const DARKEST = 0.12;

/**
 * Global irradiance over that of a clear sky, 0.12 to 1.
 *
 * @param cloudiness 0: never a cloud; 1: hardly ever the sun
 */
export function cloudFactor(seed: number, atMs: number, cloudiness: number): number {
  let cover = 0;
  for (const [i, { stepMs, share }] of OCTAVES.entries()) {
    const slot = Math.floor(atMs / stepMs);
    const part = atMs / stepMs - slot;
    const smooth = part * part * (3 - 2 * part);
    cover += share * ((1 - smooth) * uniform(seed, i, slot) + smooth * uniform(seed, i, slot + 1));
  }
  // More cloudiness moves the whole distribution, and leaves some of both.
  const covered = Math.min(1, Math.max(0, (cover - (1 - cloudiness)) / 0.45 + 0.1));
  return 1 - (1 - DARKEST) * covered;
}

/** In [0, 1), of a seed and a place in time: murmur3's finalizer. */
function uniform(seed: number, octave: number, slot: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(octave + 1, 0xc2b2ae35) ^ Math.imul(slot, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}
