import { HelioError } from '../errors.ts';
import type { Content } from '../protocol/frame.ts';
import type { CoordinatorMessage } from '../protocol/messages.ts';
import { agreedVersion, OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../protocol/versions.ts';
import { holding, holdsUntilMs, received, stepped } from './fragment-clock.ts';
import { ruled, sayAway } from './rest.ts';
import { contribute, EVERYTHING, NOTHING, opened, reportDue, writeAll } from './rounds.ts';
import type { Activity, Global, IslandEffect, IslandEvent, IslandState, Place, Told, Welcome, Word } from './state.ts';
import { malformedMessage, noSuchFragment, Turn } from './turn.ts';

/**
 * The island's one decision function, as the coordinator's `react`: pure, with time as an argument. What it decides is done by a
 * session (`runtime.ts`), by the seeded world of the tests, or by a benchmark in virtual time.
 */

/** @throws HelioError HELIO-4003 when the coordinator refuses the island, HELIO-4004 when it says what makes no sense */
export function reactIsland(
  state: IslandState,
  event: IslandEvent,
): { readonly state: IslandState; readonly effects: readonly IslandEffect[] } {
  const turn = new Turn(state);
  accept(turn, event);
  return { state: turn.state, effects: turn.effects };
}

/** Whether to step or to hold at `nowMs`. The state remembers since when it holds. */
export function activity(
  state: IslandState,
  nowMs: number,
): { readonly state: IslandState; readonly activity: Activity } {
  const hold = (untilMs: number): Activity => ({ kind: 'hold', untilMs });
  if (!state.training || state.work === null || state.rest !== null)
    return { state, activity: hold(Number.POSITIVE_INFINITY) };
  const { outer } = state.work;
  const clocks = holding(state.clocks, outer.overlapSteps, nowMs);
  const untilMs = holdsUntilMs(clocks, outer, nowMs);
  return { state: { ...state, clocks }, activity: untilMs === null ? { kind: 'step' } : hold(untilMs) };
}

function accept(turn: Turn, event: IslandEvent): void {
  switch (event.kind) {
    case 'connected':
      return turn.update({ link: 'joining', awaited: null, places: [] });
    case 'lost':
      // What was asked on the old connection is asked again on the next; that the run is over is final.
      return turn.update({
        link: 'lost',
        awaited: null,
        later: turn.state.later.filter(({ word }) => word.kind === 'stop'),
      });
    case 'ruled':
      return ruled(turn, event.rest);
    case 'told':
      return told(turn, event.message);
    case 'received':
      return receive(turn, event.content);
    case 'prepared':
      return prepared(turn, event);
    case 'opened':
      opened(turn, event.content);
      return handleQueued(turn);
    case 'stepped': {
      const { clocks, place, stepMs } = turn.state;
      const smooth = stepMs === 0 ? event.stepMs : 0.8 * stepMs + 0.2 * event.stepMs;
      turn.update({ clocks: clocks.map((c) => stepped(c, event.tokens)), place: place + 1, stepMs: smooth });
      writeAll(turn);
      return reportDue(turn);
    }
  }
}

const OWN = { protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL };

/** An island signs for the run that it is part of, and for no other. */
function requireSameRun({ work }: IslandState, run: string): void {
  if (work === null || work.run === run) return;
  throw new HelioError(
    'HELIO-4003',
    `Another run is hosted there now: ${run}, and this island is part of ${work.run}.`,
    'Join again to take part in that one.',
  );
}

function challenged(turn: Turn, message: CoordinatorMessage & { readonly kind: 'challenge' }): void {
  const { protocol, oldest = protocol, nonce, run } = message;
  agreedVersion(OWN, { protocol, oldest }, 'coordinator');
  if (run === undefined) throw malformedMessage('did not say which run it hosts');
  requireSameRun(turn.state, run);
  turn.effect({ kind: 'hello', nonce, run });
}

function admitted(turn: Turn, { run }: CoordinatorMessage & { readonly kind: 'admitted' }): void {
  const { prepared, clocks, newest } = turn.state;
  requireSameRun(turn.state, run);
  const holds = prepared ? clocks.map(({ version, round }, i) => ({ version, round, newest: newest[i]!.version })) : [];
  turn.effect({ kind: 'resume', run: prepared ? run : null, holds });
}

function told(turn: Turn, message: Told): void {
  switch (message.kind) {
    case 'challenge':
      return challenged(turn, message);
    case 'standing':
      return turn.effect({ kind: 'say', sentence: describeStanding(message) });
    case 'admitted':
      return admitted(turn, message);
    // Its connection has heard that the coordinator is there.
    case 'alive':
      return;
    // This island asks for nothing by its hash.
    case 'missing':
      return;
    case 'place':
      return turn.update({ places: withPlace(turn.state.places, message) });
    case 'receipt':
      return turn.effect({ kind: 'receipt', message });
    case 'plan':
      return turn.effect({ kind: 'planned', plan: message.plan });
    case 'welcome':
      return welcomed(turn, message);
    case 'start':
      turn.update({
        training: true,
        clocks: turn.state.clocks.map((clock) => ({ ...clock, reported: false })),
      });
      return reportDue(turn);
    case 'refused': {
      const { code, what, remedy } = message;
      const known = code === 'HELIO-4005' || code === 'HELIO-4006' ? code : 'HELIO-4003';
      const also = code === known ? '' : ` (${code})`;
      throw new HelioError(known, `The coordinator refused this island${also}: ${what}`, remedy);
    }
    default:
      turn.update({ later: [...turn.state.later, { after: turn.state.arrived, word: message }] });
      return handleQueued(turn);
  }
}

/** Handles the queued messages that wait for no fragment (any more). */
function handleQueued(turn: Turn): void {
  for (
    let next = turn.state.later[0];
    next !== undefined && next.after <= turn.state.opened;
    next = turn.state.later[0]
  ) {
    turn.update({ later: turn.state.later.slice(1) });
    handleMessage(turn, next.word);
  }
}

function handleMessage(turn: Turn, word: Word): void {
  switch (word.kind) {
    case 'pull':
      return contribute(turn, word.fragment);
    case 'evaluate':
      return turn.effect({ kind: 'evaluate', message: word });
    case 'checkpoint':
      return turn.effect({ kind: 'save', checkpoint: word.checkpoint, clocks: turn.state.clocks });
    case 'stop':
      return turn.effect({ kind: 'end', reason: word.reason });
  }
}

function welcomed(turn: Turn, welcome: Welcome): void {
  const { link, prepared } = turn.state;
  if (link !== 'joining' || turn.state.awaited !== null) throw malformedMessage('welcomed this island twice');
  const { outer, model } = welcome.job;
  const withBase = model.lora !== undefined;
  if (welcome.fragments.some((fragment) => fragment >= outer.fragments))
    throw malformedMessage(`announced fragment ${Math.max(...welcome.fragments)} of ${outer.fragments}`);
  turn.update({
    work: { run: welcome.run, outer },
    awaited: { welcome, preparation: !prepared, base: !prepared && withBase, fragments: welcome.fragments },
  });
  finishJoining(turn);
}

function receive(turn: Turn, content: Content): void {
  const { awaited } = turn.state;
  switch (content.kind) {
    case 'preparation':
    case 'base':
      if (awaited !== null) turn.update({ awaited: { ...awaited, [content.kind]: false } });
      return finishJoining(turn);
    case 'global':
      if (!isWanted(turn.state, content)) return;
      if (awaited === null || !awaited.fragments.includes(content.fragment))
        return shown(turn, { ...content, ...placeFor(turn, content) });
      turn.update({ awaited: { ...awaited, fragments: awaited.fragments.filter((f) => f !== content.fragment) } });
      takeWhole(turn, { ...content, ...placeFor(turn, content) });
      return finishJoining(turn);
    case 'merged':
      if (turn.state.clocks[content.fragment] === undefined) throw noSuchFragment(content.fragment);
      requireBase(turn, content);
      turn.update({
        arrived: turn.state.arrived + 1,
        came: turn.state.came.with(content.fragment, content.version),
      });
      return turn.effect({ kind: 'open', content: { ...content, ...placeFor(turn, content) } });
    case 'contribution':
      throw malformedMessage('sent a contribution');
  }
}

function withPlace(places: IslandState['places'], place: Place): IslandState['places'] {
  const changed = [...places];
  changed[place.fragment] = place;
  return changed;
}

/** A difference is to the version before, and to nothing else. */
function requireBase({ state }: Turn, { fragment, version, form }: Content & { readonly kind: 'merged' }): void {
  if (form !== 'update' || state.came[fragment] === version - 1) return;
  throw malformedMessage(
    `sent the difference to version ${version - 1} of fragment ${fragment}, and this island has version ${state.came[fragment]}`,
  );
}

/**
 * A fragment that came whole though nobody waited for it: this island missed its merge, and is to measure it. It is the newest from now on; training
 * goes on from where it is, and so does the stretch of work.
 */
function shown(turn: Turn, content: Global): void {
  const { fragment, version } = content;
  const { newest, came, place } = turn.state;
  turn.update({ newest: newest.with(fragment, content), came: came.with(fragment, version) });
  turn.effect({ kind: 'show', content });
  turn.effect({ kind: 'take', fragment, keep: EVERYTHING, place });
}

/** Whether a fragment that came whole is one that it joins with, or newer than what it has. */
export const isWanted = (
  { awaited, came }: Pick<IslandState, 'awaited' | 'came'>,
  { fragment, version }: Pick<Global, 'fragment' | 'version'>,
): boolean => awaited?.fragments.includes(fragment) === true || version > (came[fragment] ?? Number.POSITIVE_INFINITY);

/** What was told of a version before it came. */
function placeFor(turn: Turn, { fragment, version }: Pick<Place, 'fragment' | 'version'>) {
  const place = turn.state.places[fragment];
  if (place?.version !== version)
    throw malformedMessage(`sent version ${version} of fragment ${fragment} without its place`);
  const { stepsUntilDue, round } = place;
  return { stepsUntilDue, round };
}

/** A host may name a command of ours, and nothing else that its reader might type. */
const OUR_COMMAND = /^heliotrope( [\w./:=@-]+)+$/;

const describeStanding = ({ state, reason, next, fix }: CoordinatorMessage & { readonly kind: 'standing' }): string =>
  `${state} (${reason})${next === null ? '' : `: ${next.what}`}${fix !== null && OUR_COMMAND.test(fix) ? ` · ${fix}` : ''}`;

/** Before everything is prepared, fragments are only noted: they are prepared together. */
function takeWhole(turn: Turn, content: Global): void {
  const { fragment, version, round, stepsUntilDue, runStep } = content;
  const clocks = [...turn.state.clocks];
  clocks[fragment] = received(version, round + 1, stepsUntilDue);
  const newest = [...turn.state.newest];
  newest[fragment] = content;
  const came = [...turn.state.came];
  came[fragment] = version;
  turn.update({ clocks, newest, came, place: Math.max(turn.state.place, runStep) });
  if (!turn.state.prepared) return;
  turn.effect({ kind: 'reset', content });
  turn.effect({ kind: 'take', fragment, keep: NOTHING, place: turn.state.place });
}

/** Everything is there: a returning island is ready; a new one once it has prepared. */
function finishJoining(turn: Turn): void {
  const { awaited, prepared } = turn.state;
  if (awaited === null || isIncomplete(awaited)) return;
  if (prepared) becomeReady(turn, null);
  else turn.effect({ kind: 'prepare', welcome: awaited.welcome });
}

const isIncomplete = ({ preparation, base, fragments }: NonNullable<IslandState['awaited']>): boolean =>
  preparation || base || fragments.length > 0;

function prepared(turn: Turn, { restored, clocks, place }: IslandEvent & { readonly kind: 'prepared' }): void {
  const before = turn.state.clocks;
  turn.update({
    prepared: true,
    place,
    // A restored stretch of work goes on, but when it is due is the run's affair.
    clocks: clocks === null ? before : clocks.map((c, i) => ({ ...before[i]!, steps: c.steps, tokens: c.tokens })),
  });
  const { awaited } = turn.state;
  // A connection that came meanwhile has its own welcome, which is still under way.
  if (awaited !== null && !isIncomplete(awaited)) becomeReady(turn, restored);
}

function becomeReady(turn: Turn, restored: string | null): void {
  turn.update({ link: 'joined', awaited: null });
  turn.effect({ kind: 'send', message: { kind: 'ready', restored } });
  if (turn.state.rest !== null) sayAway(turn, turn.state.rest);
}
