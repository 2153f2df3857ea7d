import { setTimeout as sleep } from 'node:timers/promises';

/** Whoever is in a step of training hears only after it that the run is over: for one that takes longer nobody waits. */
const MOST_MS = 5_000;
const LOOK_MS = 20;

/** Resolves when nobody is there any more who has something to hand in at the end, or has had a few seconds for it. */
export async function lastWords(isAnyoneThere: () => boolean): Promise<void> {
  const untilMs = performance.now() + MOST_MS;
  while (isAnyoneThere() && performance.now() < untilMs) await sleep(LOOK_MS);
}
