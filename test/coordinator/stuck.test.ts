import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { islandOf } from '../../src/coordinator/roster.ts';
import { hosted, Puppet } from './hosted.ts';

it('one that says that it is there, and reads nothing, is let go; one that reads stays', async () => {
  // Minutes pass quickly on this clock once both are there.
  let aheadMs = 0;
  const run = await hosted({ nowMs: () => performance.now() + aheadMs }, { elements: 8_000_000, leaseMs: 1e9 });
  const [deaf, good] = [new Puppet(run.server.port, 'deaf'), new Puppet(run.server.port, 'good')];
  try {
    for (const each of [deaf, good]) {
      await each.hello(run.invite());
      await each.hears('welcome');
    }
    deaf.socket.pause();
    const statusOf = (name: string) => islandOf(run.server.state.islands, name)?.status;
    await expect.poll(() => statusOf('good')).toBe('joining');
    const beats = setInterval(() => [deaf, good].map((each) => each.say({ kind: 'alive' })), 50);
    await sleep(500);
    aheadMs = 130_000;
    await expect.poll(() => statusOf('deaf'), { timeout: 10_000 }).toBe('gone');
    clearInterval(beats);
    expect([good.closed, statusOf('good')]).toEqual([false, 'joining']);
  } finally {
    for (const each of [deaf, good]) each.close();
    await run.close();
  }
});
