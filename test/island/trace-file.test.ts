import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { joinTraces, TraceFile } from '../../src/island/node/trace-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-trace-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const span = { lane: 'training', name: 'step', startMs: 1, endMs: 2 } as const;

describe("islands' timelines", () => {
  it('become one file that is JSON, piece by piece', () => {
    const files = ['a', 'b'].map((island) => path.join(folder, `${island}.json`));
    for (const file of files) {
      const trace = new TraceFile(file, path.basename(file, '.json'));
      for (let i = 0; i < 20_000; i++) trace.add(span);
      trace.flush();
    }
    const into = path.join(folder, 'trace.json');
    joinTraces([...files, path.join(folder, 'none.json')], into);
    const events = JSON.parse(readFileSync(into, 'utf8')) as readonly { readonly ph?: string; readonly pid?: number }[];
    expect(events.filter(({ ph }) => ph === 'X')).toHaveLength(40_000);
    expect(new Set(events.flatMap(({ pid }) => pid ?? [])).size).toBe(2);
    joinTraces([path.join(folder, 'none.json')], path.join(folder, 'nothing.json'));
    expect(existsSync(path.join(folder, 'nothing.json'))).toBe(false);
  });

  it('have an end: a file that is long gets no more spans', () => {
    const file = path.join(folder, 'long.json');
    writeFileSync(file, '[\n');
    truncateSync(file, 64 * 2 ** 20);
    const trace = new TraceFile(file, 'a');
    const before = statSync(file).size;
    for (let i = 0; i < 2_000; i++) trace.add(span);
    trace.flush();
    expect(statSync(file).size).toBe(before);
  });
});
