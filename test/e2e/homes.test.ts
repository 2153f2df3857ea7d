import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { readHomeIntervals, readHomeRecords } from '../../src/cli/homes.ts';
import type { Summary } from '../../src/cli/records.ts';
import { reportOf } from '../../src/energy/accounting/index.ts';
import { run, scratch, tinyRun } from './command.ts';

/** Two homes on opposite sides of the globe: real training that goes where the sun is. */
const HOMES = `from: 2026-03-20T12:00Z
homes:
  - name: east
    location: { latitudeDeg: 0, longitudeDeg: 90, timeZone: Asia/Dhaka }
    solar: { arrays: [{ peakW: 6000, tiltDeg: 0, azimuthDeg: 180 }] }
    machine: { idleW: 50, trainW: 300 }
    cloudiness: 0
  - name: west
    location: { latitudeDeg: 0, longitudeDeg: -90, timeZone: America/Chicago }
    solar: { arrays: [{ peakW: 6000, tiltDeg: 0, azimuthDeg: 180 }] }
    machine: { idleW: 50, trainW: 300 }
    cloudiness: 0
`;

it('train --homes: only the sunny home trains, the roles change, and the report has their day', {
  timeout: 240_000,
}, async () => {
  const folder = scratch();
  const homes = path.join(folder, 'homes.yaml');
  writeFileSync(homes, HOMES);
  const file = tinyRun(folder, 'globe', { islands: 2, stop: { steps: 100_000, minutes: 0.55 } });
  const { status, stdout, stderr } = await run(['train', file, '--homes', homes, '--speed', '2880x', '--json'], folder);
  expect([status, stderr]).toEqual([0, expect.stringContaining('west')]);
  const summary = JSON.parse(stdout) as Summary & { readonly folder: string };
  const seen = ['east', 'west'].map((name) => readHomeRecords(summary.folder, name));
  for (const [i, records] of seen.entries()) {
    const used = ({ computeWh: { pv, battery, grid } }: (typeof records)[number]): number => pv + battery + grid;
    expect(records.some((r) => used(r) > 0)).toBe(true);
    for (const record of records) {
      // Local solar time, 6 hours ahead of and behind UTC: it trains between six and six, up to a cloud's patience.
      const hour = (new Date(record.fromMs).getUTCHours() + (i === 0 ? 6 : 18)) % 24;
      if (hour < 5 || hour > 19) expect([i, hour, used(record)]).toEqual([i, hour, 0]);
    }
  }
  for (const [i, name] of ['east', 'west'].entries()) {
    const intervals = readHomeIntervals(summary.folder, name);
    const total = (of: (record: (typeof seen)[number][number]) => number): number =>
      seen[i]!.reduce((sum, record) => sum + of(record), 0);
    const books = reportOf(intervals);
    expect(books.totalWh).toBeGreaterThan(100);
    // What was trained stands in the records of the time in which it was; the host may not have heard of the last step.
    const heard = summary.islandDetails.find(({ island }) => island === name)!.tokens;
    expect(heard).toBeGreaterThan(0);
    expect(books.tokens).toBeGreaterThanOrEqual(heard);
    // The books and the day curve are two views of the same watt-hours.
    expect(books.computeWh.pv).toBeCloseTo(
      total((r) => r.computeWh.pv),
      3,
    );
    expect(books.counterfactual.averageG).toBeCloseTo(summary.homes![i]!.counterfactualG, 6);
    expect(summary.homes![i]!.attributionalG).toBeGreaterThan((books.totalWh / 1000) * 40.9);
  }
  expect(summary.homes?.map(({ home }) => home)).toEqual(['east', 'west']);
  for (const each of summary.homes!)
    expect(each.computeWh.pv / (each.computeWh.pv + each.computeWh.grid)).toBeGreaterThan(0.9);
  expect(summary.islandDetails.every(({ tokens }) => tokens > 0)).toBe(true);
  expect(summary.validationLoss.after!).toBeLessThan(summary.validationLoss.before!);
  expect(readFileSync(path.join(summary.folder, 'report.html'), 'utf8')).toContain('<h2>Homes</h2>');
  expect(JSON.parse(readFileSync(path.join(summary.folder, 'summary.json'), 'utf8'))).toMatchObject({
    homes: [{ home: 'east' }, { home: 'west' }],
  });
});

it.each([
  [['--speed', '10x'], 'without --homes'],
  [['--homes', 'nowhere.yaml'], 'nowhere.yaml cannot be read'],
  [['--homes', 'HOMES', '--speed', '0x'], 'is no speed'],
])(
  '%j says what is wrong',
  async (args, message) => {
    const folder = scratch();
    const homes = path.join(folder, 'homes.yaml');
    writeFileSync(homes, HOMES);
    const file = tinyRun(folder, 'globe', { islands: 2 });
    const outcome = await run(['train', file, ...args.map((a) => (a === 'HOMES' ? homes : a))], folder);
    expect([outcome.status, outcome.stderr]).toEqual([2, expect.stringContaining(message)]);
  },
  60_000,
);
