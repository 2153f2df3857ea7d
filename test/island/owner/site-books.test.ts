import { expect, it } from 'vitest';
import { type EnergyInterval, intervalSchema, reportOf, totalOf } from '../../../src/energy/accounting/index.ts';
import type { Origin } from '../../../src/energy/figure.ts';
import type { Decision, SiteNow } from '../../../src/energy/policy/index.ts';
import { siteSchema } from '../../../src/energy/site/site-schema.ts';
import { SiteBooks } from '../../../src/island/owner/site-books.ts';

const SITE = siteSchema.parse({
  name: 'attic',
  location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: 'Europe/Berlin' },
  solar: { arrays: [{ peakW: 8_000, tiltDeg: 30, azimuthDeg: 180 }] },
  battery: { capacityWh: 10_000, chargeW: 5_000, dischargeW: 5_000 },
  grid: { zone: 'DE', intensity: { kind: 'constant', gPerKWh: 400 } },
});
const METER: Origin = { quality: 'measured', method: 'a meter' };
const SKY: Origin = { quality: 'modelled', method: 'PVWatts v5' };

/** Lives `minutes` of ten seconds each; `powers` of a moment, and whether it trains. */
function keep(
  minutes: number,
  powersAt: (minute: number) => Partial<SiteNow['power']> & { readonly computeW: number },
  { metered = true, trains = (_: number): boolean => true, sleepAt = -1 } = {},
): readonly EnergyInterval[] {
  const records: EnergyInterval[] = [];
  const books = new SiteBooks(
    SITE,
    {
      measured: () => (metered ? METER : undefined),
      average: () => ({
        kind: 'average',
        scope: 'unstated',
        gPerKWh: 400,
        zone: 'DE',
        origin: { quality: 'assumed', method: 'site.yaml' },
      }),
      marginal: () => undefined,
      tariff: () => undefined,
      sun: () => SKY,
    },
    (record) => records.push(record),
  );
  for (let i = 0; i < minutes * 6; i++) {
    const minute = Math.floor(i / 6);
    const fromMs = i * 10_000 + (sleepAt >= 0 && minute >= sleepAt ? 3 * 3_600_000 : 0);
    const site = { power: powersAt(minute), isGridConnected: true, batteryPercent: 50 } as unknown as SiteNow;
    const decision = { powerW: trains(minute) ? 300 : 0 } as Decision;
    if (minute === sleepAt && i % 6 === 0) books.add({ fromMs: i * 10_000, toMs: fromMs, site, decision });
    books.add({ fromMs, toMs: fromMs + 10_000, site, decision });
  }
  books.flush();
  for (const record of records) expect(intervalSchema.safeParse(record).error).toBeUndefined();
  return records;
}

it('meters of all wires divide what the machine drew', () => {
  const records = keep(30, () => ({ pvW: 2000, gridW: -700, batteryW: -500, loadW: 400, computeW: 400 }));
  expect(records).toHaveLength(2);
  expect(records[0]!.computeWh.pv).toBeCloseTo(100);
  expect(records[0]).toMatchObject({
    part: 'island',
    name: 'attic',
    zone: 'DE',
    tokens: 0,
    energyOrigin: METER,
    splitOrigin: { quality: 'measured' },
    quality: 'assumed',
  });
  // The battery, in the model as in the home, has room: what compute took is missing there.
  expect(reportOf(records).counterfactual.fromBatteryWh).toBeCloseTo(200);
  expect(reportOf(records).counterfactual.storedDebtWh).toBeCloseTo(200 * Math.sqrt(0.9), 0);
});

it('without meters the sun is modelled, and the machine is its rating', () => {
  const [record] = keep(15, () => ({ pvW: 1000, loadW: 300, computeW: 400 }), { metered: false });
  expect(record!.computeWh.pv).toBeCloseTo(100);
  expect(record).toMatchObject({
    energyOrigin: { quality: 'assumed', method: expect.stringContaining('site.yaml') },
    splitOrigin: { quality: 'assumed', method: expect.stringContaining('PVWatts v5') },
  });
});

it('what nobody knows is unallocated, and counts as if it came from the grid', () => {
  const [record] = keep(15, () => ({ computeW: 400 }), { metered: false });
  expect(record!.computeWh).toMatchObject({ pv: 0, battery: 0, grid: 0 });
  expect(record!.computeWh.unallocated).toBeCloseTo(100);
  expect(record!.counterfactual.averageG).toBeCloseTo(40);
});

it('a machine that does not train is its owner’s, and the home goes on', () => {
  const records = keep(30, () => ({ pvW: 0, gridW: 0, batteryW: 700, loadW: 400, computeW: 300 }), {
    trains: (minute) => minute < 15,
  });
  expect(records.map(({ computeWh }) => Math.round(totalOf(computeWh)))).toEqual([75, 0]);
  expect(records[0]!.computeWh.battery).toBeCloseTo(75);
});

it('a machine that slept has used nothing meanwhile, and the record says its times', () => {
  const records = keep(20, () => ({ pvW: 0, gridW: 400, batteryW: 0, loadW: 0, computeW: 400 }), { sleepAt: 10 });
  expect(records.map(({ startMs, endMs }) => [startMs / 60_000, endMs / 60_000])).toEqual([
    [0, 10],
    [190, 195],
    [195, 200],
  ]);
  expect(reportOf(records).totalWh).toBeCloseTo(400 / 3);
});
