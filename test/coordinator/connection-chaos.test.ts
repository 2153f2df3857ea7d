import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { allIslands } from '../../src/coordinator/roster.ts';
import { type Random, seededRandom } from '../../src/ml/tensor/random.ts';
import { type Identity, newIdentity } from '../../src/protocol/identity.ts';
import { ADMIN, FRESH, type Hosted, hosted, Puppet, patientLimits, RUN } from './hosted.ts';
import { checkTallies } from './tallies.ts';

/**
 * Few names and keys, and many connections that say what they may and what they may not, in any order, while the host revokes, lets in and sends away: over real sockets, from
 * one seed. The coordinator goes on, counts right, and an honest island trains afterwards. `HELIOTROPE_SEED=123` runs one seed alone.
 */
const ONE = process.env.HELIOTROPE_SEED;
const seeds = ONE === undefined ? [...Array(Number(process.env.RUNS ?? 3)).keys()] : [Number(ONE)];
const NAMES = ['attic', 'constructor', 'tostring', 'valueof'];
const IDS = ['__proto__', 'i', 'constructor'];

let run: Hosted;
const open: Puppet[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) each.close();
  await run.close();
});

function whatever(random: Random, island: Puppet): unknown {
  const small = (most = 3): number => random.integer(most);
  const hash = 'ab'.repeat(32);
  const evaluation = run.server.state.evaluation?.id ?? small(9);
  const { version } = run.server.state.fragments[0]!;
  const all: readonly unknown[] = [
    FRESH,
    FRESH,
    { ...FRESH, run: RUN, holds: [{ version, newest: version, round: small(9), hash }] },
    { ...FRESH, run: RUN, holds: Array.from({ length: 900 }, () => ({ version, newest: version, round: 1, hash })) },
    { ...FRESH, beginnings: [{ hash, bytes: 1 + small(2 ** 20) }] },
    { kind: 'ready', restored: null },
    { kind: 'ready', restored: null },
    { kind: 'ready', restored: '000001' },
    { kind: 'alive' },
    { kind: 'due', fragment: small(2), version, slackMs: small(1_000) },
    { kind: 'due', fragment: 0, version, slackMs: 0 },
    { kind: 'evaluated', evaluation, part: small(), lossSum: 3, tokens: 1 },
    { kind: 'evaluated', evaluation, part: small(), lossSum: 3e300, tokens: 0 },
    { kind: 'saved', checkpoint: '000001' },
    { kind: 'standing', state: 'away', reason: 'policy', next: { what: '\u001b[2J', atS: null }, fix: '\u0007' },
    { kind: 'fetch', hash },
    { kind: 'leaving', reason: '\u001b[2Jbye' },
    { kind: 'news-of-tomorrow', what: {} },
    { kind: 'hello', protocol: 7 },
    { kind: 'resume' },
  ];
  return island.told.length === 0 ? { kind: 'alive' } : all[random.integer(all.length)];
}

it.each(seeds)(
  'whatever connections do in whatever order, the coordinator goes on (seed %i)',
  async (seed) => {
    const random = seededRandom(seed);
    const faults: string[] = [];
    const pick = <T>(from: readonly T[]): T => from[random.integer(from.length)]!;
    run = await hosted(
      { connectionLimits: patientLimits(), onFault: (error, place) => faults.push(`${place}: ${String(error)}`) },
      { outer: { maxStaleness: 2, graceS: 0.05 } },
    );
    let failed: unknown;
    const owners = new Map<string, string>();
    run.server.ended.catch((error: unknown) => {
      failed = error;
    });
    const keys: readonly Promise<Identity>[] = Array.from({ length: 5 }, () => newIdentity());
    const hello = async (island: Puppet): Promise<void> => {
      const resume = random.uniform() < 0.5 ? {} : { resume: { kind: 'nothing' } };
      const junk =
        random.uniform() < 0.1 ? { capabilities: Array.from({ length: 64 }, () => '\u0000'.repeat(64)) } : {};
      const versions = random.uniform() < 0.2 ? { protocol: 5 + random.integer(5), oldest: 4 + random.integer(4) } : {};
      const invitation =
        random.uniform() < 0.2 ? null : await run.invite({ id: pick(IDS), uses: 1 + random.integer(4) });
      const software = random.uniform() < 0.3 ? { software: 'other 9' } : {};
      await Promise.race([island.hello(invitation, { ...resume, ...junk, ...versions, ...software }), sleep(50)]);
    };
    for (let i = 0; i < 400 && failed === undefined; i++) {
      const island = open.length > 0 && random.uniform() < 0.85 ? pick(open) : undefined;
      const chance = random.uniform();
      if (island === undefined) {
        const made = new Puppet(run.server.port, pick(NAMES), pick(keys));
        open.push(made);
        // What it says while it is not let in yet comes right behind.
        void hello(made).catch(() => {});
      } else if (chance < 0.6) island.say(whatever(random, island));
      else if (chance < 0.72) {
        const { version } = run.server.state.fragments[0]!;
        const values = Array.from({ length: 6 }, () => (chance < 0.61 ? Number.NaN : random.uniform()));
        const claim = {
          version: Math.max(0, version - random.integer(2)),
          round: random.integer(30),
          steps: 5,
          tokens: 50,
        };
        if (island.socket.readyState === 1) void island.contribute(values, claim, chance < 0.71).catch(() => {});
      } else if (chance < 0.82) {
        open.splice(open.indexOf(island), 1);
        if (chance < 0.77) island.close();
        else island.socket.close(1000, '\u001b[2Jbye');
      } else if (chance < 0.84) void hello(island).catch(() => {});
      else if (chance < 0.85) {
        await fetch(`http://127.0.0.1:${run.server.port}/v1/invitations/${pick(IDS)}/revoke`, {
          method: 'POST',
          headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
          body: JSON.stringify({ islands: random.uniform() < 0.3 }),
        });
      } else if (chance < 0.92) {
        try {
          run.server.answerJoinRequest(pick(NAMES), random.uniform() < 0.7);
        } catch (error) {
          expect(error).toMatchObject({ code: 'HELIO-4003' });
        }
      } else await sleep(random.integer(15));
      checkTallies(run.server.state);
      // A name is one key's, whatever came after it.
      for (const { name, key } of allIslands(run.server.state.islands)) {
        if (!owners.has(name)) owners.set(name, key);
        expect(owners.get(name)).toBe(key);
      }
    }
    expect(failed).toBeUndefined();
    for (const each of open.splice(0)) each.close();
    await sleep(100);
    const honest = new Puppet(run.server.port, 'honest');
    open.push(honest);
    await honest.hello(run.invite({ id: 'of the honest'.replaceAll(' ', '-') }));
    await honest.hears('welcome');
    honest.say({ kind: 'ready', restored: null });
    if (run.server.state.phase === 'measuring' || run.server.state.evaluation !== null)
      await Promise.race([honest.hears('evaluate'), sleep(2_000)]);
    checkTallies(run.server.state);
    expect([failed, faults]).toEqual([undefined, []]);
  },
  60_000,
);
