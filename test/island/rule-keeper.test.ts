import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { islandOf } from '../../src/coordinator/roster.ts';
import { initialState } from '../../src/coordinator/run.ts';
import type { OwnerRules } from '../../src/island/host.ts';
import { ReconnectingConnection } from '../../src/island/node/reconnecting-connection.ts';
import { RuleKeeper } from '../../src/island/rule-keeper.ts';
import { IslandSession } from '../../src/island/runtime.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { type Standing, standing } from '../../src/protocol/standing.ts';
import { hosted } from '../coordinator/hosted.ts';
import { settingsFor } from '../coordinator/world.ts';
import { fakeHost, fakeTrainer, realExchange } from './fakes.ts';

/** Real sessions, sockets and a coordinator with all its parts; one island has an owner. */

class Owner implements OwnerRules {
  rest: Standing | null = null;
  dutyShare = 1;
  #changed = (): void => {};

  watch(changed: () => void): void {
    this.#changed = changed;
  }

  stops(): void {
    this.rest = { ...standing('away', 'policy', 'the sun'), next: { what: 'the sun', atS: Date.now() / 1000 + 3600 } };
    this.#changed();
  }

  allows(dutyShare = 1): void {
    this.rest = null;
    this.dutyShare = dutyShare;
    this.#changed();
  }
}

async function running(steps = 100_000) {
  const settings = settingsFor(
    { innerSteps: 15, graceS: 0.2, quorum: 1 },
    { steps, expectedIslands: 2, leaseMs: 2_000, tokensPerStep: 1_024 },
  );
  const coordinator = await hosted({ settings, state: initialState(settings) });
  const routes = [
    { url: `ws://127.0.0.1:${coordinator.server.port}/v1/run`, fingerprint: undefined, localAddress: undefined },
  ];
  const invitation = await coordinator.invite();
  const owner = new Owner();
  const steps_ = [0, 0];
  const connections = await Promise.all(
    [undefined, owner].map(async (rules, i) => {
      const connection = new ReconnectingConnection({ routes, patienceS: 10, log: () => {} });
      const identity = await newIdentity();
      const host = fakeHost({ name: `island-${i + 1}`, identity, invitation, software: 'heliotrope 0.0.0', rules });
      const trainer = fakeTrainer({
        step: async () => {
          await sleep(10);
          steps_[i]!++;
          return { loss: 1, gradNorm: 1, tokens: 10, skipped: false };
        },
        snapshot: async () => Float32Array.from({ length: 6 }, (_, k) => Math.sin(steps_[i]! + i + k)),
        evaluate: async () => ({ lossSum: 30, tokens: 10 }),
      });
      void new IslandSession(host, connection, trainer, realExchange()).run().catch(() => {});
      return connection;
    }),
  );
  const island = () => islandOf(coordinator.server.state.islands, 'island-2');
  await expect.poll(() => steps_[1]!, { timeout: 10_000 }).toBeGreaterThan(5);
  return {
    owner,
    coordinator,
    steps: () => steps_[1]!,
    island,
    mergedOf: (name: string) =>
      coordinator.records
        .flatMap((r) => (r.kind === 'merge' ? r.contributions : []))
        .filter((c) => c.island === name)
        .reduce((sum, c) => sum + c.steps, 0),
    async end() {
      for (const connection of connections) connection.close();
      await coordinator.close();
    },
  };
}

it('takes no step more once its owner stops it, hands in what it has, and sleeps without a connection', async () => {
  const run = await running();
  try {
    run.owner.stops();
    await expect.poll(() => run.island()?.status, { timeout: 5_000 }).toBe('away');
    const stoppedAt = run.steps();
    const mergedBefore = run.mergedOf('island-2');
    await expect.poll(() => run.island()?.rest?.connected, { timeout: 10_000 }).toBe(false);
    expect(run.steps()).toBe(stoppedAt);
    expect(run.mergedOf('island-2')).toBeGreaterThan(mergedBefore);
    // Its lease is long over, and it is still what it was; the other trains on.
    const others = run.mergedOf('island-1');
    await sleep(3_000);
    expect(run.island()).toMatchObject({ status: 'away', told: { reason: 'policy' } });
    expect(run.mergedOf('island-1')).toBeGreaterThan(others);
    run.owner.allows();
    await expect.poll(() => run.island()?.status, { timeout: 10_000 }).toBe('training');
    await expect.poll(() => run.mergedOf('island-2') - mergedBefore, { timeout: 10_000 }).toBeGreaterThan(20);
  } finally {
    await run.end();
  }
}, 60_000);

it('computes no more than the share of the time that its owner gives', async () => {
  const run = await running();
  try {
    const stepsIn = async (ms: number): Promise<number> => {
      const before = run.steps();
      await sleep(ms);
      return run.steps() - before;
    };
    const whole = await stepsIn(2_000);
    run.owner.allows(0.25);
    await sleep(200);
    const quarter = await stepsIn(2_000);
    expect(quarter / whole).toBeGreaterThan(0.05);
    expect(quarter / whole).toBeLessThan(0.5);
  } finally {
    await run.end();
  }
}, 60_000);

it('pauses after a step by its share of power, and not for one during which it was stopped', () => {
  const owner = new Owner();
  const connection = new ReconnectingConnection({ routes: [], patienceS: 10, log: () => {} });
  const keeper = new RuleKeeper(owner, connection, () => 5_000);
  owner.allows(0.25);
  keeper.stepped(1_000);
  expect(keeper.pauseMs).toBe(3_000);
  owner.allows(1);
  keeper.stepped(1_000);
  owner.stops();
  // What a governor says of a machine that draws nothing.
  owner.dutyShare = 0.05;
  keeper.stepped(1_000);
  owner.allows();
  expect(keeper.pauseMs).toBe(0);
  connection.close();
});
