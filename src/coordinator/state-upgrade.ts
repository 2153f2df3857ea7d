import { UNKNOWN_PACE } from './claims.ts';
import { emptyMap, has, keysOf, mapFrom, type PersistentMap, valuesOf } from './persistent-map.ts';
import { recounted } from './roster.ts';
import { UNKNOWN_SHARD } from './shards.ts';
import type { Arrived, EarlyDue, FragmentState, Island, PendingCheckpoint, RunState } from './state.ts';
import { NEVER_MS } from './step.ts';

/** A snapshot of an earlier version of Heliotrope, with what it did not have yet. An evaluation that was under way is forgotten: the next merge has its own. */
export function upgradeState(state: RunState): RunState {
  const islands = islandsOf(state);
  const { training, away, overdue, tallies } = recounted(valuesOf(islands), state.fragments.length);
  const { byShard, byInvitation } = state.islands;
  return {
    ...state,
    evaluation: state.early === undefined ? null : state.evaluation,
    early: earlyOf(state.early),
    earlyFromMs: state.earlyFromMs ?? 0,
    evaluateMs: state.evaluateMs ?? null,
    partTokens: state.partTokens ?? [],
    islands: {
      all: islands,
      training,
      away,
      overdue,
      tallies,
      byShard: table(byShard),
      nextShard: state.islands.nextShard ?? UNKNOWN_SHARD,
      byInvitation: table(byInvitation),
    },
    fragments: state.fragments.map((fragment) => ({
      ...fragment,
      lengths: fragment.lengths ?? [],
      pace: fragment.pace ?? null,
      fastest: fragment.fastest ?? null,
      stage: stageOf(fragment.stage, training),
    })),
    checkpoint: checkpointOf(state.checkpoint, training),
    banned: table(state.banned),
  };
}

/** A record of islands by name in buckets, as it was before there were tables. */
interface EarlierRoster {
  readonly buckets?: readonly Readonly<Record<string, Island>>[];
}

function islandsOf({ islands, fragments }: RunState): PersistentMap<Island> {
  const { buckets } = islands as EarlierRoster;
  const all = buckets === undefined ? valuesOf(islands.all) : buckets.flatMap((bucket) => Object.values(bucket));
  return mapFrom(
    all.map((island) => [
      island.name,
      {
        ...island,
        evaluates: island.evaluates ?? true,
        lapses: island.lapses ?? 0,
        missed: island.missed ?? 0,
        // Whoever was there then is gone now, and is sent what it lacks when it comes back.
        sent: island.sent ?? fragments.map(() => 0),
        shown: island.shown ?? fragments.map(() => 0),
        paces: island.paces ?? fragments.map(() => UNKNOWN_PACE),
      },
    ]),
  );
}

/** What was a record, or is a table. */
const table = <T>(given: PersistentMap<T> | Readonly<Record<string, T>>): PersistentMap<T> =>
  isPersistentMap(given) ? given : mapFrom(Object.entries(given));

const isPersistentMap = <T>(given: object): given is PersistentMap<T> =>
  typeof (given as { readonly root?: unknown }).root === 'object';

/** What was a list of names, or is a table. */
const names = (given: PersistentMap<true> | readonly string[]): PersistentMap<true> =>
  Array.isArray(given) ? mapFrom(given.map((name: string) => [name, true])) : (given as PersistentMap<true>);

const earlyOf = (early: PersistentMap<EarlyDue> | readonly EarlyDue[] | undefined): PersistentMap<EarlyDue> =>
  early === undefined
    ? emptyMap
    : isPersistentMap<EarlyDue>(early)
      ? early
      : mapFrom(early.map((one) => [`${one.island} ${one.fragment}`, one]));

function stageOf(stage: FragmentState['stage'], training: PersistentMap<true>): FragmentState['stage'] {
  switch (stage.kind) {
    case 'open':
      return stage;
    case 'grace':
      return { ...stage, holdsMs: stage.holdsMs ?? NEVER_MS };
    case 'pulling': {
      const [asked, arrived] = [names(stage.asked), table<Arrived>(stage.arrived)];
      return { ...stage, asked, arrived, open: openOf(asked, arrived, training) };
    }
  }
}

const openOf = (asked: PersistentMap<true>, arrived: PersistentMap<unknown>, training: PersistentMap<true>): number =>
  keysOf(asked).filter((name) => !has(arrived, name) && has(training, name)).length;

function checkpointOf(checkpoint: PendingCheckpoint | null, training: PersistentMap<true>): PendingCheckpoint | null {
  if (checkpoint === null) return null;
  const waiting = names(checkpoint.waiting);
  const { asked = waiting.size, halfMs = null }: Partial<PendingCheckpoint> = checkpoint;
  return { ...checkpoint, waiting, open: openOf(waiting, emptyMap, training), asked, halfMs };
}
