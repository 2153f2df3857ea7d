import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { unpackRun } from '../../src/cli/archive-file.ts';
import { withoutKeys } from '../../src/cli/archive-history.ts';
import { exportRun, importRun } from '../../src/cli/commands/archive.ts';
import type { CommandContext } from '../../src/cli/context.ts';
import { keptIdentity } from '../../src/cli/identity-file.ts';
import { openStores } from '../../src/cli/stores.ts';
import { recover } from '../../src/coordinator/recovery.ts';
import { allIslands, islandOf } from '../../src/coordinator/roster.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { settingsFor, World } from '../coordinator/world.ts';

/** Archives as a stranger may write them: each has one thing in it that an exported run has not. */

interface Entry {
  readonly path: string;
  readonly bytes?: Buffer;
  readonly type?: 'File' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'FIFO' | 'Directory';
  readonly linkpath?: string;
}

const folders: string[] = [];
const newFolder = (): string => {
  folders.push(mkdtempSync(path.join(tmpdir(), 'heliotrope-archive-')));
  return folders.at(-1)!;
};
afterEach(() => {
  vi.restoreAllMocks();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function tarOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ path: name, bytes = Buffer.alloc(0), type = 'File', linkpath = '' }) => {
    const head = Buffer.alloc(512);
    new Header({
      path: name,
      mode: 0o644,
      size: bytes.length,
      type,
      linkpath,
      mtime: new Date(0),
      uid: 0,
      gid: 0,
    }).encode(head);
    return [head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const settings = settingsFor({}, { expectedIslands: 1 });
const joined = { kind: 'joined', island: 'island-1', key: 'key-1', invitation: null, holds: [] } as const;
const text = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const tensor = Buffer.from('numbers');
const hash = createHash('sha256').update(tensor).digest('hex');
const historyWith = (change: object = {}) => ({
  checkpoint: {
    id: '000001',
    seq: 1,
    state: react(settings, initialState(settings), joined, 1).state,
    blobs: { parameters: hash },
    islandsSaved: true,
    missing: [],
  },
  events: [],
  merges: [],
  sessions: [{ seq: 0, settings }],
  ...change,
});
const RUN: Readonly<Record<string, Buffer>> = {
  'run.yaml': text('name: taken\ndata: a.txt\nislands: 1\nstop: { steps: 50 }\n'),
  'run.id': text('0123abcd'),
  'history.json': text(historyWith()),
  [`blobs/${hash}`]: tensor,
  'config.json': text('{}'),
};
const entriesOf = (change: Readonly<Record<string, Buffer | null>> = {}): readonly Entry[] =>
  Object.entries({ ...RUN, ...change }).flatMap(([name, bytes]) => (bytes === null ? [] : [{ path: name, bytes }]));

function archiveOf(entries: readonly Entry[]): string {
  const file = path.join(newFolder(), 'run.tar.gz');
  writeFileSync(file, gzipSync(tarOf(entries)));
  return file;
}

function place(): { readonly context: CommandContext; readonly printed: string[]; readonly runs: string } {
  const runs = path.join(newFolder(), 'runs');
  const printed: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((line) => printed.push(String(line)) > 0);
  return { context: { runs, json: false, environment: {} } as unknown as CommandContext, printed, runs };
}
const foreign = (why: string | RegExp) => ({ code: 'HELIO-3001', what: expect.stringMatching(why) });

describe('an archive of a run', () => {
  it('becomes a run here, with the state that it was in', async () => {
    const { context, runs, printed } = place();
    expect(await importRun(archiveOf(entriesOf()), {}, context)).toBe(0);
    const folder = path.join(runs, 'taken');
    expect(readdirSync(runs).toSorted()).toEqual(['latest', 'taken']);
    expect(readFileSync(path.join(folder, 'blobs', hash))).toEqual(tensor);
    const { store } = await openStores({ store: undefined, blobs: undefined }, folder, 'taken-0123abcd');
    const history = await store.history();
    await store.close();
    expect(history.checkpoint).toMatchObject({ id: '000001', seq: 1, blobs: { parameters: hash } });
    // Whoever was let in at the old host has to be let in here.
    expect(islandOf(recover(history)!.state.islands, 'island-1')).toMatchObject({ key: '' });
    expect(printed.join('')).toContain('reads a.txt: the archive names these paths');
  });

  it('chooses neither the database nor who speaks for the host, nor leaves anything else behind', async () => {
    const { context, runs, printed } = place();
    const hostile = {
      'stores.json': text({ store: 'postgres://stranger@203.0.113.1/heliotrope', blobs: 's3://stranger/x' }),
      'served.json': text({ run: 'x', addresses: ['203.0.113.1:1'] }),
      'run.admin': text('known-to-a-stranger'),
      'run.key': text('-----BEGIN PRIVATE KEY-----'),
      'tls.key.pem': text('key'),
      'tls.cert.pem': text('cert'),
      'run.lock': text('{}'),
      'run.lock.sqlite': text('x'),
      'run.sqlite': text('x'),
      'run.sqlite-wal': text('x'),
      'islands/island-1/island.key': text('x'),
      'trace.json': text('{}'),
      '.bashrc': text('x'),
      'blobs/notes': text('x'),
      'adapter/x.sh': text('x'),
      'model.py': text('x'),
    };
    expect(await importRun(archiveOf(entriesOf(hostile)), {}, context)).toBe(0);
    const folder = path.join(runs, 'taken');
    expect(readdirSync(folder).toSorted()).toEqual([
      'blobs',
      'config.json',
      'run.admin',
      'run.id',
      'run.lock.sqlite',
      'run.sqlite',
      'run.yaml',
    ]);
    expect(readdirSync(path.join(folder, 'blobs'))).toEqual([hash]);
    const token = readFileSync(path.join(folder, 'run.admin'), 'utf8');
    expect(token).toMatch(/^[\w-]{32}$/);
    expect(statSync(path.join(folder, 'run.admin')).mode & 0o777).toBe(0o600);
    expect(printed.join('')).toMatch(/The host's keys in the file were not imported.*13 files that do not belong/s);
  });

  it('gives its keys to whoever says that it is his own, and to nobody else who reads the disk', async () => {
    const { context, runs } = place();
    const keys = { 'run.key': text('the key'), 'tls.key.pem': text('tls'), 'run.admin': text('known') };
    expect(await importRun(archiveOf(entriesOf(keys)), { withKeys: true }, context)).toBe(0);
    const folder = path.join(runs, 'taken');
    expect(readFileSync(path.join(folder, 'run.key'), 'utf8')).toBe('the key');
    for (const name of ['run.key', 'tls.key.pem']) expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(path.join(folder, 'run.admin'), 'utf8')).not.toBe('known');
  });

  it('that is written with keys is for nobody else to read, and its islands keep theirs', async () => {
    const { context, runs } = place();
    const own = newFolder();
    await keptIdentity(path.join(own, 'run.key'));
    const keys = { 'run.key': readFileSync(path.join(own, 'run.key')) };
    await importRun(archiveOf(entriesOf(keys)), { withKeys: true }, context);
    const out = path.join(newFolder(), 'out.tar.gz');
    // Also where a file was there that others could read.
    writeFileSync(out, '', { mode: 0o644 });
    writeFileSync(path.join(runs, 'taken', 'stores.json'), '{}');
    expect(await exportRun('taken', { out, withKeys: true }, context)).toBe(0);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const there = place();
    expect(await importRun(out, { withKeys: true }, there.context)).toBe(0);
    const folder = path.join(there.runs, 'taken');
    expect(existsSync(path.join(folder, 'stores.json'))).toBe(false);
    const { store } = await openStores({ store: undefined, blobs: undefined }, folder, 'taken-0123abcd');
    expect(islandOf(recover(await store.history())!.state.islands, 'island-1')).toMatchObject({ key: 'key-1' });
    await store.close();
  });
});

describe('a history without keys', () => {
  it('knows nobody any more, also where the coordinator was killed in the middle of a merge', () => {
    const random = seededRandom(7);
    const world = new World({
      settings: settingsFor({}, { steps: 200, checkpointEveryMerges: 100 }),
      islands: 3,
      random,
      stepMs: () => 100,
    });
    const { history } = world.run(9_000);
    // The last merge was decided, and not committed: what was logged after it counts for nothing.
    const killed = { ...history, merges: history.merges.slice(0, -1) };
    const exported = withoutKeys(killed);
    expect(exported.events.length).toBeLessThan(killed.events.length);
    const { state, merges } = recover(exported)!;
    expect(merges).toHaveLength(history.merges.length - 1);
    expect(allIslands(state.islands).map(({ key }) => key)).toEqual(['', '', '']);
  });
});

const LINKS: readonly Entry[] = [
  { path: 'config.json', type: 'SymbolicLink', linkpath: '/etc/passwd' },
  { path: 'config.json', type: 'Link', linkpath: 'run.yaml' },
  { path: 'blobs', type: 'SymbolicLink', linkpath: '/tmp' },
  { path: 'model.safetensors', type: 'CharacterDevice' },
  { path: 'events.log', type: 'FIFO' },
];
const HOSTILE: Readonly<Record<string, { readonly entries: readonly Entry[]; readonly why: string | RegExp }>> = {
  ...Object.fromEntries(
    LINKS.map((link) => [
      `a ${link.type}`,
      { entries: [link, ...entriesOf({ 'config.json': null })], why: 'is no plain file in it' },
    ]),
  ),
  'a name above it': { entries: [{ path: '../run.key', bytes: text('x') }, ...entriesOf()], why: 'outside of itself' },
  'a name above it, further in': {
    entries: [{ path: 'blobs/../../x', bytes: text('x') }, ...entriesOf()],
    why: 'outside of itself',
  },
  'an absolute name': { entries: [{ path: '/tmp/x', bytes: text('x') }, ...entriesOf()], why: 'outside of itself' },
  'a name of Windows': { entries: [{ path: 'C:\\x', bytes: text('x') }, ...entriesOf()], why: 'outside of itself' },
  'a file twice': {
    entries: [...entriesOf(), { path: './run.yaml', bytes: text('data: b') }],
    why: 'holds run.yaml twice',
  },
  'a run.yaml of megabytes': {
    entries: entriesOf({ 'run.yaml': Buffer.alloc(2 ** 20 + 1, 32) }),
    why: 'run.yaml has 1048577 bytes',
  },
  'no history': { entries: entriesOf({ 'history.json': null }), why: 'holds no history.json' },
  'a history that is none': { entries: entriesOf({ 'history.json': text('[') }), why: 'is not JSON' },
  'a history of another form': {
    entries: entriesOf({ 'history.json': text(historyWith({ merges: [{ seq: -1 }] })) }),
    why: 'another form',
  },
  'a blob that is named by a path': {
    entries: entriesOf({
      'history.json': text(historyWith({ merges: [{ seq: 2, fragment: 0, version: 1, blob: '../../run.key' }] })),
    }),
    why: 'another form',
  },
  'a history that leads nowhere': {
    entries: entriesOf({
      'history.json': text(historyWith({ merges: [{ seq: 2, fragment: 0, version: 7, blob: hash, what: null }] })),
    }),
    why: 'leads nowhere',
  },
  'a state that the machine cannot follow': {
    entries: entriesOf({
      'history.json': text(
        historyWith({
          checkpoint: { id: '1', seq: 1, state: { fragments: 7 }, blobs: {} },
          events: [{ seq: 2, atMs: 0, event: { kind: 'tick' } }],
        }),
      ),
    }),
    why: 'leads nowhere',
  },
  'a run.id that is a path': { entries: entriesOf({ 'run.id': text('../../x') }), why: 'its run.id is not valid' },
};

describe('a hostile archive', () => {
  it.each(Object.entries(HOSTILE))('with %s is refused, and leaves nothing', async (_, { entries, why }) => {
    const { context, runs } = place();
    const outside = path.dirname(runs);
    await expect(importRun(archiveOf(entries), {}, context)).rejects.toMatchObject(foreign(why));
    expect(readdirSync(runs)).toEqual([]);
    expect(readdirSync(outside)).toEqual(['runs']);
  });

  it('with a blob that is not what its name says, or without one that is needed, is refused before the run of that name is moved aside', async () => {
    const { context, runs } = place();
    mkdirSync(path.join(runs, 'taken'), { recursive: true });
    for (const blob of [text('other numbers'), null])
      await expect(importRun(archiveOf(entriesOf({ [`blobs/${hash}`]: blob })), {}, context)).rejects.toMatchObject(
        foreign(blob === null ? 'is missing' : 'is damaged'),
      );
    expect(readdirSync(runs)).toEqual(['taken']);
  });

  it('that is small and unpacks to a disk full of zeros is refused at a gibibyte', async () => {
    const file = path.join(newFolder(), 'bomb.tar.gz');
    const member = gzipSync(Buffer.alloc(2 ** 26));
    // Archives end before it, and what comes after an end is unpacked all the same.
    writeFileSync(file, Buffer.concat([gzipSync(tarOf(entriesOf())), ...Array(20).fill(member)]));
    const into = newFolder();
    await expect(unpackRun(file, into, false)).rejects.toMatchObject(foreign('far more than a run is'));
  }, 60_000);

  it('that is no archive, is cut off, or is not there is said to be so', async () => {
    const { context, runs } = place();
    const file = path.join(newFolder(), 'x.tar.gz');
    await expect(importRun(file, {}, context)).rejects.toMatchObject({ code: 'HELIO-1005' });
    writeFileSync(file, 'no archive');
    await expect(importRun(file, {}, context)).rejects.toMatchObject(foreign('is not an exported run'));
    const whole = gzipSync(
      tarOf(entriesOf({ 'model.safetensors': Buffer.from(Array.from({ length: 9_999 }, (_, i) => (i * i) % 251)) })),
    );
    for (const share of [0.1, 0.5, 0.9, 0.99]) {
      writeFileSync(file, whole.subarray(0, Math.floor(share * whole.length)));
      await expect(importRun(file, {}, context)).rejects.toMatchObject(foreign('is not an exported run'));
    }
    const tar = tarOf(entriesOf());
    writeFileSync(file, gzipSync(tar.subarray(0, tar.length - 1024 - 700)));
    await expect(importRun(file, {}, context)).rejects.toMatchObject(foreign('is not an exported run'));
    expect(readdirSync(runs)).toEqual([]);
  });
});
