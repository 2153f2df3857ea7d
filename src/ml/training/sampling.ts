/** How the next token is drawn from a model's logits. */
export interface SamplingOptions {
  /** 0 always takes the likeliest token. */
  readonly temperature: number;
  /** Only the so many likeliest tokens are drawn from; left out, all. */
  readonly topK?: number;
  /**
   * Only the fewest likeliest tokens whose probabilities reach this sum are drawn from (nucleus sampling, Holtzman et
   * al., arXiv 1904.09751); left out or 1, all.
   */
  readonly topP?: number;
  /** By index, 0 for what is never drawn; what lies beyond is never drawn either. Left out, everything may be. */
  readonly known?: Uint8Array;
}

/**
 * Draws an index from softmax(logits / temperature), cut to the likeliest by top-k first and top-p after.
 *
 * Vocabularies have tens of thousands of tokens, and this is done for each token that is written: so it goes over them a few times, and puts in
 * order only those about which it is not clear whether they are left out.
 *
 * @param u uniform in [0, 1)
 */
export function draw(logits: Float32Array, { temperature, topK, topP = 1, known }: SamplingOptions, u: number): number {
  const count = known === undefined ? logits.length : Math.min(logits.length, known.length);
  let best = -1;
  for (let i = 0; i < count; i++)
    if ((known === undefined || known[i] !== 0) && (best === -1 || logits[i]! > logits[best]!)) best = i;
  if (temperature === 0) return best;
  const weighed = weigh(logits, count, known, logits[best]!, temperature);
  let kept = everything(weighed);
  if (topK !== undefined && topK < count) kept = cut(weighed, kept, (number) => number >= topK);
  if (topP < 1) {
    const enough = topP * kept.sum;
    kept = cut(weighed, kept, (_, sum) => sum >= enough);
  }
  return pick(weighed, kept, u * kept.sum) ?? best;
}

/** Weights e⁻ˣ by index, x = (highest − logit) / temperature, and what is known of them by bucket: x from k / FINE to (k + 1) / FINE is in bucket k. */
interface Weighed {
  readonly weights: Float64Array;
  /** One more than the bucket of each index; 0 of what is never drawn. */
  readonly places: Uint16Array;
  readonly counts: Uint32Array;
  readonly sums: Float64Array;
}

/** Buckets of one unit of x. */
const FINE = 64;
/** A weight of e⁻⁴⁸ is lost in the rounding of a sum in which one is 1, also 2¹⁷ of them. */
const FARTHEST = 48;
const BUCKETS = FARTHEST * FINE;
/** e⁻ˣ at the beginning of each bucket. */
const EXPONENTIALS = Float64Array.from({ length: BUCKETS }, (_, k) => Math.exp(-k / FINE));

function weigh(
  logits: Float32Array,
  count: number,
  known: Uint8Array | undefined,
  highest: number,
  temperature: number,
): Weighed {
  const weights = new Float64Array(count);
  const places = new Uint16Array(count);
  const inverse = FINE / temperature;
  const counts = new Uint32Array(BUCKETS);
  const sums = new Float64Array(BUCKETS);
  for (let i = 0; i < count; i++) {
    const x = (highest - logits[i]!) * inverse;
    if (!(x < BUCKETS) || (known !== undefined && known[i] === 0)) continue;
    const k = x | 0;
    // What is left is below 1/64: four terms of the series are exact to 10⁻¹¹, far beyond the logits, in a fifth of the time of Math.exp.
    const r = (k - x) / FINE;
    const weight = EXPONENTIALS[k]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r / 24))));
    weights[i] = weight;
    places[i] = k + 1;
    counts[k]!++;
    sums[k]! += weight;
  }
  return { weights, places, counts, sums };
}

/** What may be drawn: all in the buckets before one, and of that one some, the likeliest first. */
interface Kept {
  readonly bucket: number;
  readonly ofBucket: readonly number[];
  /** Of the weights. */
  readonly sum: number;
}

function everything({ sums }: Weighed): Kept {
  let sum = 0;
  for (let k = 0; k < BUCKETS; k++) sum += sums[k]!;
  return { bucket: BUCKETS, ofBucket: [], sum };
}

/** The fewest likeliest whose number, or sum, is enough; one at least. Of equally likely ones those of smaller indices. */
function cut(weighed: Weighed, kept: Kept, isEnough: (number: number, sum: number) => boolean): Kept {
  const { weights, counts, sums } = weighed;
  let [number, sum, bucket] = [0, 0, 0];
  while (bucket < kept.bucket && !isEnough(number + counts[bucket]!, sum + sums[bucket]!)) {
    number += counts[bucket]!;
    sum += sums[bucket++]!;
  }
  if (bucket === BUCKETS) return kept;
  const members = bucket === kept.bucket ? kept.ofBucket : membersOf(weighed, bucket);
  let some = 0;
  while (some < members.length && (number + some === 0 || !isEnough(number + some, sum)))
    sum += weights[members[some++]!]!;
  return { bucket, ofBucket: members.slice(0, some), sum };
}

function membersOf({ weights, places }: Weighed, bucket: number): readonly number[] {
  const members: number[] = [];
  for (let i = 0; i < places.length; i++) if (places[i] === bucket + 1) members.push(i);
  return members.sort((a, b) => weights[b]! - weights[a]! || a - b);
}

/** The place at which the running sum of weights passes a target; undefined where no logit is a number. */
function pick({ weights, places }: Weighed, { bucket, ofBucket }: Kept, target: number): number | undefined {
  let sum = 0;
  let last: number | undefined;
  for (let i = 0; i < weights.length; i++) {
    const place = places[i]!;
    if (place === 0 || place > bucket) continue;
    sum += weights[i]!;
    last = i;
    if (sum > target) return i;
  }
  for (const i of ofBucket) {
    sum += weights[i]!;
    last = i;
    if (sum > target) return i;
  }
  return last;
}
