import type { Island, Roster } from './state.ts';

/** What is done with a run's islands; see {@link Roster}. */

const BUCKETS = 128;

export const emptyRoster: Roster = {
  size: 0,
  buckets: Array.from({ length: BUCKETS }, () => ({})),
  training: [],
  byShard: {},
  byInvitation: {},
};

export const islandOf = ({ buckets }: Roster, name: string): Island | undefined => {
  const bucket = buckets[bucketOf(name)]!;
  // A name from outside must not find what every object has.
  return Object.hasOwn(bucket, name) ? bucket[name] : undefined;
};

export const allIslands = ({ buckets }: Roster): readonly Island[] =>
  buckets.flatMap((bucket) => Object.values(bucket));

/** Names from outside must not find what every object has. */
export const countOf = (counts: Readonly<Record<string, number>>, key: string): number =>
  Object.hasOwn(counts, key) ? counts[key]! : 0;

/** With a new island, or another state of one that is there. */
export function withIsland(roster: Roster, island: Island): Roster {
  const { name, shard, invitation, status } = island;
  const before = islandOf(roster, name);
  const index = bucketOf(name);
  const buckets = roster.buckets.with(index, { ...roster.buckets[index], [name]: island });
  const counted = before === undefined ? counting(roster, shard, invitation) : roster;
  return {
    ...counted,
    buckets,
    training: listed(roster.training, name, before?.status === 'training', status === 'training'),
  };
}

/** All of them changed. */
export const mapIslands = (roster: Roster, change: (island: Island) => Island): Roster =>
  allIslands(roster).reduce((changed, island) => withIsland(changed, change(island)), roster);

function counting(roster: Roster, shard: number, invitation: string | null): Roster {
  const more = (counts: Readonly<Record<string, number>>, key: string) => ({
    ...counts,
    [key]: countOf(counts, key) + 1,
  });
  return {
    ...roster,
    size: roster.size + 1,
    byShard: more(roster.byShard, String(shard)),
    byInvitation: invitation === null ? roster.byInvitation : more(roster.byInvitation, invitation),
  };
}

function listed(names: readonly string[], name: string, was: boolean, is: boolean): readonly string[] {
  if (was === is) return names;
  return is ? [...names, name] : names.filter((other) => other !== name);
}

/** FNV-1a. */
function bucketOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % BUCKETS;
}
