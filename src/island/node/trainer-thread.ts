import { parentPort } from 'node:worker_threads';
import { LocalTrainer } from './local-trainer.ts';
import { answerCalls, notify } from './thread.ts';

/** The thread of `WorkerTrainer`. Snapshots are copies that nobody here looks at again, so they are handed over. */
const port = parentPort!;
answerCalls(port, new LocalTrainer((share) => notify(port, share)), (method, result) =>
  method === 'snapshot' ? [(result as Float32Array<ArrayBuffer>).buffer] : [],
);
