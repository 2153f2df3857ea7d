import { parentPort } from 'node:worker_threads';
import { answerCalls, notify } from '../../threads.ts';
import { LocalTrainer } from './local-trainer.ts';

/** The thread of `WorkerTrainer`. Snapshots are copies that nobody here looks at again, so they are handed over. */
const port = parentPort!;
answerCalls(port, new LocalTrainer((share) => notify(port, share)), (method, result) =>
  method === 'snapshot' ? [(result as Float32Array<ArrayBuffer>).buffer] : [],
);
