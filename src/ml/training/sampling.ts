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
}

/**
 * Draws an index from softmax(logits / temperature), cut to the likeliest by top-k first and top-p after.
 *
 * @param u uniform in [0, 1)
 */
export function draw(logits: Float32Array, { temperature, topK, topP }: SamplingOptions, u: number): number {
  const highest = logits.reduce((max, x) => Math.max(max, x), Number.NEGATIVE_INFINITY);
  if (temperature === 0) return logits.indexOf(highest);
  const weights = Float64Array.from(logits, (x) => Math.exp((x - highest) / temperature));
  const candidates = likeliest(logits, weights, topK ?? logits.length, topP ?? 1);
  const target = u * candidates.reduce((sum, i) => sum + weights[i]!, 0);
  let sum = 0;
  for (const i of candidates) {
    sum += weights[i]!;
    if (sum > target) return i;
  }
  return candidates.at(-1)!;
}

/** Indices to draw from: in their own order when none is left out, so that a seed gives the same text as ever. */
function likeliest(logits: Float32Array, weights: Float64Array, topK: number, topP: number): Uint32Array {
  const all = Uint32Array.from(weights, (_, i) => i);
  if (topK >= weights.length && topP >= 1) return all;
  const sorted = all.sort((a, b) => logits[b]! - logits[a]! || a - b).subarray(0, topK);
  const total = sorted.reduce((sum, i) => sum + weights[i]!, 0);
  let sum = 0;
  let count = 0;
  while (count < sorted.length && sum < topP * total) sum += weights[sorted[count++]!]!;
  return sorted.subarray(0, Math.max(1, count));
}
