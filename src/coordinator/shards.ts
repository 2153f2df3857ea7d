import { entryOf, type PersistentMap } from './persistent-map.ts';

/** Where to look for the shard of the next newcomer: of `of` shards each has at least `fewest` holders, and those before `from` more. */
export interface NextShard {
  readonly of: number;
  readonly fewest: number;
  readonly from: number;
}

/** Before the first search. */
export const UNKNOWN_SHARD: NextShard = { of: 0, fewest: 0, from: 0 };

/**
 * The lowest shard that no island has; with more islands than shards, the one that fewest have. An island whose name ends in a number has the shard of
 * that number if it is free: so a run of island-1 to island-4 is the same whoever comes first.
 *
 * No island gives its shard up, so the search goes on where the last one ended: all newcomers together look at each shard once for each holder.
 */
export function freeShard(
  { byShard, nextShard }: { readonly byShard: PersistentMap<number>; readonly nextShard: NextShard },
  shards: number,
  name: string,
): { readonly shard: number; readonly nextShard: NextShard } {
  const next = search(byShard, nextShard.of === shards ? nextShard : { ...UNKNOWN_SHARD, of: shards });
  const own = Number(/-([1-9]\d*)$/.exec(name)?.[1] ?? Number.NaN) - 1;
  const isFree = own < shards && holders(byShard, own) === 0;
  return { shard: isFree ? own : next.from, nextShard: next };
}

function search(byShard: PersistentMap<number>, { of, fewest, from }: NextShard): NextShard {
  let next = { of, fewest, from };
  while (holders(byShard, next.from) > next.fewest) {
    const isLast = next.from + 1 === of;
    next = isLast ? { of, fewest: next.fewest + 1, from: 0 } : { ...next, from: next.from + 1 };
  }
  return next;
}

const holders = (byShard: PersistentMap<number>, shard: number): number => entryOf(byShard, String(shard)) ?? 0;
