import { openPostgres } from '../../src/coordinator/store/postgres.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';

/**
 * A process that writes events into a run and prints each that was committed, until it has written all or is told to stop (SIGTERM).
 *
 * Usage: node postgres-writer.ts URL RUN EVENTS
 */
const [url, run, events] = process.argv.slice(2);
let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});
const store = await SqlRunStore.open(await openPostgres(url!, run!, { answerMs: 2_000, forMs: 120_000 }), run!);
for (let i = 0; i < Number(events) * 100 && !stopping; i++) {
  store.append(i, { kind: 'left', island: `event-${i}`, reason: 'test' });
  await store.flush();
  process.stdout.write(`event-${i}\n`);
}
await store.close();
