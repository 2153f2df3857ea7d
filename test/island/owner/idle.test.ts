import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { IdleWatch } from '../../../src/island/node/owner/idle.ts';

const scratch = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-idle-'));
const NOTHING = { terminals: [], proc: undefined, desktopIdleMs: undefined, nowMs: Date.now, ownPid: process.pid };

it('nobody can tell where there is nothing to look at', () => {
  expect(new IdleWatch(NOTHING).idleSinceMs()).toBeUndefined();
});

it('a key at a terminal is use, and other files of its folder are none', () => {
  const folder = scratch();
  const touch = (name: string, ms: number): void => {
    writeFileSync(path.join(folder, name), '');
    utimesSync(path.join(folder, name), ms / 1000, ms / 1000);
  };
  touch('0', 5_000_000);
  touch('tty2', 7_000_000);
  touch('ptmx', 9_000_000);
  const watch = new IdleWatch({ ...NOTHING, terminals: [folder, path.join(folder, 'none')], nowMs: () => 20_000_000 });
  expect(watch.idleSinceMs()).toBe(7_000_000);
  touch('0', 19_999_000);
  expect(watch.idleSinceMs()).toBe(19_999_000);
  // A clock that was put back makes no use in the future.
  touch('0', 30_000_000);
  expect(watch.idleSinceMs()).toBe(20_000_000);
});

it('another program at work is use, its own work is not', () => {
  const proc = scratch();
  mkdirSync(path.join(proc, '7'));
  const write = (all: number, own: number, nice = 0): void => {
    writeFileSync(path.join(proc, 'stat'), `cpu  ${all} 0 0 100 0 0 0\n`);
    writeFileSync(path.join(proc, '7', 'stat'), `7 (a ) b) S 1 1 1 0 -1 0 0 0 0 0 ${own} 0 0 0 20 ${nice} 1 0\n`);
  };
  let nowMs = 1_000_000;
  const watch = new IdleWatch({ ...NOTHING, proc, ownPid: 7, nowMs: () => nowMs });
  write(1_000, 500);
  expect(watch.idleSinceMs()).toBeUndefined();
  nowMs += 2_000;
  write(1_000 + 180, 500 + 180);
  expect(watch.idleSinceMs()).toBe(0);
  nowMs += 2_000;
  write(1_180 + 180, 680 + 20);
  expect(watch.idleSinceMs()).toBe(nowMs);
  const used = nowMs;
  nowMs += 2_000;
  write(1_360 + 20, 700 + 20);
  expect(watch.idleSinceMs()).toBe(used);
});

it('a real program at work on this machine is noticed within seconds', async () => {
  const watch = new IdleWatch({ ...NOTHING, proc: '/proc' });
  watch.idleSinceMs();
  const busy = spawn(process.execPath, ['-e', 'for (;;);']);
  try {
    await expect
      .poll(() => watch.idleSinceMs(), { timeout: 10_000, interval: 1_100 })
      .toSatisfy((ms) => typeof ms === 'number' && Date.now() - ms < 3_000);
  } finally {
    busy.kill('SIGKILL');
  }
}, 20_000);

it('what the desktop tells counts, and one that does not answer harms nothing', async () => {
  let idleMs: number | undefined = 60_000;
  const watch = new IdleWatch({ ...NOTHING, desktopIdleMs: async () => idleMs, nowMs: () => 1_000_000 });
  watch.idleSinceMs();
  await sleep(5);
  expect(watch.idleSinceMs()).toBe(940_000);
  idleMs = undefined;
  const silent = new IdleWatch({ ...NOTHING, desktopIdleMs: async () => Promise.reject(new Error('no display')) });
  silent.idleSinceMs();
  await sleep(5);
  expect(silent.idleSinceMs()).toBeUndefined();
});
