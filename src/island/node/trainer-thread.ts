import { parentPort } from 'node:worker_threads';
import { answerCalls, notify } from '../../threads.ts';
import { buffersOf } from '../fragment-exchange.ts';
import { LocalTrainer } from './local-trainer.ts';

/** The thread of `WorkerTrainer`. Snapshots, and what was read from a file, nobody here looks at again: they are handed over. */
const port = parentPort!;
answerCalls(port, new LocalTrainer((share) => notify(port, share)), (method, result) => {
  if (method === 'snapshot') return [(result as Float32Array<ArrayBuffer>).buffer];
  const restored = method === 'restore' ? (result as Awaited<ReturnType<LocalTrainer['restore']>>) : null;
  return restored === null ? [] : buffersOf(restored.exchange);
});
