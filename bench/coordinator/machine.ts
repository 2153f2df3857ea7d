import type { Effect, Event } from '../../src/coordinator/events.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { RunState } from '../../src/coordinator/state.ts';
import { settingsFor } from '../../test/coordinator/world.ts';

/** The pure machine alone, with islands that do what they should: milliseconds of a round of due, contributions and a merge. */
export function roundMs(islands: number, rounds = 3): number {
  const settings = settingsFor(
    { innerSteps: 10, graceS: 60, quorum: islands, fragments: 1 },
    { expectedIslands: islands, steps: 1_000_000, leaseMs: 1e9 },
  );
  let state: RunState = initialState(settings);
  let nowMs = 0;
  const happens = (event: Event): readonly Effect[] => {
    const step = react(settings, state, event, nowMs);
    ({ state } = step);
    return step.effects;
  };
  const names = Array.from({ length: islands }, (_, i) => `island-${i + 1}`);
  for (const island of names)
    happens({ kind: 'joined', island, key: island, invitation: { id: 'i', uses: 1e6 }, holds: [] });
  const evaluating = names.flatMap((island) => happens({ kind: 'ready', island, restored: null }));
  answer(evaluating);
  const tookMs: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    nowMs += 10_000;
    const version = round - 1;
    const startMs = performance.now();
    let effects: readonly Effect[] = [];
    for (const island of names) effects = happens({ kind: 'due', island, fragment: 0, version, slackMs: 0 });
    if (effects.filter((effect) => effect.kind === 'send').length !== islands) throw new Error('nobody was asked');
    for (const island of names)
      effects = happens({
        kind: 'contributed',
        island,
        fragment: 0,
        version,
        round,
        steps: 10,
        tokens: 1_000,
        length: 1,
      });
    tookMs.push(performance.now() - startMs);
    if (!effects.some((effect) => effect.kind === 'merge')) throw new Error('nothing was merged');
    answer(effects);
  }
  return tookMs.toSorted((a, b) => a - b)[tookMs.length >> 1]!;

  function answer(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind !== 'send' || effect.message.kind !== 'evaluate') continue;
      const { evaluation, parts } = effect.message;
      for (const part of parts)
        answer(happens({ kind: 'evaluated', island: effect.island, evaluation, part, lossSum: 3, tokens: 1 }));
    }
  }
}
