import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { DataMeter } from '../../../src/island/node/owner/data-meter.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
const scratch = (): string => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-data-'));
  folders.push(folder);
  return folder;
};

class Clock {
  nowMs = Date.UTC(2026, 5, 30, 12);
  readonly said: string[] = [];

  meter(folder: string): DataMeter {
    return new DataMeter(
      folder,
      () => this.nowMs,
      (sentence) => this.said.push(sentence),
    );
  }
}

describe("a month's data", () => {
  it('are counted over restarts', () => {
    const [folder, clock] = [scratch(), new Clock()];
    const before = clock.meter(folder);
    before.add(1_000);
    before.add(500);
    before.save();
    const after = clock.meter(folder);
    after.add(10);
    expect([after.thisMonthBytes, clock.said]).toEqual([1_510, []]);
  });

  it('begin anew with the month, also while it runs, and in a process that starts in it', () => {
    const [folder, clock] = [scratch(), new Clock()];
    const meter = clock.meter(folder);
    meter.add(1_000);
    clock.nowMs = Date.UTC(2026, 6, 1, 0, 0, 1);
    expect(meter.thisMonthBytes).toBe(0);
    meter.add(7);
    meter.save();
    expect(JSON.parse(readFileSync(path.join(folder, 'data.json'), 'utf8'))).toEqual({ month: '2026-07', bytes: 7 });
    clock.nowMs = Date.UTC(2026, 7, 1);
    expect(clock.meter(folder).thisMonthBytes).toBe(0);
  });

  it('are written down each minute, and not each time', () => {
    const [folder, clock] = [scratch(), new Clock()];
    const meter = clock.meter(folder);
    for (let second = 0; second < 59; second++) {
      meter.add(1);
      clock.nowMs += 1_000;
    }
    expect(clock.meter(folder).thisMonthBytes).toBe(0);
    clock.nowMs += 1_000;
    meter.add(1);
    expect(clock.meter(folder).thisMonthBytes).toBe(60);
  });

  it.each(['', '{"month":"2026-06","bytes":-1}', '{"month":"June","bytes":1}', 'null', '{"bytes":1e400}'])(
    'of a file that is damaged are counted anew, and that is said: %s',
    (text) => {
      const [folder, clock] = [scratch(), new Clock()];
      writeFileSync(path.join(folder, 'data.json'), text);
      expect(clock.meter(folder).thisMonthBytes).toBe(0);
      expect(clock.said).toEqual([expect.stringContaining('data.json is damaged')]);
    },
  );

  it('are counted on where nothing can be written, and that is said once', () => {
    const [folder, clock] = [scratch(), new Clock()];
    const meter = clock.meter(folder);
    // A folder in the file's place: no user may write there, whatever his rights.
    mkdirSync(path.join(folder, 'data.json'));
    for (let minute = 0; minute < 5; minute++) {
      clock.nowMs += 60_000;
      meter.add(100);
    }
    expect([meter.thisMonthBytes, clock.said.length]).toEqual([500, 1]);
  });
});
