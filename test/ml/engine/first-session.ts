/** What `node-runtime.test.ts` runs in a process of its own: a session, in this thread or, with `thread`, in another. */
import { isMainThread, parentPort } from 'node:worker_threads';
import { Graph } from '../../../src/ml/engine/graph.ts';
import { nodeRuntime } from '../../../src/ml/engine/node-runtime.ts';
import { answerCalls, ThreadClient } from '../../../src/threads.ts';

const subject = {
  async session(): Promise<void> {
    const graph = new Graph();
    const a = graph.input('a', 'float32', [2, 2]);
    graph.output('y', graph.one('Gemm', [a, a]));
    const session = await nodeRuntime().compile(graph, 'first', { threads: 1 });
    await session.release();
  },
};

if (!isMainThread) answerCalls(parentPort!, subject, () => []);
else if (process.argv[2] === 'thread') {
  const thread = new ThreadClient(new URL('./first-session', import.meta.url), 'first session');
  await thread.call('session', []);
  await thread.end();
} else await subject.session();
