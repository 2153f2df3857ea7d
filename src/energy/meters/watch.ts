import { COUNTERS, QUANTITY_UNITS, type Reading } from './reading.ts';

/**
 * What a value does over time that no home does. A reading that is doubted is held back, with the doubt in words; it counts as unknown. One doubt of
 * a jump or of a counter ends when the next reading says the same again: then it is so (a new meter, a large load).
 */
export type DoubtKind = 'jumps' | 'goes-backwards' | 'sticks';

export interface Doubt {
  readonly kind: DoubtKind;
  readonly what: string;
}

/** What is remembered of one quantity of one meter. */
export interface Trace {
  /** The last one that was believed. */
  readonly believed?: Reading;
  /** The last one, when it was not. */
  readonly doubted?: Reading;
  /** Since when it says exactly the same. */
  readonly sameSinceMs?: number;
}

/** More than a home's connection can change by between two polls. */
const JUMP_W = 25_000;
const JUMP_PERCENT = 40;
/** What stays exactly the same this long, and is not 0, is no measurement: a meter with several powers, and one that has a single one. */
export const STUCK_MS = 15 * 60_000;
export const STUCK_ALONE_MS = 60 * 60_000;

export interface Weighed {
  readonly trace: Trace;
  readonly doubt: Doubt | undefined;
}

export function weigh({ believed, doubted, sameSinceMs }: Trace, reading: Reading): Weighed {
  const last = doubted ?? believed;
  const since = last?.value === reading.value && sameSinceMs !== undefined ? sameSinceMs : reading.atMs;
  const doubt = believed === undefined ? undefined : doubtOf(believed, reading);
  if (doubt === undefined || (doubted !== undefined && doubtOf(doubted, reading) === undefined))
    return { trace: { believed: reading, sameSinceMs: since }, doubt: undefined };
  return { trace: { ...(believed === undefined ? {} : { believed }), doubted: reading, sameSinceMs: since }, doubt };
}

function doubtOf(before: Reading, { quantity, value, atMs }: Reading): Doubt | undefined {
  const change = value - before.value;
  const unit = QUANTITY_UNITS[quantity];
  if (COUNTERS.has(quantity)) {
    if (change < 0)
      return { kind: 'goes-backwards', what: `${quantity} went back from ${show(before.value)} to ${show(value)} Wh` };
    const hours = Math.max(atMs - before.atMs, 1_000) / 3_600_000;
    if (change / hours > 4 * JUMP_W && change > 1_000)
      return { kind: 'jumps', what: `${quantity} rose by ${show(change)} Wh, which no home uses in that time` };
    return undefined;
  }
  const most = unit === 'W' ? JUMP_W : unit === '%' ? JUMP_PERCENT : Number.POSITIVE_INFINITY;
  if (Math.abs(change) <= most) return undefined;
  return { kind: 'jumps', what: `${quantity} jumped from ${show(before.value)} to ${show(value)} ${unit}` };
}

/**
 * Whether a meter has frozen: every power that it measures, and that is not 0, is to the last digit what it was. (An inverter at its limit says the
 * same for long; its meter at the grid does not.)
 *
 * @param traces of all its measured powers
 */
export function stuck(traces: readonly Trace[], nowMs: number): Doubt | undefined {
  const live = traces.filter(({ believed }) => believed !== undefined && believed.value !== 0);
  if (live.length === 0) return undefined;
  const sinceMs = Math.max(...live.map(({ sameSinceMs }) => sameSinceMs ?? nowMs));
  const forMs = nowMs - sinceMs;
  if (forMs < (live.length > 1 ? STUCK_MS : STUCK_ALONE_MS)) return undefined;
  const values = live.map(({ believed }) => `${believed!.quantity} ${show(believed!.value)}`).join(', ');
  return { kind: 'sticks', what: `it has said exactly ${values} for ${Math.round(forMs / 60_000)} minutes` };
}

const show = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 1 });
