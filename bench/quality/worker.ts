import { runTrial } from './run-trial.ts';
import type { Trial } from './trial.ts';

/** A process of the quality benchmark: one trial after the other, on one thread. */
process.on('message', async (trial: Trial) => {
  try {
    process.send!(await runTrial(trial));
  } catch (error) {
    process.send!({ error: error instanceof Error ? error.message : String(error) });
  }
});
