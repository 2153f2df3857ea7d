import { sendsWhole } from '../outer/settings.ts';
import type { Progress } from '../protocol/messages.ts';
import type { Reason } from '../protocol/standing.ts';
import { fallsAsleep } from './absence.ts';
import { startingAt, UNKNOWN_PACE } from './claims.ts';
import { isAdmitted } from './due.ts';
import { releaseEvaluation } from './evaluation.ts';
import type { Event } from './events.ts';
import { emptyMap, entryOf, withEntry } from './persistent-map.ts';
import { allIslands, countOf, islandOf, mapIslands } from './roster.ts';
import { freeShard } from './shards.ts';
import type { Held, Island, RunState } from './state.ts';
import type { Step } from './step.ts';

/** Islands a run remembers, gone ones included. */
const MAX_ISLANDS = 32_000;

export const isConnected = ({ status, rest }: Island): boolean =>
  status !== 'gone' && (status !== 'away' || rest?.connected === true);

/** All that are connected: they get every merged fragment, also while they join. */
export const present = (state: RunState): readonly Island[] => allIslands(state.islands).filter(isConnected);

/** Offences at which a key is banned from the run. */
const MAX_OFFENCES = 3;

/** Who wants to come in, and with which invitation that the host has signed; null where the run may know it, or the host was asked. */
export interface Newcomer {
  readonly island: string;
  readonly key: string;
  readonly invitation: { readonly id: string; readonly uses: number } | null;
}

export interface Objection {
  readonly code: 'HELIO-4003' | 'HELIO-4005';
  readonly what: string;
  readonly remedy: string;
}

/** Whether the run knows an island by its name and key. A name without a key, in a run that was moved, is free for whoever is let in. */
export const isKnown = ({ islands }: Pick<RunState, 'islands'>, name: string): boolean =>
  (islandOf(islands, name)?.key ?? '') !== '';

/** Why an island may not join, or null. Checked at the handshake and again when it joins, as the host may have revoked its invitation in between. */
export function objectionTo(
  state: Pick<RunState, 'islands' | 'banned' | 'revoked'>,
  { island: name, key, invitation }: Newcomer,
): Objection | null {
  const { islands, banned, revoked = {} } = state;
  const offence = entryOf(banned, key);
  if (offence !== undefined)
    return {
      code: 'HELIO-4005',
      what: `The island ${name} was banned from this run: ${offence}`,
      // It is its key that is: the host may let the machine in anew.
      remedy: "Ask the run's host. With a new invitation of his it may come anew, under another --name and --state.",
    };
  const refused = (what: string, remedy: string): Objection => ({ code: 'HELIO-4003', what, remedy });
  const named = islandOf(islands, name);
  if (named !== undefined && isKnown(state, name)) {
    if (named.key !== key)
      return refused(
        `The name ${name} belongs to another island of this run.`,
        'Join under another --name, or with the --state folder that this one had.',
      );
    if (named.sentAway !== true) return null;
    return refused(
      'The host has taken the invitation back that this island came with.',
      'Ask the host for another, and join with it under another --name.',
    );
  }
  if (named === undefined && islands.all.size >= MAX_ISLANDS)
    return refused(`The run knows ${MAX_ISLANDS} islands already.`, 'Join under the name of an island that is gone.');
  if (invitation === null) return null;
  if (Object.hasOwn(revoked, invitation.id))
    return refused('The host has taken this invitation back.', 'Ask the host for another.');
  const used = countOf(islands.byInvitation, invitation.id);
  if (used < invitation.uses) return null;
  return refused(
    `The invitation is used up: its limit was ${invitation.uses}.`,
    'Ask the host for another: `heliotrope invite`.',
  );
}

/** Takes an island in, or back under its name; the newcomer replaces a connection that is still open. */
export function admit(step: Step, event: Event & { readonly kind: 'joined' }): void {
  const { island: name, key, invitation, holds, evaluates } = event;
  const objection = objectionTo(step.state, event);
  if (objection !== null) {
    step.send(name, { kind: 'refused', ...objection });
    return step.effect({ kind: 'disconnect', island: name });
  }
  const known = islandOf(step.state.islands, name);
  const { fragments } = step.state;
  const merged = known?.merged ?? fragments.map(() => 0);
  const kept = fragments.map((_, index) => keeps(step, index, holds[index], merged[index]!));
  const island: Island = {
    name,
    status: 'joining',
    key,
    invitation: isKnown(step.state, name) ? known!.invitation : (invitation?.id ?? null),
    offences: known?.offences ?? 0,
    evaluates: evaluates ?? true,
    lapses: known?.lapses ?? 0,
    shard: known?.shard ?? takeShard(step, name),
    merged,
    // Where it begins anew, its time counts from when it is told to start.
    paces: fragments.map((_, index) => {
      const pace = known?.paces[index] ?? UNKNOWN_PACE;
      return kept[index] ? pace : startingAt(pace, step.nowMs);
    }),
    answerMs: known?.answerMs ?? null,
    missed: known?.missed ?? 0,
    overdue: known?.overdue ?? false,
    expected: kept,
    sent: fragments.map(({ version }, index) => (kept[index] ? holds[index]!.version : version)),
    shown: fragments.map(({ version }, index) => (kept[index] ? holds[index]!.newest : version)),
    due: fragments.map(() => null),
    // A process counts from its own beginning.
    ...(holds.length > 0 && known !== undefined
      ? { progress: known.progress, past: known.past }
      : { progress: null, past: known === undefined ? null : totalProgress(known) }),
    joins: (known?.joins ?? 0) + 1,
    ...sinceOf(known, event),
    ...(known?.energy === undefined ? {} : { energy: known.energy }),
  };
  step.put(island);
  const reason = known === undefined ? 'new' : holds.length > 0 ? 'connected again' : 'back';
  step.record({ kind: 'island', island: name, status: 'joining', reason });
  step.effect({
    kind: 'send-state',
    island: name,
    fresh: holds.length === 0,
    fragments: fragments.flatMap((_, index) => (kept[index] ? [] : [index])),
    state: step.state,
  });
}

/** Of one that came to an earlier version nobody knows since when. */
function sinceOf(known: Island | undefined, { atS }: Event & { readonly kind: 'joined' }): Pick<Island, 'sinceS'> {
  const sinceS = known === undefined ? atS : known.sinceS;
  return sinceS === undefined ? {} : { sinceS };
}

/**
 * Whether an island that comes back may go on with a fragment from where it is: its work was not merged yet, its base is not too old,
 * and it can read what will be merged next.
 */
function keeps({ settings, state }: Step, index: number, held: Held | undefined, merged: number): boolean {
  const fragment = state.fragments[index]!;
  if (held === undefined || held.round <= merged || !isAdmitted(settings, fragment, held.version)) return false;
  return held.newest === fragment.version || (sendsWhole(settings.outer) && held.newest <= fragment.version);
}

/** Counts what no honest island does; the third time its key is banned from the run. */
export function offend(step: Step, name: string, reason: string): void {
  const { key, offences: before } = step.islandOf(name);
  const offences = before + 1;
  const banned = offences >= MAX_OFFENCES;
  step.island(name, { offences });
  step.record({ kind: 'offence', island: name, reason, offences, banned });
  if (!banned) return;
  step.update({ banned: withEntry(step.state.banned, key, reason) });
  leave(step, name, `banned after ${offences} offences`, 'offences');
  step.effect({ kind: 'disconnect', island: name });
}

/** An invitation lets nobody in any more; who came with it stays, unless they are to go as well. */
export function revoke(step: Step, invitation: string, islands: boolean): void {
  step.update({ revoked: { ...step.state.revoked, [invitation]: true } });
  if (!islands) return;
  // The machine may have come in another way as well, under another name: that is not taken back.
  for (const { name, status } of allIslands(step.state.islands).filter((island) => island.invitation === invitation)) {
    step.island(name, { sentAway: true, left: 'invitation-revoked' });
    if (status === 'gone') continue;
    leave(step, name, 'the host has taken its invitation back', 'invitation-revoked');
    step.effect({ kind: 'disconnect', island: name });
  }
}

/** Of a run that another host goes on with: neither are islands known by their keys, nor is any invitation of before worth anything. */
export function forgetKeys(step: Step): void {
  const anonymous = { key: '', sentAway: false, invitation: null } as const;
  const islands = mapIslands(step.state.islands, (island) => ({ ...island, ...anonymous }));
  step.update({ islands: { ...islands, byInvitation: emptyMap }, revoked: {} });
}

export function leave(step: Step, name: string, reason: string, because: Reason): void {
  if (fallsAsleep(step, step.islandOf(name), because)) return;
  step.island(name, { status: 'gone', left: because });
  releaseEvaluation(step, name);
  step.record({ kind: 'island', island: name, status: 'gone', reason });
}

function takeShard(step: Step, name: string): number {
  const { islands } = step.state;
  const { shard, nextShard } = freeShard(islands, step.settings.expectedIslands, name);
  step.update({ islands: { ...islands, nextShard } });
  return shard;
}

/** Counters of an island over all its connections. */
export function totalProgress({ progress, past }: Pick<Island, 'progress' | 'past'>): Progress | null {
  if (progress === null || past === null) return progress ?? past;
  return {
    ...progress,
    tokens: past.tokens + progress.tokens,
    skippedSteps: past.skippedSteps + progress.skippedSteps,
    computeS: past.computeS + progress.computeS,
    waitS: past.waitS + progress.waitS,
    exchangeS: past.exchangeS + progress.exchangeS,
    evaluateS: past.evaluateS + progress.evaluateS,
    cpuS: past.cpuS + progress.cpuS,
    peakMemoryBytes: Math.max(past.peakMemoryBytes, progress.peakMemoryBytes),
  };
}
