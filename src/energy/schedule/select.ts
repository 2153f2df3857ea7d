/** The k-th largest value, k from 1 on (Hoare's selection): linear time on average. It reorders `values`. */
export function kthLargest(values: Float64Array, k: number): number {
  let from = 0;
  let to = values.length - 1;
  const at = k - 1;
  while (from < to) {
    const pivot = values[(from + to) >> 1]!;
    let left = from;
    let right = to;
    while (left <= right) {
      while (values[left]! > pivot) left++;
      while (values[right]! < pivot) right--;
      if (left > right) break;
      const swapped = values[left]!;
      values[left++] = values[right]!;
      values[right--] = swapped;
    }
    if (at <= right) to = right;
    else if (at >= left) from = left;
    else break;
  }
  return values[at]!;
}

const BUCKETS = 4096;
/** So few are sorted at once. */
const FEW = 256;
const ROUNDS = 4;

/**
 * The price at which slots taken from cheap to dear reach an amount, as a narrow bracket: all below `below` together are too little, all up to
 * `upTo` are enough, or are all there is. By sums in buckets of price, in time linear in the number of slots.
 *
 * @param price and `amount` per slot: same length; amounts not negative
 */
export function priceThatBuys(
  price: Float64Array,
  amount: Float64Array,
  wanted: number,
): { readonly below: number; readonly upTo: number } {
  let below = Number.POSITIVE_INFINITY;
  let upTo = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < price.length; k++) {
    if (price[k]! < below) below = price[k]!;
    if (price[k]! > upTo) upTo = price[k]!;
  }
  let bought = 0;
  const sums = new Float64Array(BUCKETS);
  for (let round = 0, inside = price.length; round < ROUNDS && inside > FEW && upTo > below; round++) {
    const width = (upTo - below) / BUCKETS;
    if (!(below + width > below)) break;
    sums.fill(0);
    for (let k = 0; k < price.length; k++) {
      const its = price[k]!;
      if (its >= below && its <= upTo) sums[Math.min(BUCKETS - 1, Math.floor((its - below) / width))]! += amount[k]!;
    }
    let bucket = 0;
    while (bucket < BUCKETS - 1 && bought + sums[bucket]! < wanted) bought += sums[bucket++]!;
    // Half a bucket more on both sides: what rounding puts into the neighbour is still inside.
    upTo = Math.min(upTo, below + (bucket + 1.5) * width);
    below = Math.max(below, below + (bucket - 0.5) * width);
    bought = 0;
    inside = 0;
    for (let k = 0; k < price.length; k++)
      if (price[k]! < below) bought += amount[k]!;
      else if (price[k]! <= upTo) inside++;
  }
  return { below, upTo };
}
