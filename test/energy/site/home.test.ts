import { describe, expect, it } from 'vitest';
import { homeOf, reservePercentOf } from '../../../src/energy/site/home.ts';
import { siteSchema } from '../../../src/energy/site/site-schema.ts';

const siteWith = (parts: object) => siteSchema.parse({ location: { latitudeDeg: 48, longitudeDeg: 8 }, ...parts });
const battery = { capacityWh: 10_000, chargeW: 5_000, dischargeW: 4_000, roundTripEfficiency: 0.81 };

describe('the home of a site', () => {
  it('has its battery and the limits that it names', () => {
    const solar = { arrays: [{ peakW: 8_000, tiltDeg: 30, azimuthDeg: 180 }], exportLimitW: 3_000 };
    const home = homeOf(siteWith({ battery, solar, grid: { importLimitW: 11_000 } }));
    expect(home.battery).toMatchObject({ capacityWh: 10_000, maxChargeW: 5_000, maxDischargeW: 4_000 });
    expect(home).toMatchObject({ exportLimitW: 3_000, importLimitW: 11_000 });
  });

  it('has no battery and no limits where the site names none', () => {
    const home = homeOf(siteWith({}));
    expect(home).toMatchObject({ reserveWh: 0, exportLimitW: Infinity, importLimitW: Infinity });
    expect([home.battery.capacityWh, reservePercentOf(home)]).toEqual([0, 0]);
  });

  it.each([
    ['the share that its owner keeps back', { reservePercent: 30 }, 30],
    // 450 W for 9 h, of which the battery loses a tenth on the way out: 4500 Wh.
    ['what the household needs in an outage, where that is more', { reservePercent: 30, outageHours: 9 }, 45],
    ['the whole battery at most', { outageHours: 100 }, 100],
  ])('keeps %s', (_, wish, percent) => {
    const home = homeOf(siteWith({ battery: { ...battery, ...wish }, household: { averageW: 450 } }));
    expect(reservePercentOf(home)).toBeCloseTo(percent, 9);
  });
});
