import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { initialState } from '../../src/coordinator/run.ts';
import { ReconnectingConnection } from '../../src/island/node/reconnecting-connection.ts';
import { IslandSession } from '../../src/island/runtime.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { hosted } from '../coordinator/hosted.ts';
import { LIES, type LieName } from '../coordinator/liars.ts';
import { settingsFor } from '../coordinator/world.ts';
import { fakeHost, fakeTrainer, realExchange } from './fakes.ts';
import { LyingConnection } from './lying-connection.ts';

/** Real sessions and sockets, a coordinator with all its parts, and four islands of which the last one lies: what the seeded worlds assert, once each. */

const ISLANDS = 4;

async function runWith(lie: LieName) {
  const settings = settingsFor(
    { innerSteps: 15, graceS: 0.2, quorum: 1 },
    // As many tokens as a step of the hosted job has.
    { expectedIslands: ISLANDS, leaseMs: 2_000, tokensPerStep: 1_024 },
  );
  const coordinator = await hosted({ settings, state: initialState(settings) });
  const url = `ws://127.0.0.1:${coordinator.server.port}/v1/run`;
  const invitation = await coordinator.invite();
  const lines = await Promise.all(
    Array.from({ length: ISLANDS }, async (_, i) => {
      const identity = await newIdentity();
      const routes = [{ url, fingerprint: undefined, localAddress: undefined }];
      const inner = new ReconnectingConnection({ routes, patienceS: 10, log: () => {} });
      const random = seededRandom(i);
      const connection =
        i < ISLANDS - 1 ? inner : new LyingConnection(inner, { identity, random, lie: () => LIES[lie] });
      const host = fakeHost({ name: `island-${i + 1}`, identity, invitation, software: 'heliotrope 0.0.0' });
      let trained = 0;
      const trainer = fakeTrainer({
        step: async () => {
          await sleep(10);
          trained++;
          return { loss: 1, gradNorm: 1, tokens: 10, skipped: false };
        },
        snapshot: async () => Float32Array.from({ length: 6 }, (_, k) => Math.sin(trained + i + k)),
        evaluate: async () => ({ lossSum: 30, tokens: 10 }),
      });
      void new IslandSession(host, connection, trainer, realExchange()).run().catch(() => {});
      return connection;
    }),
  );
  try {
    const ending = await coordinator.server.ended;
    return { ending, state: coordinator.server.state, records: coordinator.records };
  } finally {
    for (const connection of lines) connection.close();
    await coordinator.close();
  }
}

it.concurrent.each(Object.keys(LIES) as LieName[])(
  'one that %s stops nobody, and gets nobody honest banned',
  async (lie) => {
    const { ending, state, records } = await runWith(lie);
    expect(ending.status).toBe('finished');
    const offences = records.flatMap((record) => (record.kind === 'offence' ? [record.island] : []));
    expect(new Set(offences)).toEqual(new Set(lie === 'is not finite' ? ['island-4'] : []));
    const out = records.flatMap((record) => (record.kind === 'left-out' ? [record.island] : []));
    expect(new Set(out)).toEqual(new Set(LEFT_OUT.has(lie) ? ['island-4'] : []));
    expect(state.lastLoss).toBeCloseTo(3, 6);
  },
  60_000,
);

const LEFT_OUT: ReadonlySet<LieName> = new Set(['is huge', 'claims all tokens there are']);
