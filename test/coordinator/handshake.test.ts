import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { islandOf } from '../../src/coordinator/roster.ts';
import { JoinRequests } from '../../src/coordinator/server/join-requests.ts';
import type { Hello, Peer } from '../../src/coordinator/server/peer.ts';
import { WorkerAggregation } from '../../src/coordinator/server/worker-aggregation.ts';
import { type Identity, newIdentity } from '../../src/protocol/identity.ts';
import { ADMIN, FRAGMENT, FRESH, type Hosted, hosted, Puppet } from './hosted.ts';
import { settingsFor } from './world.ts';

/** What happens between an island's hello and what it says that it has. */
let run: Hosted;
const puppets: Puppet[] = [];
const puppet = (name: string, identity: Identity | Promise<Identity> = newIdentity()): Puppet => {
  const made = new Puppet(run.server.port, name, identity);
  puppets.push(made);
  return made;
};
afterEach(async () => {
  for (const each of puppets.splice(0)) each.close();
  await run?.close();
  run = undefined as never;
});
const revoke = (id: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${run.server.port}/v1/invitations/${id}/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ islands: true }),
  });
/** Passed over: it does not say what it has. */
const SILENT = { resume: { kind: 'nothing' } };
/** Let in, and silent. */
const letIn = async (name: string, invitation: string | null, identity?: Promise<Identity>): Promise<Puppet> => {
  const island = puppet(name, identity);
  await island.hello(invitation, SILENT);
  await Promise.race([island.hears('admitted'), island.hears('refused')]);
  return island;
};

describe('one that was let in and has not said what it has', () => {
  it('does not come in with an invitation that was taken back meanwhile', async () => {
    run = await hosted();
    const late = await letIn('late', await run.invite({ id: '__proto__' }));
    await revoke('__proto__');
    late.say(FRESH);
    expect((await late.hears('refused')).what).toContain('has taken this invitation back');
    expect(run.server.state.islands.all.size).toBe(0);
  });

  it('does not come back if it was sent away meanwhile', async () => {
    run = await hosted();
    const attic = puppet('attic');
    await attic.hello(run.invite({ id: 'i' }));
    await attic.hears('welcome');
    attic.close();
    await expect.poll(() => islandOf(run.server.state.islands, 'attic')?.status).toBe('gone');
    const back = await letIn('attic', null, attic.identity);
    await revoke('i');
    back.say(FRESH);
    expect((await back.hears('refused')).what).toContain('that this island came with');
    expect(islandOf(run.server.state.islands, 'attic')?.status).toBe('gone');
  });

  it('counts as a use of its invitation, so that one for one island lets one in', async () => {
    run = await hosted();
    const invitation = await run.invite({ uses: 1 });
    const first = await letIn('first', invitation);
    // Its own next connection is no other island.
    const again = await letIn('first', invitation, first.identity);
    expect(again.told.map(({ kind }) => kind)).toContain('admitted');
    const second = await letIn('second', invitation);
    expect(await second.hears('refused')).toMatchObject({ code: 'HELIO-4003', retryAfterS: 10 });
    again.close();
    await expect.poll(async () => (await letIn('third', invitation)).told.at(-1)?.kind).toBe('admitted');
    const third = puppets.at(-1)!;
    third.say(FRESH);
    await third.hears('welcome');
    const late = await letIn('late', invitation);
    expect((await late.hears('refused')).what).toContain('is used up: its limit was 1');
    expect(late.told.some(({ kind }) => kind === 'admitted')).toBe(false);
  });

  it('leaves no name behind when it goes, however many one key invents', async () => {
    run = await hosted();
    const [invitation, identity] = [await run.invite({ uses: 1 }), newIdentity()];
    for (let i = 0; i < 20; i++) {
      await expect.poll(async () => (await letIn(`n-${i}`, invitation, identity)).told.at(-1)?.kind).toBe('admitted');
      puppets.at(-1)!.close();
    }
    await expect.poll(() => [...run.server.traffic.keys()]).toEqual([]);
    const asHost = { authorization: `Bearer ${ADMIN}` };
    const metrics = await (await fetch(`http://127.0.0.1:${run.server.port}/metrics`, { headers: asHost })).text();
    // A hello has more than 300 bytes.
    expect(Number(/^heliotrope_received_bytes_total\S* (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(20 * 300);
  });

  it('keeps the place of an invitation for one against the same key under another name', async () => {
    run = await hosted();
    const [invitation, identity] = [await run.invite({ uses: 1 }), newIdentity()];
    const first = await letIn('n-0', invitation, identity);
    expect(await (await letIn('n-1', invitation, identity)).hears('refused')).toMatchObject({
      code: 'HELIO-4003',
      retryAfterS: 10,
    });
    first.say(FRESH);
    await first.hears('welcome');
    expect([...run.server.traffic.keys()]).toEqual(['n-0']);
  });

  it('cannot make us keep anything', async () => {
    run = await hosted();
    const attic = await letIn('attic', await run.invite());
    await attic.contribute([1, 2, 3, 4, 5, 6]);
    expect((await attic.hears('refused')).what).toContain('frame came before');
  });

  it('has so much time', async () => {
    run = await hosted({ resumeMs: 300 });
    const attic = await letIn('attic', await run.invite());
    expect(await attic.hears('refused')).toMatchObject({ retryAfterS: 10 });
    await attic.until(() => attic.closed);
  });

  it('keeps its name against one that was let in under it at the same instant', async () => {
    run = await hosted();
    const invitation = await run.invite();
    for (let i = 0; i < 10; i++) {
      const both = [puppet(`attic-${i}`), puppet(`attic-${i}`)];
      await Promise.all(both.map((each) => each.hears('challenge')));
      await Promise.all(both.map((each) => each.hello(invitation)));
      await Promise.all(both.map((each) => each.until(() => each.closed || each.told.at(-1)?.kind === 'place')));
      await sleep(20);
      const { key } = islandOf(run.server.state.islands, `attic-${i}`)!;
      const open = both.filter(({ closed }) => !closed);
      expect(open.length).toBeLessThanOrEqual(1);
      for (const each of open) expect((await each.identity).publicKey).toBe(key);
    }
  });
});

it('who asked to join and left leaves nothing behind', () => {
  vi.useFakeTimers();
  const joinRequests = new JoinRequests(() => performance.now());
  for (let i = 0; i < 200; i++) {
    const peer = { address: '127.0.0.1' } as Peer;
    joinRequests.add(peer, { island: 'a', key: `key ${i}` } as Hello, () => {});
    joinRequests.forget(peer);
  }
  expect([vi.getTimerCount(), joinRequests.list]).toEqual([0, []]);
  vi.useRealTimers();
});

it('a contribution that is measured while the next merge is decided without it, is in none, and ends nothing', async () => {
  const outer = { pull: 'due', quorum: 1, maxStaleness: 4, innerSteps: 5 } as const;
  const settings = settingsFor(outer).outer;
  const aggregation = await WorkerAggregation.begin([FRAGMENT], settings, {
    parameters: new Map([['w', new Float32Array(6)]]),
  });
  const gate = Promise.withResolvers<void>();
  const contribute = aggregation.contribute.bind(aggregation);
  const taken = Promise.withResolvers<void>();
  // As on a thread that has much to do: it has taken it, and its answer comes late.
  aggregation.contribute = async (fragment, island, ...rest) => {
    const measured = await contribute(fragment, island, ...rest);
    if (island === 'slow') {
      taken.resolve();
      await gate.promise;
    }
    return measured;
  };
  run = await hosted({ aggregation }, { islands: 2, outer, leaseMs: 1_500 });
  const [slow, quick] = [puppet('slow'), puppet('quick')];
  const alive = setInterval(() => [slow, quick].map((each) => each.say({ kind: 'alive' })), 200);
  let failed: unknown;
  run.server.ended.catch((error: unknown) => {
    failed = error;
  });
  const answer = (island: Puppet): void =>
    void island.hears('evaluate').then((message) => {
      for (const part of message.parts)
        island.say({ kind: 'evaluated', evaluation: message.evaluation, part, lossSum: 3, tokens: 1 });
    });
  for (const island of [slow, quick]) {
    await island.hello(run.invite());
    await island.hears('welcome');
    answer(island);
  }
  for (const island of [slow, quick]) island.say({ kind: 'ready', restored: null });
  for (const island of [slow, quick]) await island.hears('start');
  const pulls = (island: Puppet): number => island.told.filter(({ kind }) => kind === 'pull').length;
  slow.say({ kind: 'due', fragment: 0, version: 0, slackMs: 0 });
  await slow.hears('pull');
  await slow.contribute([1, 1, 1, 1, 1, 1]);
  await taken.promise;
  quick.say({ kind: 'due', fragment: 0, version: 0, slackMs: 0 });
  await quick.hears('pull');
  await quick.contribute([2, 2, 2, 2, 2, 2]);
  await expect.poll(() => run.server.state.fragments[0]!.version, { timeout: 10_000 }).toBe(1);
  const before = pulls(slow);
  await expect.poll(() => pulls(slow) >= before && run.server.state.fragments[0]!.stage.kind).toBe('pulling');
  gate.resolve();
  await sleep(300);
  // It is asked again, and hands in anew.
  await slow.contribute([1, 1, 1, 1, 1, 1], { version: 0, round: 2 }, true);
  await expect.poll(() => failed ?? run.server.state.fragments[0]!.version, { timeout: 10_000 }).toBe(2);
  clearInterval(alive);
  await aggregation.close();
});

it('a base that cannot be read any more ends the joiner’s connection, and nothing else', async () => {
  const bytes = 3 * 2 ** 20;
  let broken = false;
  const base = {
    length: bytes,
    subarray(begin: number, end: number): Uint8Array {
      if (broken && begin > 0) throw new Error('EIO: i/o error, read');
      return new Uint8Array(Math.min(end, bytes) - begin);
    },
  };
  const faults: string[] = [];
  run = await hosted({ base, onFault: (error, place) => faults.push(`${place}: ${String(error)}`) });
  const first = puppet('first');
  await first.hello(run.invite());
  await first.hears('welcome');
  await sleep(300);
  broken = true;
  const second = puppet('second');
  await second.hello(run.invite());
  await second.until(() => second.closed);
  expect(faults).toEqual([expect.stringMatching(/second.*EIO/)]);
  broken = false;
  const third = puppet('third');
  await third.hello(run.invite());
  await third.hears('place');
  expect(first.closed).toBe(false);
});
