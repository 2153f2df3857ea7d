import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { HOUR_MS, valueAt } from '../../../src/energy/series.ts';
import { localService } from './local-service.ts';

const service = localService();
const of = (text: string, more: object = {}) => {
  const file = path.join(service.folder, 'table.csv');
  writeFileSync(file, text);
  return service.open({ intensity: { kind: 'file', path: file, unit: 'g/kWh', ...more } });
};

describe('a table of hours', () => {
  it('of a zone whose hours begin at half past keeps them', async () => {
    const sources = of('time,value\n2026-03-10T10:00+05:30,700\n2026-03-10T11:00+05:30,800');
    const at = Date.parse('2026-03-10T10:00+05:30');
    const { averageG } = await sources.intensity(at, at + 2 * HOUR_MS);
    expect(valueAt(averageG!, at + HOUR_MS - 1)).toBe(700);
    expect(valueAt(averageG!, at + HOUR_MS)).toBe(800);
    expect(valueAt(averageG!, at - 1)).toBeNaN();
  });

  it('has 23 hours on the day on which clocks go forward', async () => {
    const hours = ['00:00+01:00', '01:00+01:00', '03:00+02:00', '04:00+02:00'];
    const sources = of(['time,value', ...hours.map((hour, i) => `2026-03-29T${hour},${100 + i}`)].join('\n'));
    const from = Date.parse('2026-03-29T00:00+01:00');
    expect([...(await sources.intensity(from, from + 4 * HOUR_MS)).averageG!.values]).toEqual([100, 101, 102, 103]);
  });

  it('may have rows in any order, quoted cells with commas, and a byte order mark', async () => {
    const sources = of(
      '\ufeff"place","time","value"\n"Berlin, DE",2026-03-10T13:00Z,2\n"Berlin, DE",2026-03-10T12:00Z,1\n',
    );
    const from = Date.parse('2026-03-10T12:00Z');
    expect([...(await sources.intensity(from, from + 2 * HOUR_MS)).averageG!.values]).toEqual([1, 2]);
  });

  it.each([
    ['kg where g was said', 'g/kWh', 0.33, /largest of 24 values is 0\.33 g\/kWh.*unit: kg\/kWh/],
    ['g where kg was said', 'kg/kWh', 330, /all 24 values.*330000 g\/kWh.*unit: g\/kWh/],
  ])('with %s is refused', (_, unit, value, words) => {
    const rows = Array.from({ length: 24 }, (_, i) => `2026-03-10T${String(i).padStart(2, '0')}:00Z,${value}`);
    expect(() => of(`time,value\n${rows.join('\n')}`, { unit })).toThrow(words);
  });

  it('of two hours with much wind and sun may be near 0', () => {
    expect(() => of('time,value\n2026-03-10T12:00Z,0.5\n2026-03-10T13:00Z,0')).not.toThrow();
  });

  it.each([
    [
      'finer than its step',
      'time,value\n2026-03-10T12:00Z,1\n2026-03-10T12:15Z,2',
      /rows 1 and 2 are 15 min apart.*60/,
    ],
    [
      'twice the same',
      'time,value\n2026-03-10T12:00Z,1\n2026-03-10T13:00+01:00,2',
      /rows 1 and 2 are of the same time/,
    ],
    ['with a cell too many', 'time,value\n2026-03-10T12:00Z,1,5', /cannot be read as CSV/],
  ])('%s is refused', (_, text, words) => {
    expect(() => of(text)).toThrow(words);
  });
});
