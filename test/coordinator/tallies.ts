import { entriesOf, entryOf, has, keysOf } from '../../src/coordinator/persistent-map.ts';
import { allIslands, canHandIn, islandOf } from '../../src/coordinator/roster.ts';
import type { Island, RunState } from '../../src/coordinator/state.ts';

/** What the state counts along is what a look at everybody finds. @throws Error where it is not */
export function checkTallies({ islands, fragments, checkpoint }: RunState): void {
  const all = allIslands(islands);
  const training = all.filter((island) => island.status === 'training');
  const trains = (name: string): boolean => canHandIn(islandOf(islands, name));
  equal('islands', islands.all.size, all.length);
  equal('training', keysOf(islands.training).join(), namesOf(training));
  equal('away', keysOf(islands.away).join(), namesOf(all.filter(({ status }) => status === 'away')));
  equal('overdue', islands.overdue, training.filter(({ overdue }) => overdue === true).length);
  for (const [index, { stage }] of fragments.entries()) {
    const due = all.filter((island) => canHandIn(island) && island.due[index] !== null);
    const lacking = training.filter(
      ({ expected, due, overdue }) => expected[index] === true && due[index] === null && overdue !== true,
    );
    equal(`due for ${index}`, keysOf(islands.tallies[index]!.due).join(), namesOf(due));
    equal(`lacking for ${index}`, islands.tallies[index]!.lacking, lacking.length);
    if (stage.kind === 'pulling') {
      const open = keysOf(stage.asked).filter((name) => trains(name) && !has(stage.arrived, name));
      equal(`asked for ${index} and not answered`, stage.open, open.length);
    }
    // It may be of one that has left since: then the window closes early, and never late.
    if (stage.kind === 'grace' && due.some((island) => island.due[index]! < stage.holdsMs))
      throw new Error(`somebody holds for ${index} before ${stage.holdsMs}`);
  }
  if (checkpoint !== null) equal('to save', checkpoint.open, keysOf(checkpoint.waiting).filter(trains).length);
  const shards = new Map<string, number>();
  for (const { shard } of all) shards.set(String(shard), (shards.get(String(shard)) ?? 0) + 1);
  for (const [shard, count] of entriesOf(islands.byShard)) equal(`shard ${shard}`, count, shards.get(shard) ?? 0);
  const invited = (id: string): number => all.filter(({ invitation }) => invitation === id).length;
  for (const { invitation } of all)
    if (invitation !== null)
      equal(`with ${invitation}`, entryOf(islands.byInvitation, invitation) ?? 0, invited(invitation));
  for (const [id, count] of entriesOf(islands.byInvitation)) equal(`with ${id}`, count, invited(id));
}

const namesOf = (islands: readonly Island[]): string =>
  islands
    .map(({ name }) => name)
    .toSorted()
    .join();

function equal(what: string, counted: number | string, found: number | string): void {
  if (counted !== found) throw new Error(`${what}: ${counted} are counted, and ${found} are there`);
}
