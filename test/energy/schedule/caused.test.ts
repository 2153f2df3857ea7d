import { describe, expect, it } from 'vitest';
import { batteryOf, type Home, importWh, NO_BATTERY, runHome } from '../../../src/energy/home/index.ts';
import { HomeAhead, type Outlook } from '../../../src/energy/schedule/index.ts';
import { seeded } from './islands.ts';

/** What an hour of training would cause in a home, against the home run twice. */

const home = (capacityWh: number, efficiency = 0.81): Home => ({
  battery: capacityWh === 0 ? NO_BATTERY : batteryOf(capacityWh, 5000, 5000, efficiency),
  reserveWh: 0,
  exportLimitW: Number.POSITIVE_INFINITY,
  importLimitW: Number.POSITIVE_INFINITY,
});

const outlook = (pvW: readonly number[], loadW: readonly number[], gPerKWh: readonly number[]): Outlook => ({
  hours: 1,
  pvW,
  loadW,
  intensityGPerKWh: gPerKWh,
});

/** Import with less import without, by `runHome`, × each hour's intensity. */
function byRunningTwice(of: Home, { pvW, loadW, intensityGPerKWh }: Outlook, heldWh: number, at: number, w: number) {
  const importsOf = (computeW: number): readonly number[] => {
    const imports: number[] = [];
    runHome(
      of,
      { hours: 1, pvW, loadW },
      heldWh,
      (i) => (i === at ? computeW : 0),
      (_, flows) => imports.push(importWh(flows)),
    );
    return imports;
  };
  const without = importsOf(0);
  return importsOf(w).reduce((sum, wh, i) => sum + (wh - without[i]!) * intensityGPerKWh[i]!, 0) / w;
}

describe('what an hour of training would cause', () => {
  it('is the grid of that hour in a home without sun and battery', () => {
    const ahead = new HomeAhead(home(0));
    const given = outlook([0, 0], [300, 300], [120, 500]);
    expect(ahead.causedGPerKWh(given, 0, 0, 350)).toBeCloseTo(120, 9);
    expect(ahead.causedGPerKWh(given, 0, 1, 350)).toBeCloseTo(500, 9);
  });

  it('is nothing where the battery gets full all the same, and the evening where it does not', () => {
    const of = home(2000);
    const ahead = new HomeAhead(of);
    const sunny = outlook([3000, 3000, 0, 0], [0, 0, 1000, 1000], [100, 100, 400, 400]);
    const cloudy = outlook([1000, 1000, 0, 0], [0, 0, 1000, 1000], [100, 100, 400, 400]);
    expect(ahead.causedGPerKWh(sunny, 0, 0, 500)).toBeCloseTo(0, 9);
    // What did not get into the battery is missed, less what the battery would have lost on the way.
    expect(ahead.causedGPerKWh(cloudy, 0, 0, 500)).toBeCloseTo(400 * 0.81, 6);
  });

  it('costs the mean intensity where the outlook ends before the battery is missed', () => {
    const ahead = new HomeAhead(home(2000));
    const given = outlook([0, 0], [0, 0], [100, 300]);
    expect(ahead.causedGPerKWh(given, 2000, 0, 500)).toBeCloseTo(200, 6);
  });

  it('is what running the home with and without says, on random days that end with a full battery', () => {
    const random = seeded(3);
    const wrong: unknown[] = [];
    for (let trial = 0; trial < 200; trial++) {
      const of = home(3000 * Math.floor(3 * random()), 0.7 + 0.3 * random());
      const hours = 30;
      const draw = (most: number): number[] => Array.from({ length: hours }, () => most * random());
      const pvW = [...draw(1500), 50_000, 50_000];
      const given = outlook(pvW, [...draw(1500), 0, 0], [...draw(800), 100, 100]);
      const heldWh = random() * of.battery.capacityWh;
      const at = Math.floor(random() * hours);
      const found = new HomeAhead(of).causedGPerKWh(given, heldWh, at, 400);
      const wanted = byRunningTwice(of, given, heldWh, at, 400);
      if (Math.abs(found - wanted) > 0.05) wrong.push({ trial, found, wanted });
    }
    expect(wrong).toEqual([]);
  });
});
