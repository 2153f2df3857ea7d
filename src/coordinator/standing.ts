import { type Standing, standing } from '../protocol/standing.ts';
import { entryOf } from './persistent-map.ts';
import { runStepOf } from './run.ts';
import type { Island, RunSettings, RunState } from './state.ts';

/** Where an island is, so that whoever looks at the run understands it: pure, from the state alone. */
export function standingOf(settings: RunSettings, state: RunState, island: Island): Standing {
  const { status, told, key } = island;
  const banned = key === '' ? undefined : entryOf(state.banned, key);
  // Of a run that was moved without keys the name alone is left.
  if (banned !== undefined || island.left === 'offences')
    return standing('banned', 'offences', banned ?? 'what no honest island does');
  // A command that its host might type is no island's to name.
  if (told?.state === 'away' && status !== 'joining') return { ...told, fix: null };
  switch (status) {
    case 'joining': {
      const known = island.joins > 1 ? 'connected-again' : 'new';
      return standing('joining', known, 'It is sent the model, reads its data, and trains from the next merge on.');
    }
    case 'training':
      return atWork(settings, state, island);
    case 'gone':
      return goneFor(island);
  }
}

function atWork(settings: RunSettings, state: RunState, island: Island): Standing {
  const { phase, islands, fragments } = state;
  const { expectedIslands, outer, steps } = settings;
  const there = `${islands.training.size} of ${expectedIslands} islands are ready`;
  if (phase === 'gathering') return standing('holding', 'run-gathers', `Training begins when all are there: ${there}.`);
  if (phase === 'measuring' || phase === 'concluding')
    return standing('holding', 'run-validates', 'The model is being measured on held-out data.');
  if (phase === 'paused')
    return standing(
      'training',
      'below-quorum',
      `The next merge waits for ${outer.quorum} islands; ${islands.training.size} are there.`,
    );
  const due = island.due.every((at) => at !== null);
  const at = Math.min(...fragments.map(({ nextStep }) => nextStep));
  return due
    ? standing(
        'holding',
        'waits-for-merge',
        `It has handed in, or is about to; the merge is at step ${at} of ${steps}.`,
      )
    : standing(
        'training',
        'at-work',
        `Its next merge is at step ${at} of ${steps}; the run is at ${runStepOf(state)}.`,
      );
}

function goneFor({ left = 'left', name, sentAway }: Island): Standing {
  if (sentAway === true)
    return standing('gone', 'invitation-revoked', 'It came with an invitation that was taken back.');
  const back = 'It takes up its place again when it comes back.';
  const fix = `heliotrope join LINK --name ${name}`;
  return standing('gone', left, back, left === 'left' || left === 'lease-expired' ? fix : null);
}
