import {
  emptyMap,
  entryOf,
  keysOf,
  mapValues,
  type PersistentMap,
  valuesOf,
  withEntry,
  withoutEntry,
} from './persistent-map.ts';
import { UNKNOWN_SHARD } from './shards.ts';
import type { Island, Roster, Tally } from './state.ts';

/** What is done with a run's islands; see {@link Roster}. */

export const emptyRoster = (fragments: number): Roster => ({
  all: emptyMap,
  training: emptyMap,
  away: emptyMap,
  overdue: 0,
  tallies: Array.from({ length: fragments }, () => NOBODY),
  byShard: emptyMap,
  nextShard: UNKNOWN_SHARD,
  byInvitation: emptyMap,
});
const NOBODY: Tally = { due: emptyMap, lacking: 0 };

export const islandOf = ({ all }: Roster, name: string): Island | undefined => entryOf(all, name);

export const allIslands = ({ all }: Roster): readonly Island[] => valuesOf(all);

export const trainingNames = ({ training }: Roster): readonly string[] => keysOf(training);

export const countOf = (counts: PersistentMap<number>, key: string): number => entryOf(counts, key) ?? 0;

/** With a new island, or another state of one that is there. */
export function withIsland(roster: Roster, island: Island): Roster {
  const { name, shard, invitation, status } = island;
  const before = islandOf(roster, name);
  const { byShard, byInvitation } = roster;
  const sameCounts =
    before?.status === status &&
    canHandIn(before) === canHandIn(island) &&
    before?.due === island.due &&
    before?.expected === island.expected &&
    isOverdue(before) === isOverdue(island);
  return {
    ...roster,
    all: withEntry(roster.all, name, island),
    training: withMember(roster.training, name, before?.status === 'training', status === 'training'),
    away: withMember(roster.away, name, before?.status === 'away', status === 'away'),
    overdue: roster.overdue + Number(isOverdue(island)) - Number(isOverdue(before)),
    tallies: sameCounts ? roster.tallies : counted(roster.tallies, name, before, island),
    byShard: before === undefined ? more(byShard, String(shard)) : byShard,
    byInvitation: moved(byInvitation, before?.invitation ?? null, invitation),
  };
}

const withMember = (members: PersistentMap<true>, name: string, was: boolean, is: boolean): PersistentMap<true> =>
  was === is ? members : is ? withEntry(members, name, true as const) : withoutEntry(members, name);

/** All of them changed, but neither their names nor their shards; whoever changes their invitations counts them anew. */
export function mapIslands(roster: Roster, change: (island: Island) => Island): Roster {
  const all = mapValues(roster.all, change);
  return { ...roster, all, ...recounted(valuesOf(all), roster.tallies.length) };
}

/** What is counted along, from the islands themselves. */
export function recounted(
  islands: readonly Island[],
  fragments: number,
): Pick<Roster, 'training' | 'away' | 'overdue' | 'tallies'> {
  let training: PersistentMap<true> = emptyMap;
  let away: PersistentMap<true> = emptyMap;
  let overdue = 0;
  let { tallies } = emptyRoster(fragments);
  for (const island of islands) {
    if (island.status === 'training') training = withEntry(training, island.name, true as const);
    if (island.status === 'away') away = withEntry(away, island.name, true as const);
    tallies = counted(tallies, island.name, undefined, island);
    overdue += Number(isOverdue(island));
  }
  return { training, away, overdue, tallies };
}

const more = (counts: PersistentMap<number>, key: string): PersistentMap<number> =>
  withEntry(counts, key, countOf(counts, key) + 1);

function moved(counts: PersistentMap<number>, from: string | null, to: string | null): PersistentMap<number> {
  if (from === to) return counts;
  const without = from === null ? counts : withEntry(counts, from, Math.max(0, countOf(counts, from) - 1));
  return to === null ? without : more(without, to);
}

function counted(tallies: readonly Tally[], name: string, before: Island | undefined, after: Island): readonly Tally[] {
  return tallies.map((tally, index) => {
    const [was, is] = [countsAs(before, index), countsAs(after, index)];
    if (was === is) return tally;
    const { due, lacking } = tally;
    return {
      due: is === 'due' ? withEntry(due, name, true as const) : was === 'due' ? withoutEntry(due, name) : due,
      lacking: lacking + (is === 'lacking' ? 1 : 0) - (was === 'lacking' ? 1 : 0),
    };
  });
}

/** Whether it can hand in: it trains, or has just stopped by its owner's rules and is still connected. */
export const canHandIn = (island: Island | undefined): boolean =>
  island?.status === 'training' || (island?.status === 'away' && island.rest?.connected === true);

/** An island counts for a fragment while it trains: as due, or as one that is still expected to be. One that is away is never expected. */
function countsAs(island: Island | undefined, index: number): 'due' | 'lacking' | undefined {
  if (island === undefined || !canHandIn(island)) return undefined;
  if (island.due[index] !== null) return 'due';
  const isExpected = island.status === 'training' && island.expected[index] === true && !isOverdue(island);
  return isExpected ? 'lacking' : undefined;
}

const isOverdue = (island: Island | undefined): boolean => island?.status === 'training' && island.overdue === true;
