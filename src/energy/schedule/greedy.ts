import { type Problem, problemOf } from './problem.ts';
import type { PlanIsland, PlanJob, Planned, PlanResult } from './types.ts';

/** At most; each halves the uncertainty of the price, and a 10⁻⁷ of it is little enough. */
const BISECTIONS = 40;

/** Slots of each island from cheap to dear, with running sums of tokens and of their price. */
interface Ladder {
  readonly slot: Int32Array;
  readonly price: Float64Array;
  /** `steps + 1` to an island: before the k-th slot. */
  readonly tokens: Float64Array;
  readonly spent: Float64Array;
}

/**
 * Who trains when, fast: Lagrange's relaxation of the tokens. For a price λ of a token each island takes the slots cheaper than λ, and those
 * whose gain is largest take part; bisection finds the λ that buys the tokens. Without limits on who takes part it is exact (a fractional
 * knapsack); with them it is near.
 */
export function planGreedy(islands: readonly PlanIsland[], job: PlanJob): PlanResult {
  const found = problemOf(islands, job);
  if (found.kind !== 'problem') return found;
  const { problem } = found;
  const ladder = ladderOf(problem);
  const limited = job.minIslands !== undefined || job.maxIslands !== undefined || job.minTokensEach !== undefined;
  if (!limited) return fill(problem, ladder, [...islands.keys()]);
  let low = 0;
  let high = 1e-12;
  for (let k = 0; k < problem.pricePerToken.length; k++) {
    const price = problem.pricePerToken[k]!;
    if (price > high) high = price;
    if (price < low) low = price;
  }
  low -= 1e-12;
  // Far above every price the gain is the tokens themselves: those that can train most take part, and that reaches the job's tokens.
  const top = high * 1e6;
  let chosen = choose(problem, ladder, top);
  for (let ceiling = top, floor = low, k = 0; k < BISECTIONS + 20; k++) {
    const middle = k < 20 && ceiling > high * 1.0001 ? Math.max(high, ceiling / 4) : (floor + ceiling) / 2;
    const trial = choose(problem, ladder, middle);
    if (trial.tokens >= job.tokens) {
      ceiling = middle;
      chosen = trial;
    } else floor = middle;
    if (ceiling - floor < 1e-7 * Math.abs(ceiling)) break;
  }
  return fill(problem, ladder, chosen.members);
}

function ladderOf({ islands, steps, capWh, pricePerToken }: Problem): Ladder {
  const slot = new Int32Array(islands.length * steps);
  const price = new Float64Array(islands.length * steps);
  const tokens = new Float64Array(islands.length * (steps + 1));
  const spent = new Float64Array(islands.length * (steps + 1));
  for (let i = 0; i < islands.length; i++) {
    const base = i * steps;
    let count = 0;
    for (let t = 0; t < steps; t++) {
      if (capWh[base + t] === 0) continue;
      const its = pricePerToken[base + t]!;
      let at = count++;
      for (; at > 0 && price[base + at - 1]! > its; at--) {
        price[base + at] = price[base + at - 1]!;
        slot[base + at] = slot[base + at - 1]!;
      }
      price[base + at] = its;
      slot[base + at] = base + t;
    }
    price.fill(Number.POSITIVE_INFINITY, base + count, base + steps);
    for (let k = 0; k < steps; k++) {
      const made = k < count ? capWh[slot[base + k]!]! * islands[i]!.tokensPerWh : 0;
      tokens[base + i + k + 1] = tokens[base + i + k]! + made;
      spent[base + i + k + 1] = spent[base + i + k]! + (made > 0 ? made * price[base + k]! : 0);
    }
  }
  return { slot, price, tokens, spent };
}

/** Least tokens of island i, and their price. */
function atLeast({ steps }: Problem, { price, tokens, spent }: Ladder, i: number, least: number): number {
  let k = 0;
  while (k < steps && tokens[i * (steps + 1) + k + 1]! < least) k++;
  return k < steps
    ? spent[i * (steps + 1) + k]! + (least - tokens[i * (steps + 1) + k]!) * price[i * steps + k]!
    : Number.POSITIVE_INFINITY;
}

function choose(
  problem: Problem,
  ladder: Ladder,
  lambda: number,
): { readonly members: readonly number[]; readonly tokens: number } {
  const { islands, steps, job } = problem;
  const gain = new Float64Array(islands.length);
  const made = new Float64Array(islands.length);
  const able: number[] = [];
  for (let i = 0; i < islands.length; i++) {
    const row = i * (steps + 1);
    const most = ladder.tokens[row + steps]!;
    if (most === 0 || most < job.minTokensEach) continue;
    let from = 0;
    let to = steps;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (ladder.price[i * steps + middle]! <= lambda) from = middle + 1;
      else to = middle;
    }
    const enough = ladder.tokens[row + from]! >= job.minTokensEach;
    made[i] = enough ? ladder.tokens[row + from]! : job.minTokensEach;
    gain[i] = lambda * made[i]! - (enough ? ladder.spent[row + from]! : atLeast(problem, ladder, i, job.minTokensEach));
    able.push(i);
  }
  const limited = job.maxIslands < able.length || job.minIslands > 1 || job.minTokensEach > 0;
  let members = able;
  if (limited) {
    able.sort((a, b) => gain[b]! - gain[a]!);
    let count = Math.min(job.maxIslands, able.length);
    while (count > job.minIslands && gain[able[count - 1]!]! <= 0) count--;
    members = able.slice(0, count);
  }
  let tokens = 0;
  for (const i of members) tokens += made[i]!;
  return { members, tokens };
}

/** The cheapest way for these members: first the least of each, then the cheapest slots of all, to the token. */
function fill(problem: Problem, ladder: Ladder, members: readonly number[]): Planned {
  const { islands, steps, job, capWh, pricePerToken, gaps } = problem;
  const energyWh = islands.map(() => new Float64Array(steps));
  let left = job.tokens;
  let total = 0;
  const take = (i: number, slot: number, most: number): number => {
    const used = energyWh[i]!;
    const { tokensPerWh } = islands[i]!;
    const wh = Math.min(capWh[slot]! - used[slot - i * steps]!, most / tokensPerWh);
    used[slot - i * steps]! += wh;
    total += wh * tokensPerWh * pricePerToken[slot]!;
    left -= wh * tokensPerWh;
    return wh * tokensPerWh;
  };
  const rungs = (i: number): Int32Array => {
    let count = 0;
    while (count < steps && ladder.price[i * steps + count]! < Number.POSITIVE_INFINITY) count++;
    return ladder.slot.subarray(i * steps, i * steps + count);
  };
  if (job.minTokensEach > 0)
    for (const i of members) {
      let least = job.minTokensEach;
      for (const slot of rungs(i)) if (least > 0) least -= take(i, slot, least);
    }
  const threshold = priceThatBuys(problem, ladder, members, left, energyWh);
  const dear: number[] = [];
  for (const i of members)
    for (const slot of rungs(i)) {
      if (pricePerToken[slot]! < threshold.below) take(i, slot, Number.POSITIVE_INFINITY);
      else if (pricePerToken[slot]! <= threshold.upTo) dear.push(slot);
    }
  dear.sort((a, b) => pricePerToken[a]! - pricePerToken[b]!);
  for (const slot of dear) if (left > 0) take(Math.floor(slot / steps), slot, left);
  const takesPart = islands.map(() => false);
  for (const i of members) if (job.minIslands > 1 || energyWh[i]!.some((wh) => wh > 0)) takesPart[i] = true;
  return { kind: 'plan', energyWh, takesPart, tokens: job.tokens - left, total, gaps };
}

/** All slots cheaper than `below` are too few, those up to `upTo` enough. */
function priceThatBuys(
  { islands, steps, capWh }: Problem,
  { price, slot }: Ladder,
  members: readonly number[],
  tokens: number,
  used: readonly Float64Array[],
): { readonly below: number; readonly upTo: number } {
  let below = Number.POSITIVE_INFINITY;
  let upTo = Number.NEGATIVE_INFINITY;
  for (const i of members)
    for (let k = i * steps; k < (i + 1) * steps && price[k]! < Number.POSITIVE_INFINITY; k++) {
      below = Math.min(below, price[k]!);
      upTo = Math.max(upTo, price[k]!);
    }
  for (let round = 0; round < 16; round++) {
    const middle = (below + upTo) / 2;
    let sum = 0;
    for (const i of members)
      for (let k = i * steps; k < (i + 1) * steps && price[k]! < middle; k++)
        sum += (capWh[slot[k]!]! - used[i]![slot[k]! - i * steps]!) * islands[i]!.tokensPerWh;
    if (sum <= tokens) below = middle;
    else upTo = middle;
  }
  return { below, upTo };
}
