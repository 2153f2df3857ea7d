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
 * @param u uniform in [0, 1)
 */
export function draw(logits: Float32Array, options: SamplingOptions, u: number): number {
  const { temperature, topK, topP, known } = options;
  const scores = known === undefined ? logits : knownOf(logits, known);
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  if (temperature === 0) return best;
  const highest = scores[best]!;
  const weights = new Float64Array(scores.length);
  for (let i = 0; i < weights.length; i++) weights[i] = Math.exp((scores[i]! - highest) / temperature);
  const candidates = likeliest(scores, weights, topK ?? scores.length, topP ?? 1);
  if (candidates === undefined) return pick(weights, u);
  return candidates[
    pick(
      Float64Array.from(candidates, (i) => weights[i]!),
      u,
    )
  ]!;
}

function knownOf(logits: Float32Array, known: Uint8Array): Float32Array {
  const scores = logits.slice(0, known.length);
  for (let i = 0; i < scores.length; i++) if (known[i] === 0) scores[i] = Number.NEGATIVE_INFINITY;
  return scores;
}

/** The place at which the running sum of weights passes a share of their whole. */
function pick(weights: Float64Array, u: number): number {
  const target = u * sumOf(weights);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    sum += weights[i]!;
    if (sum > target) return i;
  }
  return weights.findLastIndex((weight) => weight > 0);
}

/** Indices to draw from, the likeliest first; undefined when none is left out: then a seed gives the text that it always gave. */
function likeliest(
  scores: Float32Array,
  weights: Float64Array,
  topK: number,
  topP: number,
): readonly number[] | undefined {
  const most = Math.max(1, Math.min(topK, scores.length));
  const all = most === scores.length;
  if (all && topP >= 1) return undefined;
  const heap = new LikeliestFirst(scores);
  const chosen = all ? [] : Array.from({ length: most }, () => heap.pop());
  const total = all ? sumOf(weights) : sumOf(chosen.map((i) => weights[i]!));
  let [sum, count] = [0, 0];
  while (count < most && (count === 0 || sum < topP * total)) {
    chosen[count] ??= heap.pop();
    sum += weights[chosen[count++]!]!;
  }
  return chosen.slice(0, count);
}

function sumOf(numbers: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  return sum;
}

/** A heap of all indices: only as many are put in order as are asked for. */
class LikeliestFirst {
  readonly #scores: Float32Array;
  readonly #heap: Uint32Array;
  #length: number;

  constructor(scores: Float32Array) {
    this.#scores = scores;
    this.#length = scores.length;
    this.#heap = Uint32Array.from(scores.keys());
    for (let at = (this.#length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** No more often than there are indices. */
  pop(): number {
    const top = this.#heap[0]!;
    this.#heap[0] = this.#heap[--this.#length]!;
    this.#sink(0);
    return top;
  }

  #sink(from: number): void {
    const [heap, scores] = [this.#heap, this.#scores];
    const item = heap[from]!;
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= this.#length) break;
      if (below + 1 < this.#length && precedes(scores, heap[below + 1]!, heap[below]!)) below++;
      if (!precedes(scores, heap[below]!, item)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = item;
  }
}

/** Of two that are equally likely the one with the smaller index comes first. */
const precedes = (scores: Float32Array, a: number, b: number): boolean =>
  scores[a]! > scores[b]! || (scores[a]! === scores[b]! && a < b);
