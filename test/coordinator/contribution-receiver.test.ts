import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, it } from 'vitest';
import { islandOf } from '../../src/coordinator/roster.ts';
import { ContributionReceiver } from '../../src/coordinator/server/contribution-receiver.ts';
import type { Peer } from '../../src/coordinator/server/peer.ts';
import { type Content, encodeFrames, joined } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { type Hosted, hosted, Puppet } from './hosted.ts';

let run: Hosted | undefined;
const puppets: Puppet[] = [];
const puppet = (name: string): Puppet => {
  const made = new Puppet(run!.server.port, name);
  puppets.push(made);
  return made;
};
afterEach(async () => {
  for (const each of puppets.splice(0)) each.close();
  await run?.close();
  run = undefined;
});
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
/** Bytes of buffers that something holds. */
const heldBytes = async (): Promise<number> => {
  await sleep(200);
  collectGarbage();
  await sleep(50);
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
};
const contribution = (change: object = {}): Content => ({
  kind: 'contribution',
  fragment: 0,
  version: 0,
  round: 1,
  steps: 5,
  tokens: 50,
  form: 'parameters',
  codec: 'f32',
  signature: 'A'.repeat(86),
  ...change,
});

it('transfers that nobody asked for take no memory, however many begin and do not end', async () => {
  const elements = 2 ** 21;
  run = await hosted({}, { elements, islands: 100 });
  const payload = new Uint8Array(4 * elements);
  const frames = [...encodeFrames({ content: contribution(), payload, hash: await contentHash(payload) })].map(joined);
  const invitation = await run.invite({ uses: 100 });
  for (let i = 0; i < 12; i++) await puppet(`n-${i}`).hello(invitation);
  for (const each of puppets) await each.hears('welcome');
  const before = await heldBytes();
  for (const each of puppets) for (const frame of frames.slice(0, -1)) each.sendRaw(frame);
  const alive = puppets.map((each) => {
    each.say({ kind: 'alive' });
    return each.hears('alive');
  });
  await Promise.all(alive);
  // Kept, they would be 96 MiB.
  expect((await heldBytes()) - before).toBeLessThan(24 * 2 ** 20);
  expect(puppets.some(({ closed }) => closed)).toBe(false);
});

it('a contribution that nobody asked for is no offence, and what comes behind it is taken', async () => {
  run = await hosted();
  const attic = puppet('attic');
  await attic.untilPulled(run.invite());
  // Not signed for what it says, which would be an offence of one that counts.
  await attic.contribute([1, 1, 1, 1, 1, 1], { version: 7 });
  await attic.contribute([2, 2, 2, 2, 2, 2]);
  await attic.hears('receipt');
  expect(run.server.state.merges).toBe(1);
  expect(islandOf(run.server.state.islands, 'attic')!.offences).toBe(0);
});

it('an island has so many contributions to a fragment under way, each of which was asked for', async () => {
  run = await hosted();
  const attic = puppet('attic');
  await attic.untilPulled(run.invite());
  const receiver = new ContributionReceiver(
    { settings: { outer: { maxStaleness: 0 } } } as never,
    undefined as never,
    undefined as never,
    { state: () => run!.server.state, take: () => {} },
  );
  const peer = { name: 'attic', begun: new Map() } as unknown as Peer;
  const begins = (change: object = {}, of = peer): boolean => receiver.begins(of, contribution(change));
  expect([begins({ version: 1 }), begins({ round: 0 }), begins({ fragment: 1 })]).toEqual([false, false, false]);
  expect(begins({}, { ...peer, name: 'cellar' })).toBe(false);
  expect([begins(), begins(), begins()]).toEqual([true, true, false]);
});

it('what may come of a fragment is as large as that one', () => {
  const options = { aggregation: { mostBytes: [24, 4_096] } } as never;
  const receiver = new ContributionReceiver(options, undefined as never, undefined as never, undefined as never);
  expect(receiver.mostBytes(contribution())).toBe(24);
  expect(receiver.mostBytes(contribution({ fragment: 1 }))).toBe(4_096);
  expect(() => receiver.mostBytes(contribution({ fragment: 2 }))).toThrow(/contribution to fragment 2/);
  expect(() => receiver.mostBytes({ kind: 'base' })).toThrow(/transfer of kind base/);
});
