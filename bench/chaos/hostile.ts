import { fork } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../src/ml/tensor/random.ts';
import { startPostgres } from '../../test/services/postgres.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { Processes } from './processes.ts';

/** What a coordinator on the open internet has to live with: connections by strangers, and a database behind a line that fails. */

/** Strangers a second, of every kind, until the run is over. @returns tells how many came */
export async function crowd(processes: Processes, perSecond: number): Promise<() => number> {
  while (processes.port === undefined && !processes.over) await sleep(50);
  const child = fork(path.join(import.meta.dirname, 'crowd.ts'), [String(processes.port), String(perSecond)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: 'inherit',
  });
  let sent = 0;
  child.on('message', (message: { readonly sent: number }) => {
    sent = message.sent;
  });
  void (async () => {
    while (!processes.over) await sleep(100);
    child.kill('SIGKILL');
  })();
  return () => sent;
}

/** A PostgreSQL of its own, behind a proxy. */
export interface Database {
  readonly url: string;
  readonly proxy: FaultProxy;
  stop(): Promise<void>;
}

/** @returns undefined where PostgreSQL is not installed */
export async function databaseBehindProxy(): Promise<Database | undefined> {
  const server = await startPostgres();
  if (server === undefined) return undefined;
  const url = new URL(server.url);
  const proxy = await FaultProxy.before(Number(url.port));
  url.port = String(proxy.port);
  return {
    url: url.href,
    proxy,
    async stop() {
      await proxy.close();
      await server.stop();
    },
  };
}

/** The line to the database is cut, is slow, is silent, and loses answers to what was carried out, whichever the seed says. @returns how often */
export async function harm(
  { proxy }: Database,
  processes: Processes,
  random: Random,
  everyMs: number,
): Promise<number> {
  let harms = 0;
  while (!processes.over) {
    await sleep(everyMs * (0.5 + random.uniform()));
    if (processes.over) break;
    harms++;
    const forMs = 200 + random.integer(2_000);
    switch (random.integer(6)) {
      case 0:
        proxy.cut();
        break;
      case 1:
        proxy.halfClose();
        break;
      case 2:
        proxy.delay(20 + random.integer(200));
        break;
      case 3:
        proxy.stall();
        break;
      case 4:
        proxy.loseAnswerTo('COMMIT');
        continue;
      default:
        proxy.away();
    }
    await sleep(forMs);
    proxy.mend();
  }
  proxy.mend();
  return harms;
}
