import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { CuttableProxy } from '../../bench/chaos/cuttable-proxy.ts';
import { ConnectionInbox } from '../../src/island/connection-inbox.ts';
import type { CoordinatorConnection, Incoming } from '../../src/island/host.ts';
import { ReconnectingConnection } from '../../src/island/node/reconnecting-connection.ts';
import { IslandSession } from '../../src/island/runtime.ts';
import { hosted } from '../coordinator/hosted.ts';
import { fakeHost, fakeTrainer, idleExchange } from './fakes.ts';

/** A connection with an inbox that the test fills. */
function scripted(inbox: Incoming[]): CoordinatorConnection {
  let wake = (): void => {};
  return {
    send: () => {},
    transfer: async () => {},
    next: async (timeoutMs) => {
      if (inbox.length === 0)
        await Promise.race([
          sleep(timeoutMs),
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
        ]);
      return inbox.shift() ?? 'timeout';
    },
    wake: () => wake(),
    sleep: () => {},
    awaken: () => {},
    beginnings: [],
    close: () => {},
  };
}
const alive: Incoming = { kind: 'told', message: { kind: 'alive' } };
const start: Incoming = { kind: 'told', message: { kind: 'start' } };

it('greetings are heeded while there is long work; what is about the model waits, and keeps its order', async () => {
  const inbox = new ConnectionInbox(scripted([alive, { kind: 'lost' }, start, alive]));
  const heeded: string[] = [];
  const result = await inbox.during(
    sleep(1_500).then(() => 'done'),
    async (item) => void heeded.push(item.kind === 'told' ? item.message.kind : item.kind),
  );
  expect([result, heeded]).toEqual(['done', ['alive', 'lost']]);
  expect([await inbox.next(0), await inbox.next(0), await inbox.next(0)]).toEqual([start, alive, 'timeout']);
});

it('short work is waited for as it is, and is over when it is over', async () => {
  const inbox = new ConnectionInbox(scripted([alive]));
  const startMs = performance.now();
  expect(
    await inbox.during(
      sleep(10).then(() => 1),
      async () => {},
    ),
  ).toBe(1);
  expect(performance.now() - startMs).toBeLessThan(450);
  expect(await inbox.next(0)).toEqual(alive);
  await expect(inbox.during(Promise.reject(new Error('no memory')), async () => {})).rejects.toThrow('no memory');
});

it('an island whose steps take longer than a coordinator waits for a hello comes back in the middle of one', async () => {
  const run = await hosted({}, { leaseMs: 60_000 });
  const way = await CuttableProxy.open(run.server.port);
  const route = { url: `ws://127.0.0.1:${way.port}/v1/run`, fingerprint: undefined, localAddress: undefined };
  const connection = new ReconnectingConnection({ routes: [route], patienceS: 60, log: () => {} });
  const host = fakeHost({ name: 'slow', invitation: await run.invite() });
  let steps = 0;
  const step = async () => {
    steps++;
    await sleep(25_000);
    return { loss: 1, gradNorm: 1, tokens: 10, skipped: false };
  };
  const session = new IslandSession(host, connection, fakeTrainer({ step }), idleExchange).run().catch(() => {});
  const joined = (): number =>
    run.records.filter((r) => r.kind === 'island' && r.island === 'slow' && r.status === 'joining').length;
  try {
    await expect.poll(() => steps, { timeout: 20_000 }).toBe(1);
    expect(joined()).toBe(1);
    way.cut();
    await sleep(200);
    way.mend();
    await expect.poll(joined, { timeout: 15_000 }).toBe(2);
    expect(steps).toBe(1);
  } finally {
    connection.close();
    way.close();
    await run.close();
  }
  await session;
});
