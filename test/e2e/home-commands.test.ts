import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { run, scratch, start, tinyRun } from './command.ts';

/** What an owner types in a home: `provide --mode`, `status` without a run; and what he does not feel. */

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
const soon = { timeout: 30_000, interval: 300 };

/** Niceness of each thread that has computed for a second and more: proc(5), fields 14 and 19. */
const busyThreads = (pid: number): readonly number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[11]) >= 100 ? [Number(fields[16])] : [];
  });

it('follows its owner’s mode at once, says where it stands, and computes at the lowest priority', {
  timeout: 180_000,
}, async () => {
  const folder = scratch();
  const status = async () => run(['status'], folder);
  const none = await status();
  expect([none.status, none.stderr]).toEqual([
    2,
    expect.stringMatching(/No run is named, and no island.*heliotrope status RUN/s),
  ]);
  const flags = [
    '--lat',
    '48',
    '--lon',
    '7.85',
    '--time-zone',
    'Europe/Berlin',
    '--roof',
    'none',
    '--idle-only',
    '--yes',
  ];
  const made = await run(['provide', ...flags, '--mode', 'sun-sometimes'], folder);
  expect([made.status, made.stderr]).toEqual([
    2,
    expect.stringContaining('Give one of: off, sun-only, sun-battery, always.'),
  ]);
  expect((await run(['provide', ...flags, '--mode', 'always'], folder)).status).toBe(0);
  const site = path.join(folder, 'home/site/site.yaml');
  const written = readFileSync(site, 'utf8');
  // Whoever else uses this machine, the owner wants it to train.
  await run(['resume', '--for', '1h'], folder);

  const serving = start(
    ['serve', tinyRun(folder, 'moods', { islands: 1, stop: { steps: 100_000 } }), '--port', '0'],
    folder,
  );
  ends.push(() => serving.child.kill('SIGKILL'));
  const link = /heliotrope join '(https?:[^']+)'/;
  await serving.said(link);
  const home = start(
    [
      'join',
      link.exec(serving.stderr())![1]!,
      '--name',
      'attic',
      '--threads',
      '1',
      '--site',
      site,
      '--state',
      path.join(folder, 'attic'),
    ],
    folder,
  );
  ends.push(() => home.child.kill('SIGKILL'));
  await serving.said('attic is training');
  await expect
    .poll(async () => (await status()).stdout, soon)
    .toMatch(/^home: training · 200 W at most · resumed-by-owner\n {2}You told it to train until/);
  if (existsSync('/proc/self/task')) {
    await expect.poll(() => busyThreads(home.child.pid!).length, soon).toBeGreaterThan(0);
    expect(new Set(busyThreads(home.child.pid!))).toEqual(new Set([19]));
  }

  const off = await run(['provide', '--mode', 'off'], folder);
  expect([off.status, off.stdout]).toEqual([
    0,
    expect.stringMatching(/^Its mode is off now\. An island that runs by .*site\.yaml follows at once\./),
  ]);
  expect(readFileSync(site, 'utf8')).toBe(written.replace('mode: always', 'mode: off'));
  await home.said('its site file has changed: the policy is followed');
  await home.said('does not train: Its mode is off.');
  await expect
    .poll(async () => (await status()).stdout, soon)
    .toBe('home: away · switched-off\n  Its mode is off.\n  heliotrope provide --mode sun-only\n');
  const sunless = await run(['provide', '--mode', 'sun-only'], folder);
  expect([sunless.status, sunless.stderr]).toEqual([2, expect.stringContaining('has no solar panels and no meter')]);
  expect((await run(['provide', '--mode', 'always'], folder)).status).toBe(0);
  await home.said(/mode is off\.[\s\S]*trains: You told it to train/);
  for (const each of [home, serving]) each.child.kill('SIGINT');
  await Promise.all([home.done, serving.done]);
});
