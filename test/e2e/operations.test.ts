import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Summary } from '../../src/cli/records.ts';
import { run, scratch, start, tinyRun } from './command.ts';

/** What whoever runs a coordinator for weeks does with it. */

const summaryIn = (folder: string, name: string): Summary =>
  JSON.parse(readFileSync(path.join(folder, 'runs', name, 'summary.json'), 'utf8')) as Summary;
const linkIn = (stderr: string): string => /heliotrope join '(http:[^']+)'/.exec(stderr)![1]!;

describe('a coordinator as a service', { timeout: 300_000 }, () => {
  it('takes its options from a file and the environment, hands over, and goes on; islands stay', async () => {
    const folder = scratch();
    const file = tinyRun(folder, 'service', {
      islands: 1,
      stop: { steps: 600 },
      outer: { innerSteps: 10, graceS: 60 },
    });
    writeFileSync(
      path.join(folder, 'serve.yaml'),
      'port: 0\nlease: 9\ncontinue: true\nno-lan: true\nannounce: [a.example, b.example:7]\n',
    );
    const first = start(['serve', file, '--config', 'serve.yaml'], folder, { HELIOTROPE_PORT: '0' });
    await first.said(/heliotrope join '/);
    const announced = linkIn(first.stderr());
    expect([new URL(announced).hostname, announced]).toEqual([
      'a.example',
      expect.stringContaining('at=b.example%3A7'),
    ]);
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(first.stderr())![1]!;
    const link = announced.replace(/a\.example:\d+/, `127.0.0.1:${port}`).replace('&at=b.example%3A7', '');
    const attic = start(['join', link, '--name', 'attic', '--threads', '1'], folder);
    await first.said(/step +[4-9]\d/);
    const status = JSON.parse((await run(['status', 'service', '--json'], folder)).stdout) as object;
    expect(status).toMatchObject({ phase: 'training', islands: [{ island: 'attic', status: 'training' }] });

    first.child.kill('SIGTERM');
    const ended = await first.done;
    expect([ended.status, ended.stderr]).toEqual([0, expect.stringContaining('stopped; resume the run')]);
    // It has left its state behind, so that the next one, which may be another version, replays nothing.
    const database = new DatabaseSync(path.join(folder, 'runs/service/run.sqlite'), { readOnly: true });
    const left = database
      .prepare(
        `SELECT islands_saved, committed, (SELECT COUNT(*) FROM helio_events AS e WHERE e.seq > c.seq) AS events,
          (SELECT COUNT(*) FROM helio_merges AS m WHERE m.seq > c.seq) AS merges FROM helio_checkpoints AS c ORDER BY seq DESC`,
      )
      .get();
    expect(left).toEqual({ islands_saved: 0, committed: 1, events: 0, merges: 0 });
    const records = database.prepare("SELECT what FROM helio_merges WHERE what LIKE '%attic%'").all();
    expect(records.length).toBeGreaterThan(0);
    expect(database.prepare("SELECT COUNT(*) AS rows FROM helio_series WHERE island = 'attic'").get()).toMatchObject({
      rows: expect.toSatisfy((rows: number) => rows > 0),
    });
    database.close();
    const second = start(['serve', file, '--config', 'serve.yaml', '--log', 'json'], folder, { HELIOTROPE_PORT: port });
    const { status: code, stderr } = await second.done;
    expect([code, (await attic.done).status]).toEqual([0, 0]);
    expect(summaryIn(folder, 'service')).toMatchObject({ status: 'finished', merges: 60, islands: 1 });

    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: number; event: string; msg: string });
    expect(lines.map((line) => line.event)).toEqual(
      expect.arrayContaining(['serving', 'phase', 'island', 'evaluation']),
    );
    for (const secret of [
      new URL(announced).hash.split('=')[1]!.slice(0, 60),
      readFileSync(path.join(folder, 'runs/service/run.admin'), 'utf8'),
    ])
      expect(stderr).not.toContain(secret);
    const again = await run(['serve', file, '--config', 'serve.yaml'], folder);
    expect([again.status, again.stderr]).toEqual([0, expect.stringContaining('is finished; nothing to do')]);
  });

  it.each<[string, string, NodeJS.ProcessEnv, RegExp]>([
    ['an unknown option in its file', 'prot: 1', {}, /serve\.yaml: unknown option prot.*port/s],
    ['a wrong value in its file', 'lease: soon', {}, /serve\.yaml: lease is "soon".*number from 1 to 3600/s],
    ['a wrong value in its environment', 'lease: 9', { HELIOTROPE_PORT: 'x' }, /HELIOTROPE_PORT is "x".*whole number/s],
    ['a file that is not YAML', 'a: [', {}, /serve\.yaml is not YAML/],
    ['a store of no known kind', 'store: mysql://x', {}, /--store mysql:\/\/x is no address of a database/],
    ['a database that does not answer', 'store: postgres://x@127.0.0.1:9/x', {}, /HELIO-3006.*127\.0\.0\.1:9/s],
  ])('says what is wrong with %s', async (_, config, env, message) => {
    const folder = scratch();
    writeFileSync(path.join(folder, 'serve.yaml'), config);
    const file = tinyRun(folder, 'bad', { islands: 1 });
    const outcome = await run(['serve', file, '--config', 'serve.yaml'], folder, { HELIOTROPE_PORT: '0', ...env });
    expect([outcome.status === 0, outcome.stderr]).toEqual([false, expect.stringMatching(message)]);
  });

  it('asks its host who may join without an invitation', async () => {
    const folder = scratch();
    const serving = start(
      ['serve', tinyRun(folder, 'asked', { islands: 1, stop: { steps: 20 } }), '--port', '0'],
      folder,
    );
    await serving.said(/heliotrope join '/);
    const door = linkIn(serving.stderr()).replace(/#.*/, '');
    const [attic, thief] = ['attic', 'thief'].map((name) =>
      start(['join', door, '--name', name, '--threads', '1', '--state', path.join(folder, name)], folder),
    );
    await attic!.said('The host is asked whether attic may join');
    await thief!.said('The host is asked');
    await serving.said('heliotrope admit asked thief');
    expect((await run(['admit', 'asked', 'thief', '--refuse'], folder)).stdout).toContain('thief was declined');
    expect([(await thief!.done).status, (await thief!.done).stderr]).toEqual([
      4,
      expect.stringContaining('did not let this island in'),
    ]);
    expect((await run(['admit', 'asked', 'attic'], folder)).status).toBe(0);
    expect([(await attic!.done).status, (await serving.done).status]).toEqual([0, 0]);
    const nobody = await run(['admit', 'asked', 'attic'], folder);
    expect([nobody.status, nobody.stderr]).toEqual([
      3,
      expect.stringMatching(/No coordinator answers at 127\.0\.0\.1/),
    ]);
  });
});

describe('a run that moves', { timeout: 300_000 }, () => {
  it('is exported whole and goes on elsewhere; a damaged file is said to be one, and leaves nothing', async () => {
    const [here, there] = [scratch(), scratch()];
    const training = start(['train', tinyRun(here, 'moving', { islands: 1, stop: { steps: 500 } })], here);
    await training.said(/step +[5-9]\d/);
    training.child.kill('SIGINT');
    expect((await training.done).status).toBe(130);
    const file = path.join(there, 'run.tar.gz');
    expect((await run(['runs', 'export', 'moving', '--out', file], here)).status).toBe(0);
    const account = (await run(['receipts', 'moving'], here)).stdout;
    expect(account).toMatch(/^island-1 +\d+ merges +[\d,]+ tokens .*\nAll are signed by the host \S+\.\n$/);
    const own = path.join(there, 'own.tar.gz');
    expect((await run(['runs', 'export', 'moving', '--with-keys', '--out', own], here)).status).toBe(0);
    rmSync(path.join(here, 'runs'), { recursive: true });
    // Whoever has the keys has the account as his own; whoever has none has that of the host before.
    for (const args of [[own, '--with-keys'], [file]]) {
      expect((await run(['runs', 'import', ...args], there)).stdout).toContain('train --resume moving');
      expect((await run(['receipts', 'moving'], there)).stdout).toBe(account);
    }
    const resumed = await run(['train', '--resume', 'moving', '--json'], there);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ status: 'finished', steps: 500, merges: 50 });
    expect((await run(['receipts', 'moving'], there)).stdout).toMatch(
      /^island-1 +50 merges .*\nAll are signed by the hosts \S+ and \S+\.\n$/,
    );
    expect((await run(['status', 'moving'], there)).stdout).toMatch(/moving: finished .*validation loss/s);
    truncateSync(file, 20_000);
    const damaged = await run(['runs', 'import', file], here);
    expect([damaged.status, damaged.stderr]).toEqual([1, expect.stringMatching(/HELIO-3001.*is not an exported run/s)]);
    expect((await run(['runs', '--json'], here)).stdout.trim()).toBe('[]');
  });
});
