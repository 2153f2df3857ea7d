import { type Standing, standing } from '../protocol/standing.ts';
import { entryOf } from './persistent-map.ts';
import { runStepOf } from './run.ts';
import type { Island, RunSettings, RunState } from './state.ts';

/** An island's state and its reason, for people who look at the run: pure, from the run's state alone. */
export function standingOf(settings: RunSettings, state: RunState, island: Island): Standing {
  const { status, told, key } = island;
  const banned = key === '' ? undefined : entryOf(state.banned, key);
  // Of a run that was moved without keys the name alone is left.
  if (banned !== undefined || island.left === 'offences')
    return standing('banned', 'offences', banned ?? 'what no honest island does');
  switch (status) {
    case 'joining': {
      const known = island.joins > 1 ? 'connected-again' : 'new';
      return standing('joining', known, 'It is sent the model, reads its data, and trains from the next merge on.');
    }
    case 'training':
      return atWork(settings, state, island);
    case 'away':
      // An island must not suggest commands to the host.
      return told === undefined ? standing('away', 'policy', null) : { ...told, fix: null };
    case 'gone':
      return goneFor(island);
  }
}

function atWork(settings: RunSettings, state: RunState, island: Island): Standing {
  const { phase, islands, fragments } = state;
  const { expectedIslands, outer, steps } = settings;
  const there = `${islands.training.size} of ${expectedIslands} islands are ready`;
  if (phase === 'gathering') return standing('holding', 'run-gathers', `Training begins when all are ready: ${there}.`);
  if (phase === 'measuring' || phase === 'concluding')
    return standing('holding', 'run-validates', 'The model is being measured on held-out data.');
  if (phase === 'paused')
    return standing(
      'training',
      'below-quorum',
      `The next merge waits for a quorum of ${outer.quorum}; connected: ${islands.training.size}.`,
    );
  const due = island.due.every((at) => at !== null);
  const at = Math.min(...fragments.map(({ nextStep }) => nextStep));
  return due
    ? standing(
        'holding',
        'waits-for-merge',
        `It has sent its contribution, or is about to. The merge is at step ${at} of ${steps}.`,
      )
    : standing(
        'training',
        'at-work',
        `Its next merge is at step ${at} of ${steps}; the run is at ${runStepOf(state)}.`,
      );
}

function goneFor({ left = 'left', name, sentAway }: Island): Standing {
  if (sentAway === true)
    return standing('gone', 'invitation-revoked', 'It joined with an invitation that was revoked.');
  const back = 'It continues when it comes back.';
  const fix = `heliotrope join LINK --name ${name}`;
  return standing('gone', left, back, left === 'left' || left === 'lease-expired' ? fix : null);
}
