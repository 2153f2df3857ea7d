import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { islandOf } from '../../src/coordinator/roster.ts';
import { faultOf } from '../../src/coordinator/server/fault.ts';
import { WorkerAggregation } from '../../src/coordinator/server/worker-aggregation.ts';
import { HelioError } from '../../src/errors.ts';
import { type Identity, newIdentity } from '../../src/protocol/identity.ts';
import { FRAGMENT, type Hosted, hosted, Puppet } from './hosted.ts';
import { settingsFor } from './world.ts';

let run: Hosted | undefined;
const puppets: Puppet[] = [];
const puppet = (name: string, identity: Promise<Identity> = newIdentity()): Puppet => {
  const made = new Puppet(run!.server.port, name, identity);
  puppets.push(made);
  return made;
};
afterEach(async () => {
  for (const each of puppets.splice(0)) each.close();
  await run?.close();
  run = undefined;
});
const six = (value: number): number[] => Array<number>(6).fill(value);
const state = () => run!.server.state;
const records = (kind: string) => run!.records.filter((record) => record.kind === kind);

describe('a contribution that is far too long', () => {
  it('is left out after others that were tiny and merged alone: nobody is banned, and the island goes on', async () => {
    run = await hosted({}, { islands: 1, outer: { pull: 'due', maxStaleness: 20, innerSteps: 1 } });
    const invitation = run.invite();
    // One that lies merges alone, ever so often, with next to nothing.
    const liar = puppet('liar');
    await liar.untilPulled(invitation);
    for (let version = 0; version < 5; version++) {
      await liar.until(() => liar.told.filter(({ kind }) => kind === 'pull').length > version);
      await liar.contribute(six(1e-18), { round: version + 1, version, steps: 1, tokens: 1 }, true);
      await expect.poll(() => state().merges, { timeout: 20_000 }).toBe(version + 1);
      if (version < 4) liar.say({ kind: 'due', fragment: 0, version: version + 1, slackMs: 0 });
    }
    for (const [i, name] of ['attic', 'barn', 'cellar'].entries()) {
      const version = state().merges;
      const honest = puppet(name);
      await honest.untilPulled(invitation, version);
      await honest.contribute(six(i + 1), { version, steps: 1, tokens: 1 }, true);
      await expect.poll(() => state().merges, { timeout: 20_000 }).toBe(6 + i);
    }
    expect([state().banned.size, records('offence'), records('left-out')]).toEqual([0, [], []]);
    // By now there is a bound, and it is the honest ones'.
    const version = state().merges;
    const huge = puppet('huge');
    await huge.untilPulled(invitation, version);
    await huge.contribute(six(1e9), { version, steps: 1, tokens: 1 }, true);
    expect((await huge.hears('standing')).next?.what).toMatch(/^HELIO-4007: .* left out: its length is 2.45e\+9/);
    await huge.until(() => huge.closed);
    expect([state().merges, islandOf(state().islands, 'huge')!.offences, state().banned.size]).toEqual([version, 0, 0]);
    // It comes back, and gets the model as it is: that round is over.
    const again = puppet('huge', huge.identity);
    await again.hello(null);
    expect((await again.hears('welcome')).fragments).toEqual([0]);
  });
});

describe("the coordinator's own disk", () => {
  it('is nobody else’s fault: what cannot be kept is left out, and the run goes on', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-fault-'));
    const before = process.env.TMPDIR;
    writeFileSync(path.join(folder, 'file'), '');
    const settings = settingsFor();
    const start = { parameters: new Map([['w', new Float32Array(6)]]) };
    const aggregation = await WorkerAggregation.begin([FRAGMENT], settings.outer, start, 8);
    try {
      run = await hosted({ aggregation });
      // The thread that keeps contributions shares this environment: from now on its folder is none.
      process.env.TMPDIR = path.join(folder, 'file');
      const attic = puppet('attic');
      await attic.untilPulled(run.invite());
      await attic.contribute(six(1));
      expect((await attic.hears('standing')).next?.what).toMatch(
        /left out: the coordinator could not keep it: Could not keep/,
      );
      expect(records('left-out')).toMatchObject([{ island: 'attic' }]);
      expect([records('offence'), state().banned.size, state().phase]).toEqual([[], 0, 'paused']);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      await aggregation.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('another version of Heliotrope', () => {
  it('is refused when it cannot be read, ever so often, and never banned', async () => {
    run = await hosted();
    const identity = newIdentity();
    for (let i = 0; i < 5; i++) {
      const later = puppet('later', identity);
      await later.hello(run.invite(), { software: 'heliotrope 99.0.0' });
      await later.hears('welcome');
      later.say({ kind: 'due', fragment: 0, version: 'newest', slackMs: 0 });
      expect(await later.hears('refused')).toMatchObject({ code: 'HELIO-4004' });
      await later.until(() => later.closed);
    }
    expect([islandOf(state().islands, 'later')!.offences, state().banned.size]).toEqual([0, 0]);
  });
});

describe('whose fault it is', () => {
  it.each<[unknown, boolean, ReturnType<typeof faultOf>]>([
    [new HelioError('HELIO-4004', '', ''), false, 'offence'],
    [new HelioError('HELIO-4004', '', ''), true, 'version'],
    [new HelioError('HELIO-4008', '', ''), true, 'offence'],
    [new HelioError('HELIO-4003', '', ''), false, 'refusal'],
    [new HelioError('HELIO-3002', '', ''), false, 'disk'],
    [new HelioError('HELIO-2001', '', ''), false, 'ours'],
    [new TypeError('x is not a function'), false, 'bug'],
  ])('%s', (error, isOtherVersion, fault) => {
    expect(faultOf(error, isOtherVersion)).toBe(fault);
  });
});
