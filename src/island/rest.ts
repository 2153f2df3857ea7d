import { type Standing, standing } from '../protocol/standing.ts';
import type { FragmentClock } from './fragment-clock.ts';
import { reportDue } from './rounds.ts';
import type { IslandState } from './state.ts';
import type { Turn } from './turn.ts';

/** An island that rests by its owner's rules: what it says and hands in, and when it may sleep. */

/**
 * Its owner's rules come before the run. It takes no further step, says why and until when, and hands in what it has of every fragment at its next merge;
 * then it may sleep. When it may train again it goes on from there.
 */
export function ruled(turn: Turn, rest: Standing | null): void {
  const { rest: before, link } = turn.state;
  turn.update({ rest });
  if (link !== 'joined') return;
  if (rest !== null) return sayAway(turn, rest);
  if (before === null) return;
  turn.effect({ kind: 'send', message: { kind: 'standing', ...BACK } });
  // What was said while it was away counts no longer.
  turn.update({ clocks: turn.state.clocks.map((clock) => ({ ...clock, reported: false })) });
  reportDue(turn);
}

const BACK = standing('training', 'at-work', "Its owner's rules let it train again.");

export function sayAway(turn: Turn, rest: Standing): void {
  const due = turn.state.clocks.flatMap((clock, fragment) =>
    hasWork(clock) ? [{ fragment, version: clock.version }] : [],
  );
  turn.effect({ kind: 'send', message: { kind: 'standing', ...rest, due } });
}

/** Whether it has steps of a fragment that were never handed in. */
const hasWork = ({ steps, handedIn: before }: FragmentClock): boolean => steps > (before?.steps ?? 0);

/** Whether everything that an island which rests had trained is merged: then it may end its connection and sleep. */
export const hasHandedIn = ({ link, clocks, came, training }: IslandState): boolean =>
  link === 'joined' &&
  (!training || clocks.every((clock, i) => clock.steps === 0 || (!hasWork(clock) && came[i]! > clock.version)));
