import { handedIn, isDue, isWritten, received, unmerged } from './fragment-clock.ts';
import type { IslandState, Keep, Merged } from './state.ts';
import { noSuchFragment, type Turn } from './turn.ts';

/** The rounds of each fragment: it is due, read, handed in, merged by the coordinator, and written. */

export const NOTHING: Keep = { kind: 'share', share: 0 };
export const EVERYTHING: Keep = { kind: 'share', share: 1 };

export function contribute(turn: Turn, fragment: number): void {
  const { outer } = turn.state.work!;
  if (turn.state.clocks[fragment] === undefined) throw noSuchFragment(fragment);
  if (outer.exactOverlap) {
    // Asked for the next merge before it has written the last.
    if (isUnwritten(turn.state, fragment)) write(turn, fragment);
    read(turn, fragment);
  }
  const clock = turn.state.clocks[fragment]!;
  const { version, round } = clock;
  const { steps, tokens } = (outer.exactOverlap ? clock.handedIn : null) ?? clock;
  const content = { kind: 'contribution', fragment, version, round, steps, tokens } as const;
  turn.effect({ kind: 'contribute', content, stepsSinceRead: outer.exactOverlap ? clock.steps - steps : null });
  if (outer.oneStepDelay) nextRound(turn, fragment);
  else if (!outer.exactOverlap) turn.clock(fragment, handedIn(clock));
}

/** Keeps where it is with a fragment, once a round. */
function read(turn: Turn, fragment: number): void {
  const clock = turn.state.clocks[fragment]!;
  if (clock.handedIn !== null) return;
  turn.effect({ kind: 'read', fragment });
  turn.clock(fragment, handedIn(clock));
}

/** One step of delay: what was merged meanwhile, or the same again, is what the next contribution differs from. */
function nextRound(turn: Turn, fragment: number): void {
  const { version, runStep, stepsUntilDue } = turn.state.newest[fragment]!;
  const clock = turn.state.clocks[fragment]!;
  turn.effect({ kind: 'rebase', fragment, version });
  turn.update({ place: Math.max(turn.state.place, runStep) });
  turn.effect({ kind: 'take', fragment, keep: NOTHING, place: turn.state.place });
  const steps = version === clock.version ? turn.state.work!.outer.innerSteps : stepsUntilDue;
  turn.clock(fragment, received(version, clock.round + 1, steps));
}

export function opened(turn: Turn, content: Merged): void {
  const { fragment, runStep } = content;
  const { outer } = turn.state.work!;
  turn.update({ opened: turn.state.opened + 1 });
  if (!isNews(turn.state, content)) return;
  turn.update({ newest: turn.state.newest.with(fragment, content) });
  if (outer.oneStepDelay) {
    turn.update({ place: Math.max(turn.state.place, runStep) });
    turn.effect({ kind: 'take', fragment, keep: EVERYTHING, place: turn.state.place });
    // A report that came before this merge was one for it.
    turn.clock(fragment, { ...turn.state.clocks[fragment]!, reported: false });
  } else if (outer.exactOverlap) {
    // It is measured at once.
    turn.effect({ kind: 'take', fragment, keep: EVERYTHING, place: turn.state.place });
    writeAll(turn);
  } else write(turn, fragment);
  // It may be due again already.
  reportDue(turn);
}

/** Takes the newest global parameters of a fragment in the place of its own, or mixed with them, and goes on from there. */
function write(turn: Turn, fragment: number): void {
  const { work, clocks, newest, place } = turn.state;
  const { version, round, runStep, stepsUntilDue } = newest[fragment]!;
  const { carryOver, exactOverlap, localShare } = work!.outer;
  const clock = clocks[fragment]!;
  const carried = carryOver || exactOverlap ? unmerged(clock, round) : null;
  const keep: Keep =
    carried === null || !carryOver ? { kind: 'share', share: localShare } : { kind: 'moved', from: carried.since };
  turn.clock(fragment, received(version, Math.max(clock.round, round) + 1, stepsUntilDue, carried));
  turn.update({ place: Math.max(exactOverlap ? place : 0, nextPlace(turn.state, runStep)) });
  turn.effect({ kind: 'take', fragment, keep, place: turn.state.place });
  turn.effect({ kind: 'rebase', fragment, version });
}

const isUnwritten = ({ clocks, newest }: IslandState, fragment: number): boolean =>
  newest[fragment]!.version > clocks[fragment]!.version;

/** With an exact overlap: what has come and is to be written at this step. */
export function writeAll(turn: Turn): void {
  const { work, clocks, newest } = turn.state;
  if (work?.outer.exactOverlap !== true) return;
  for (const [fragment, clock] of clocks.entries())
    if (isUnwritten(turn.state, fragment) && isWritten(clock, work.outer, newest[fragment]!.stepsUntilDue))
      write(turn, fragment);
}

/** Whether what was unpacked is still news: a newer one may have come whole meanwhile, on another connection. */
export const isNews = (
  { newest }: Pick<IslandState, 'newest'>,
  { fragment, version }: Pick<Merged, 'fragment' | 'version'>,
): boolean => version > newest[fragment]!.version;

/** Where islands are merged one by one, the run's step is the mean of theirs, and says nothing of this one's own. */
function nextPlace({ work, place, newest, clocks }: IslandState, runStep: number): number {
  if (work!.outer.pull === 'due') return Math.max(place, runStep);
  const places = clocks.map(({ version, steps }, fragment) => {
    const known = newest[fragment]!;
    // Of one that was only shown it has done its steps since an earlier version.
    return known.version === version ? known.runStep + steps : 0;
  });
  return Math.max(...places);
}

export function reportDue(turn: Turn): void {
  const { link, work, clocks, stepMs, rest } = turn.state;
  if (rest !== null) return;
  // It is read at its step, whether or not there is somebody to tell.
  if (work?.outer.exactOverlap === true)
    for (const [fragment, clock] of clocks.entries()) if (isDue(clock)) read(turn, fragment);
  if (link !== 'joined') return;
  for (const [fragment, clock] of clocks.entries()) {
    if (!isDue(clock)) continue;
    const ahead = clock.stepsUntilDue + work!.outer.overlapSteps - clock.steps;
    const slackMs = Math.max(0, Math.min(1e9, Math.round(ahead * stepMs)));
    turn.effect({ kind: 'send', message: { kind: 'due', fragment, version: clock.version, slackMs } });
    turn.clock(fragment, { ...turn.state.clocks[fragment]!, reported: true });
  }
}
