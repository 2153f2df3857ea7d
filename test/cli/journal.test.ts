import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Journal, type JournalOptions } from '../../src/cli/journal.ts';
import { describeRecord } from '../../src/cli/live/describe.ts';
import { LogFile, logParts } from '../../src/cli/log-file.ts';
import type { LiveRecord } from '../../src/cli/records.ts';
import { readCurves, streamMetrics } from '../../src/cli/report/metrics.ts';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { openSqlite } from '../../src/coordinator/store/sqlite.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';

const folders: string[] = [];
const newFolder = (): string => {
  folders.push(mkdtempSync(path.join(tmpdir(), 'heliotrope-journal-')));
  return folders.at(-1)!;
};
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const merge = (version: number): RunRecord & { readonly kind: 'merge' } => ({
  kind: 'merge',
  fragment: 0,
  version,
  runStep: 10 * version,
  contributions: [],
  missing: [],
});
const progress = (island: string, step: number): RunRecord => ({
  kind: 'progress',
  island,
  progress: { ...NO_PROGRESS, step, tokens: 8 * step, loss: 1 / (1 + step) },
});
async function all(folder: string): Promise<readonly LiveRecord[]> {
  const records: LiveRecord[] = [];
  for await (const record of streamMetrics(folder)) records.push(record);
  return records;
}
const noTraffic = () => ({ sentBytes: 3, receivedBytes: 4 });

async function journalIn(folder: string, change: Partial<JournalOptions> = {}) {
  const store = await SqlRunStore.open(openSqlite(path.join(folder, 'run.sqlite')), 'r');
  const said: string[] = [];
  const journal = await Journal.begin({
    folder,
    store,
    records: [],
    emit: () => {},
    say: (sentence) => said.push(sentence),
    nowS: () => 1_700_000_000,
    ...change,
  });
  return { journal, store, said };
}

describe('a log file', () => {
  it('that is full is put aside: the beginning stays, and of the rest the newest two', async () => {
    const folder = newFolder();
    const log = new LogFile(folder, 'events.log', 1_000, () => {});
    for (let i = 0; i < 100; i++) {
      log.append(`line ${String(i).padStart(4, '0')} ${'-'.repeat(40)}`);
      await log.flush();
    }
    const [first, second, last] = logParts(folder, 'events.log').map((file) => readFileSync(file, 'utf8').split('\n'));
    for (const part of [first!, second!, last!]) expect(part.join('\n').length).toBeLessThanOrEqual(1_000);
    expect(first![0]).toMatch(/^line 0000/);
    expect(last!.at(-2)).toMatch(/^line 0099/);
    const number = (line: string): number => Number(line.slice(5, 9));
    expect(number(last![0]!)).toBe(number(second!.at(-2)!) + 1);
  });

  it('goes on after a line that was cut off, and after a restart in the middle of a file', async () => {
    const folder = newFolder();
    writeFileSync(path.join(folder, 'metrics.jsonl'), `${JSON.stringify(merge(1))}\n{"kind":"mer`);
    const log = new LogFile(folder, 'metrics.jsonl', 1e6, () => {});
    log.append(JSON.stringify(merge(2)));
    await log.flush();
    expect((await all(folder)).map((record) => record.kind === 'merge' && record.version)).toEqual([1, 2]);
  });

  it('on a disk that refuses it costs lines, which are counted and said, and goes on when the disk is back', async () => {
    const folder = path.join(newFolder(), 'gone');
    const said: string[] = [];
    const log = new LogFile(folder, 'events.log', 1e6, (sentence) => said.push(sentence));
    log.append('lost');
    await log.flush();
    expect(said).toEqual([expect.stringMatching(/^1 lines of .*events\.log are lost so far: ENOENT/)]);
    mkdirSync(folder);
    log.append('kept');
    await log.flush();
    expect(readFileSync(path.join(folder, 'events.log'), 'utf8')).toBe('kept\n');
  });

  it('keeps a bounded number of lines in memory, the newest', async () => {
    const folder = newFolder();
    const said: string[] = [];
    const log = new LogFile(folder, 'events.log', 1e9, (sentence) => said.push(sentence));
    for (let i = 0; i < 20; i++) log.append(`${i} ${'x'.repeat(2 ** 20)}`);
    await log.flush();
    const lines = readFileSync(path.join(folder, 'events.log'), 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(8);
    expect(lines.at(-1)).toMatch(/^19 /);
    expect(said).toHaveLength(1);
  });
});

describe('metrics.jsonl', () => {
  it('of any length is read in pieces: half a gigabyte without a line costs no memory', async () => {
    const folder = newFolder();
    const file = path.join(folder, 'metrics.jsonl');
    writeFileSync(file, `${JSON.stringify(merge(1))}\n`);
    // Longer than the longest string that there can be; a hole of zeros, which no disk has to hold.
    truncateSync(file, 560 * 2 ** 20);
    appendFileSync(file, `\n${JSON.stringify(merge(2))}\n`);
    expect((await all(folder)).map((record) => record.kind === 'merge' && record.version)).toEqual([1, 2]);
  }, 120_000);

  it('has every record of a run, and of a long one the progress of each island once a minute', async () => {
    const folder = newFolder();
    const { journal, store } = await journalIn(folder, { metricsBytes: 20_000 });
    for (let step = 0; step < 200; step++) {
      journal.record(progress('a', step), noTraffic);
      if (step % 10 === 0) journal.record(merge(1 + step / 10), noTraffic);
      await journal.flush();
    }
    await journal.close();
    const records = await all(folder);
    expect(records.filter((record) => record.kind === 'merge')).toHaveLength(20);
    const steps = records.flatMap((record) => (record.kind === 'progress' ? [record.progress.step] : []));
    expect(steps.length).toBeLessThan(100);
    expect(steps.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(records[0]).toMatchObject({ sentBytes: 4, receivedBytes: 3 });
    // The store has the same, but asked for otherwise.
    expect(await store.records({ kinds: ['merge'] })).toHaveLength(20);
    const [loss] = await store.series({ names: ['loss'], fromS: 0, toS: 2e9, resolutionS: 10 });
    expect(loss).toMatchObject({ island: 'a', count: 200, max: 1 });
    await store.close();
  });

  it('gets the merges that were committed and not written down, once', async () => {
    const folder = newFolder();
    writeFileSync(path.join(folder, 'metrics.jsonl'), `${JSON.stringify({ ...merge(1), atS: 5 })}\n`);
    const took = { kind: 'took-records', merges: 1, fragment: 0, version: 2 } as const;
    for (let time = 0; time < 2; time++) {
      const { journal, store, said } = await journalIn(folder, { records: [merge(1), merge(2), took] });
      await journal.close();
      await store.close();
      expect(said).toEqual([expect.stringContaining('replayed as recorded')]);
    }
    const versions = (await all(folder)).flatMap((record) => (record.kind === 'merge' ? [record.version] : []));
    expect(versions).toEqual([1, 2]);
    expect(existsSync(path.join(folder, 'events.log'))).toBe(true);
  });

  it('is drawn with a bounded number of points and islands', async () => {
    const folder = newFolder();
    const lines = Array.from({ length: 9_000 }, (_, step) => JSON.stringify({ ...progress('a', step), atS: step }));
    for (let i = 0; i < 100; i++) lines.push(JSON.stringify({ ...progress(`island-${i}`, 1), atS: 1 }));
    const file = path.join(folder, 'metrics.jsonl');
    writeFileSync(file, `${lines.join('\n')}\n`);
    const { training } = await readCurves(folder);
    expect(training.size).toBe(64);
    const points = training.get('a')!;
    expect(points.length).toBeLessThanOrEqual(2_000);
    expect(points.length).toBeGreaterThan(1_000);
    expect(points.at(-1)![0]).toBeGreaterThan(8_980);
    // Before its first step it has no loss.
    expect(points[0]![0]).toBe(1);
    expect(statSync(file).size).toBeGreaterThan(1e6);
  });
});

it('what an island says moves no cursor of who reads it, and is one line', () => {
  const reason = '\u001b[2J\u009b31mbye\r\n2026-01-01T00:00:00Z merged';
  for (const record of [
    { kind: 'island', island: 'a', status: 'gone', reason },
    { kind: 'offence', island: 'a', reason, offences: 1, banned: false },
    { kind: 'doubted', island: 'a', reason },
  ] as const)
    expect(describeRecord({ ...record, atS: 0 })).toMatch(/^\P{Cc}+bye {2}2026\P{Cc}+$/u);
});
