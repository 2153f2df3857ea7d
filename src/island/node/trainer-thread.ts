import { parentPort } from 'node:worker_threads';
import { HelioError } from '../../errors.ts';
import { LocalTrainer } from './local-trainer.ts';
import type { Call, Progress, Reply } from './worker-trainer.ts';

/** The worker's side of `WorkerTrainer`: one call after the other, in the order in which they came. */
const port = parentPort!;
const trainer = new LocalTrainer((progress) => port.postMessage({ progress } satisfies Progress));
let queue = Promise.resolve();

port.on('message', (call: Call) => {
  queue = queue.then(async () => {
    port.postMessage(await answer(call));
  });
});

async function answer({ id, method, args }: Call): Promise<Reply> {
  try {
    const operation = trainer[method] as (...args: unknown[]) => Promise<unknown>;
    return { id, result: await operation.apply(trainer, [...args]) };
  } catch (error) {
    const known = error instanceof HelioError ? error.toJSON() : undefined;
    return { id, error: { known, message: error instanceof Error ? (error.stack ?? error.message) : String(error) } };
  }
}
