import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Crowd, type StrangerKind, strangers } from '../../bench/coordinator/strangers.ts';
import { Puppet } from './hosted.ts';

/** A coordinator that may open 160 files, and what strangers can do to it: its store and its blobs need files too. */
const DESCRIPTORS = 160;
const STRANGERS = 400;

let folder = '';
let coordinator: ChildProcess | undefined;
let crowd: Crowd | undefined;
const puppets: Puppet[] = [];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-descriptors-'));
});
afterEach(() => {
  crowd?.close();
  for (const puppet of puppets.splice(0)) puppet.close();
  coordinator?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

/** Begins one under a hard limit, which Node cannot raise. */
async function coordinatorWith(descriptors: number): Promise<{ readonly port: number; readonly invitation: string }> {
  const script = `ulimit -n ${descriptors} && exec "$0" --disable-warning=ExperimentalWarning "$1"`;
  const arguments_ = ['-c', script, process.execPath, path.join(import.meta.dirname, 'hosted-process.ts')];
  coordinator = spawn('sh', arguments_, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  });
  const ended = new Promise<never>((_, reject) =>
    coordinator!.once('exit', (code) => reject(new Error(`the coordinator ended with status ${code}`))),
  );
  ended.catch(() => {});
  const [line] = await Promise.race([
    new Promise<[string]>((resolve) =>
      createInterface({ input: coordinator!.stdout! }).once('line', (text) => resolve([text])),
    ),
    ended,
  ]);
  return JSON.parse(line) as { port: number; invitation: string };
}

describe.skipIf(process.platform !== 'linux')('a coordinator that may open 160 files', () => {
  it.each<[string, StrangerKind]>([
    ['say nothing', 'silent'],
    ['never end their request', 'half-request'],
    ['open a WebSocket and say nothing', 'silent-websocket'],
  ])(
    'writes blobs and lets islands in, while 400 strangers %s',
    async (_, kind) => {
      const { port, invitation } = await coordinatorWith(DESCRIPTORS);
      const attic = new Puppet(port, 'attic');
      puppets.push(attic);
      await attic.untilPulled(invitation);
      crowd = await strangers(kind, '127.0.0.1', port, STRANGERS, { addresses: 16 });

      await attic.contribute(Array<number>(6).fill(2));
      // A receipt comes after the merge's blob was written, and the merge committed.
      expect((await attic.hears('receipt')).receipt).toMatchObject({ island: 'attic', merged: 1 });
      expect(attic.closed).toBe(false);

      const cellar = new Puppet(port, 'cellar');
      puppets.push(cellar);
      await cellar.hello(invitation);
      await cellar.hears('welcome');
      expect(coordinator!.exitCode).toBe(null);
    },
    60_000,
  );
});
