import { dueStepOf } from '../coordinator/due.ts';
import { HelioError } from '../errors.ts';
import { keepsSecond } from '../outer/outer-optimizer.ts';
import { type OuterOptimizer, type OuterSettings, sendsWhole } from '../outer/settings.ts';
import { codecParts } from '../protocol/codec-names.ts';
import type { Job } from '../protocol/run-file.ts';

/** Checks of outer settings: contradictions are refused, surprises reported. None is changed silently. */

interface Rule {
  readonly broken: boolean;
  readonly what: string;
  readonly remedy: string;
}

/** @throws HelioError HELIO-1001 naming the first contradiction */
export function checkOuter({ outer, inner, islands }: Job): void {
  const {
    quorum,
    pull,
    overlapSteps,
    innerSteps,
    fragments,
    localShare,
    carryOver,
    oneStepDelay,
    maxStaleness,
    exactOverlap,
  } = outer;
  const rules: readonly Rule[] = [
    {
      broken: quorum !== 'all' && quorum > islands,
      what: `outer.quorum ${quorum} is more than the ${islands} islands of the run.`,
      remedy: `Choose at most ${islands}, or all.`,
    },
    {
      broken: overlapSteps >= innerSteps,
      what: `outer.overlapSteps ${overlapSteps} is no less than outer.innerSteps ${innerSteps}: merges would overtake each other.`,
      remedy: `Choose at most ${innerSteps - 1}.`,
    },
    {
      broken: fragments > innerSteps,
      what: `outer.fragments ${fragments} is more than outer.innerSteps ${innerSteps}: two would be due in one step.`,
      remedy: `Choose at most ${innerSteps} fragments, or more inner steps.`,
    },
    {
      broken: localShare > 0 && overlapSteps === 0 && !exactOverlap,
      what: `outer.localShare ${localShare} mixes in what an island trained during a merge, and outer.overlapSteps is 0.`,
      remedy: 'Set outer.overlapSteps, or outer.localShare to 0.',
    },
    {
      broken: oneStepDelay && localShare > 0,
      what: `outer.localShare ${localShare} mixes on arrival, and with outer.oneStepDelay nothing is taken on arrival.`,
      remedy: 'Set outer.localShare to 0, or outer.oneStepDelay to false.',
    },
    {
      broken: carryOver && localShare > 0,
      what: `outer.carryOver keeps all that an island trained during a merge, and outer.localShare ${localShare} a share of it.`,
      remedy: 'Set outer.localShare to 0, or outer.carryOver to false.',
    },
    {
      broken: carryOver && oneStepDelay,
      what: 'outer.carryOver is about what is taken on arrival, and with outer.oneStepDelay nothing is.',
      remedy: 'Choose one of them.',
    },
    {
      broken: exactOverlap && oneStepDelay,
      what: 'outer.exactOverlap says when what was merged is written, and outer.oneStepDelay that it is with the next contribution.',
      remedy: 'Choose one of them.',
    },
    {
      broken: oneStepDelay && maxStaleness === 0,
      what: 'outer.oneStepDelay makes contributions whose base is one merge behind, and outer.maxStaleness 0 leaves those out.',
      remedy: 'Set outer.maxStaleness to 1.',
    },
    {
      broken: oneStepDelay && pull === 'due',
      what: 'outer.oneStepDelay is for rounds together, and outer.pull due is for islands one by one.',
      remedy: 'Choose one of them.',
    },
    {
      broken: outer.momentumPeriod > 1 && outer.optimizer !== 'delayed-nesterov',
      what: `outer.momentumPeriod ${outer.momentumPeriod} is delayed Nesterov's, and outer.optimizer is ${outer.optimizer}.`,
      remedy: 'Set outer.optimizer to delayed-nesterov, or leave outer.momentumPeriod out.',
    },
    {
      broken: outer.strategy === 'muloco' && inner.optimizer !== 'muon',
      what: `outer.strategy muloco has Muon inside, and inner.optimizer is ${inner.optimizer}.`,
      remedy: 'Leave inner.optimizer out, or choose outer.strategy diloco.',
    },
  ];
  const broken = rules.find((rule) => rule.broken);
  if (broken !== undefined) throw new HelioError('HELIO-1001', broken.what, broken.remedy);
}

/**
 * What a run that has begun cannot change: its islands, its merges and what its optimizer remembers are cut so, and kept so.
 *
 * @param before as of its last session; of an earlier version some may be missing
 * @throws HelioError HELIO-1001
 */
export function checkContinued(before: Partial<OuterSettings>, now: OuterSettings): void {
  const second = (name: OuterOptimizer): string | false => keepsSecond(name) && name.replace(/^yogi$/, 'adam');
  const changed = (['fragments', 'fragmentation', 'optimizer'] as const).find((key) => {
    const was = before[key];
    if (was === undefined || was === now[key]) return false;
    if (key === 'fragmentation') return now.fragments > 1;
    // A sum of differences is no second moment: of one optimizer it is taken for the other's.
    const [old, own] = [second(before.optimizer ?? now.optimizer), second(now.optimizer)];
    return key === 'fragments' || (old !== false && own !== false && old !== own);
  });
  if (changed === undefined) return;
  throw new HelioError(
    'HELIO-1001',
    `outer.${changed} is ${now[changed]}, and this run was begun with ${before[changed]}.`,
    `Set it back to ${before[changed]} in its run.yaml, or start another run. Nothing was changed.`,
  );
}

/** What the settings make of a run that its owner may not expect, a sentence each. */
export function outerNotices({ outer, inner, islands, stop }: Job): readonly string[] {
  const { strategy, innerSteps, fragments, averaging, faultyShare, momentum } = outer;
  const { steps } = stop;
  const hasMomentum = outer.optimizer !== 'adam' && outer.optimizer !== 'yogi';
  const sparse = [outer.upCodec, outer.downCodec].find((codec) => codecParts(codec).kind !== 'numbers');
  const when = (condition: boolean, sentence: string): readonly string[] => (condition ? [sentence] : []);
  const dueSteps = Array.from({ length: fragments }, (_, p) => dueStepOf(outer, p));
  const faulty = Math.ceil(faultyShare * islands);
  return [
    ...when(
      innerSteps > steps,
      `outer.innerSteps ${innerSteps} is more than stop.steps ${steps}: the islands are merged once, at the last step.`,
    ),
    ...when(
      innerSteps < steps && steps % innerSteps !== 0,
      `stop.steps ${steps} is no multiple of outer.innerSteps ${innerSteps}: the last round has only ${steps % innerSteps} steps.`,
    ),
    ...when(
      innerSteps % fragments !== 0,
      `outer.innerSteps ${innerSteps} is no multiple of outer.fragments ${fragments}: fragments are due at steps ${dueSteps.join(', ')} of a round.`,
    ),
    ...when(
      outer.downCodec !== 'f32' && sendsWhole(outer),
      `outer.downCodec ${outer.downCodec} carries differences, and with outer.pull due an island misses the merges of others: merged fragments come back whole, in f32.`,
    ),
    ...when(
      averaging.endsWith('krum') && islands <= 2 * faulty + 2,
      `outer.averaging ${averaging} promises to survive ${faulty} of more than ${2 * faulty + 2} islands, and there are ${islands}: here it is a heuristic.`,
    ),
    ...when(
      inner.optimizer === 'muon' && hasMomentum && momentum >= 0.9,
      `outer.momentum ${momentum} is the papers', who have AdamW inside; with Muon inside it overshoots. Say inner.optimizer adamw, or an outer.momentum of 0.7 at most.`,
    ),
    ...when(
      strategy === 'auto' && sparse !== undefined && momentum > 0.3,
      `outer.momentum ${momentum} runs on without what ${sparse} holds back, and such runs may diverge: left out, it is 0 beside that codec.`,
    ),
  ];
}
