import { type Problem, problemOf } from './problem.ts';
import { kthLargest, priceThatBuys } from './select.ts';
import type { PlanIsland, PlanJob, Planned, PlanResult } from './types.ts';

/** At most; each narrows the price of a token. */
const TRIALS = 60;
/** A choice that can train so much more than was asked for is near enough: who takes part would hardly change. */
const NEAR = 1e-3;

/** Who takes part at a price of a token, and what they then train. */
interface Choice {
  readonly members: Int32Array;
  readonly tokens: number;
}

/** One value an island, written anew in each trial; only the first are used. */
interface Scratch {
  readonly gain: Float64Array;
  readonly made: Float64Array;
  readonly ranked: Float64Array;
  readonly leastPrice: Float64Array | undefined;
}

/**
 * Who trains when, fast: Lagrange's relaxation of the tokens. For a price λ of a token each island takes the slots cheaper than λ, and those
 * whose gain is largest take part; the λ is sought that buys the tokens. Without limits on who takes part it is exact (a fractional
 * knapsack); with them it is near.
 */
export function planGreedy(islands: readonly PlanIsland[], job: PlanJob): PlanResult {
  const found = problemOf(islands, job);
  if (found.kind !== 'problem') return found;
  const { problem } = found;
  const limited = job.minIslands !== undefined || job.maxIslands !== undefined || job.minTokensEach !== undefined;
  if (!limited) return fill(problem, Int32Array.from(islands.keys()));
  return fill(problem, cheapestChoice(problem).members);
}

/** The cheapest choice found that reaches the job's tokens. */
function cheapestChoice(problem: Problem): Choice {
  const wanted = problem.job.tokens;
  const values = (): Float64Array => new Float64Array(problem.islands.length);
  const scratch: Scratch = { leastPrice: leastPriceOf(problem), gain: values(), made: values(), ranked: values() };
  const low = problem.cheapest - 1e-12;
  const high = problem.dearest + 1e-12;
  // Far above every price the gain is the tokens themselves: those that can train most take part, and that reaches the job's tokens.
  let floor = { lambda: low, tokens: 0 };
  let ceiling = high;
  let chosen = choose(problem, scratch, ceiling);
  for (let k = 0; k < 10 && chosen.tokens < wanted; k++) {
    floor = { lambda: ceiling, tokens: chosen.tokens };
    ceiling *= 4;
    chosen = choose(problem, scratch, ceiling);
  }
  if (chosen.tokens < wanted) {
    ceiling = high * 1e12;
    chosen = choose(problem, scratch, ceiling);
  }
  for (let k = 0; k < TRIALS; k++) {
    if (chosen.tokens <= wanted * (1 + NEAR) || ceiling - floor.lambda < 1e-7 * Math.abs(ceiling)) break;
    // A straight line between the two ends comes near soon; every other trial halves, as steps are no line.
    const share = k % 2 === 0 ? (wanted * (1 + NEAR / 2) - floor.tokens) / (chosen.tokens - floor.tokens) : 0.5;
    const lambda = floor.lambda + (ceiling - floor.lambda) * Math.min(0.99, Math.max(0.01, share));
    const trial = choose(problem, scratch, lambda);
    if (trial.tokens >= wanted) [ceiling, chosen] = [lambda, trial];
    else floor = { lambda, tokens: trial.tokens };
  }
  return chosen;
}

/** The usable slots of island i from cheap to dear. */
function fromCheapToDear({ steps, capWh, pricePerToken }: Problem, i: number): Int32Array {
  const slots = new Int32Array(steps);
  let count = 0;
  for (let slot = i * steps; slot < (i + 1) * steps; slot++) {
    if (capWh[slot] === 0) continue;
    let at = count++;
    for (; at > 0 && pricePerToken[slots[at - 1]!]! > pricePerToken[slot]!; at--) slots[at] = slots[at - 1]!;
    slots[at] = slot;
  }
  return slots.subarray(0, count);
}

/** What each island's least tokens cost, or all that it can train where that is less. Nothing where no least is asked for. */
function leastPriceOf(problem: Problem): Float64Array | undefined {
  const { islands, job, capWh, pricePerToken } = problem;
  if (job.minTokensEach === 0) return undefined;
  return Float64Array.from(islands, ({ tokensPerWh }, i) => {
    let [left, price] = [job.minTokensEach, 0];
    for (const slot of fromCheapToDear(problem, i)) {
      const made = Math.min(left, capWh[slot]! * tokensPerWh);
      price += made * pricePerToken[slot]!;
      left -= made;
      if (left <= 0) break;
    }
    return price;
  });
}

function choose(problem: Problem, scratch: Scratch, lambda: number): Choice {
  const { leastPrice } = scratch;
  const { islands, steps, job, capWh, pricePerToken, reachTokens } = problem;
  const able = new Int32Array(islands.length);
  const { gain, made } = scratch;
  let count = 0;
  let gaining = 0;
  for (let i = 0; i < islands.length; i++) {
    if (reachTokens[i] === 0 || reachTokens[i]! < job.minTokensEach) continue;
    let wh = 0;
    let spent = 0;
    for (let slot = i * steps; slot < (i + 1) * steps; slot++) {
      if (pricePerToken[slot]! > lambda) continue;
      wh += capWh[slot]!;
      spent += capWh[slot]! * pricePerToken[slot]!;
    }
    const { tokensPerWh } = islands[i]!;
    const enough = leastPrice === undefined || wh * tokensPerWh >= job.minTokensEach;
    const tokens = enough ? wh * tokensPerWh : job.minTokensEach;
    made[count] = tokens;
    gain[count] = lambda * tokens - (enough ? spent * tokensPerWh : leastPrice[i]!);
    if (gain[count]! > 0) gaining++;
    able[count++] = i;
  }
  const members = Math.min(count, job.maxIslands, Math.max(job.minIslands, gaining));
  if (members === 0) return { members: able.subarray(0, 0), tokens: 0 };
  const ranked = scratch.ranked.subarray(0, count);
  ranked.set(gain.subarray(0, count));
  const edge = kthLargest(ranked, members);
  let above = 0;
  for (let k = 0; k < count; k++) if (gain[k]! > edge) above++;
  // Of those whose gain is the edge itself, the first.
  let ties = members - above;
  let tokens = 0;
  let at = 0;
  for (let k = 0; k < count; k++) {
    if (gain[k]! < edge || (gain[k] === edge && ties-- <= 0)) continue;
    able[at++] = able[k]!;
    tokens += made[k]!;
  }
  return { members: able.subarray(0, at), tokens };
}

/** The cheapest way for these members: first the least of each, then the cheapest slots of all, to the token. */
function fill(problem: Problem, members: Int32Array): Planned {
  const { islands, steps, job, capWh, pricePerToken, gaps } = problem;
  const usedWh = new Float64Array(islands.length * steps);
  let left = job.tokens;
  let total = 0;
  const take = (i: number, slot: number, most: number): number => {
    const { tokensPerWh } = islands[i]!;
    const wh = Math.min(capWh[slot]! - usedWh[slot]!, most / tokensPerWh);
    const made = wh * tokensPerWh;
    usedWh[slot]! += wh;
    total += made * pricePerToken[slot]!;
    left -= made;
    return made;
  };
  if (job.minTokensEach > 0)
    for (const i of members) {
      let least = job.minTokensEach;
      for (const slot of fromCheapToDear(problem, i)) if (least > 0) least -= take(i, slot, least);
    }
  const open = openSlots(problem, members, usedWh);
  const { below, upTo } = priceThatBuys(open.price, open.tokens, left);
  const dear: number[] = [];
  for (let k = 0; k < open.slot.length; k++) {
    const slot = open.slot[k]!;
    if (open.price[k]! < below) take(open.island[k]!, slot, Number.POSITIVE_INFINITY);
    else if (open.price[k]! <= upTo) dear.push(k);
  }
  // At one price the earlier hour is the better one.
  dear.sort((a, b) => open.price[a]! - open.price[b]! || (open.slot[a]! % steps) - (open.slot[b]! % steps));
  for (const k of dear) if (left > 0) take(open.island[k]!, open.slot[k]!, left);
  const energyWh: Float64Array[] = [];
  for (let at = 0; at < usedWh.length; at += steps) energyWh.push(usedWh.subarray(at, at + steps));
  const takesPart = islands.map(() => false);
  for (const i of members) if (job.minIslands > 1 || energyWh[i]!.some((wh) => wh > 0)) takesPart[i] = true;
  return { kind: 'plan', energyWh, takesPart, tokens: job.tokens - left, total, gaps };
}

/** What is left of the members' slots, each with its price and the tokens that it can make. */
function openSlots({ islands, steps, capWh, pricePerToken }: Problem, members: Int32Array, usedWh: Float64Array) {
  const most = members.length * steps;
  const slot = new Int32Array(most);
  const island = new Int32Array(most);
  const price = new Float64Array(most);
  const tokens = new Float64Array(most);
  let count = 0;
  for (const i of members) {
    const { tokensPerWh } = islands[i]!;
    for (let at = i * steps; at < (i + 1) * steps; at++) {
      const wh = capWh[at]! - usedWh[at]!;
      if (wh <= 0) continue;
      slot[count] = at;
      island[count] = i;
      price[count] = pricePerToken[at]!;
      tokens[count++] = wh * tokensPerWh;
    }
  }
  return {
    slot: slot.subarray(0, count),
    island: island.subarray(0, count),
    price: price.subarray(0, count),
    tokens: tokens.subarray(0, count),
  };
}
