import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  batteryOf,
  type FlowsBuffer,
  type Home,
  importWh as importOf,
  NO_BATTERY,
  runHome,
} from '../../../src/energy/home/index.ts';
import { type BatteryPlan, type LpSolver, planBattery } from '../../../src/energy/schedule/index.ts';
import { loadHighs } from '../../../src/energy/schedule/load-highs.ts';

let solve: LpSolver;
beforeAll(async () => {
  solve = await loadHighs();
});

const homeOf = (capacityWh: number, change: Partial<Home> = {}): Home => ({
  battery: capacityWh === 0 ? NO_BATTERY : batteryOf(capacityWh, 2_000, 2_000, 0.81),
  reserveWh: 0.2 * capacityWh,
  exportLimitW: Number.POSITIVE_INFINITY,
  importLimitW: Number.POSITIVE_INFINITY,
  ...change,
});
const planned = (plan: BatteryPlan) => {
  if (plan.kind !== 'plan') throw new Error(plan.message);
  return plan;
};
const series = (...values: readonly number[]) => Float64Array.from(values);

describe("a home's plan", () => {
  it('without a battery takes the sun first, and then the cleanest hours', () => {
    const outlook = {
      hours: 1,
      pvW: series(0, 300, 0, 0),
      loadW: series(100, 100, 100, 100),
      importPerKWh: series(500, 400, 100, 300),
    };
    const plan = planned(
      planBattery(homeOf(0), outlook, { storedWh: 0, endStoredWh: 0, computeWh: 500, computeW: 200 }, solve),
    );
    expect([...plan.computeWh].map(Math.round)).toEqual([0, 200, 200, 100]);
    expect(plan.total).toBeCloseTo(0.1 * 500 + 0.3 * 100 + 0.2 * 300, 6);
  });

  it('leaves the noon’s sun to the evening where the evening is dirty, and trains in a clean night', () => {
    // 900 Wh of sun at noon; in the evening the household needs 729 Wh, which is what comes back of them.
    const outlook = {
      hours: 1,
      pvW: series(900, 0, 0),
      loadW: series(0, 729, 0),
      importPerKWh: series(300, 600, 100),
    };
    const home = homeOf(2_000, { reserveWh: 0 });
    const plan = planned(
      planBattery(home, outlook, { storedWh: 0, endStoredWh: 0, computeWh: 400, computeW: 400 }, solve),
    );
    expect([...plan.computeWh].map(Math.round)).toEqual([0, 0, 400]);
    expect(plan.total).toBeCloseTo(40, 4);
  });

  it('that cannot be names the rule, and bad input the figure', () => {
    const outlook = { hours: 1, pvW: series(0, 0), loadW: series(0, 0), importPerKWh: series(1, 1) };
    const job = { storedWh: 0, endStoredWh: 0, computeWh: 500, computeW: 200 };
    expect(planBattery(homeOf(0), outlook, job, solve)).toMatchObject({ kind: 'infeasible', rule: 'energy' });
    expect(planBattery(homeOf(0, { importLimitW: 0 }), outlook, { ...job, computeWh: 1 }, solve)).toMatchObject({
      kind: 'infeasible',
    });
    expect(planBattery(homeOf(0), { ...outlook, pvW: series(0, Number.NaN) }, job, solve)).toEqual({
      kind: 'refused',
      message: 'solar power is NaN in step 1; a plan needs a number there.',
    });
    expect(planBattery(homeOf(1_000), outlook, { ...job, storedWh: 2_000 }, solve)).toMatchObject({
      kind: 'refused',
      message: 'storedWh is 2000; give 0 to 1000.',
    });
  });

  it('is never worse than what the home does by rule with the same work, and keeps every limit', () => {
    const watts = fc.integer({ min: 0, max: 3_000 });
    const length = 12;
    const perStep = (value: fc.Arbitrary<number>) => fc.array(value, { minLength: length, maxLength: length });
    const property = fc.property(
      fc.constantFrom(0, 1_000, 8_000),
      perStep(watts),
      perStep(watts),
      perStep(fc.integer({ min: 0, max: 900 })),
      perStep(fc.integer({ min: 0, max: 400 })),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom('compute-first' as const, 'battery-first' as const),
      (capacityWh, pv, load, intensity, compute, charge, pvOrder) => {
        const home = homeOf(capacityWh);
        const storedWh = charge * capacityWh;
        let byRule = 0;
        let computeWh = 0;
        const endStoredWh = runHome(
          home,
          { hours: 1, pvW: pv, loadW: load },
          storedWh,
          (i) => compute[i]!,
          (i, flows: FlowsBuffer) => {
            byRule += (importOf(flows) * intensity[i]!) / 1000;
            computeWh += flows.pvToComputeWh + flows.batteryToComputeWh + flows.gridToComputeWh;
          },
          { pvOrder },
        );
        const outlook = {
          hours: 1,
          pvW: Float64Array.from(pv),
          loadW: Float64Array.from(load),
          importPerKWh: Float64Array.from(intensity),
        };
        const plan = planned(planBattery(home, outlook, { storedWh, endStoredWh, computeWh, computeW: 400 }, solve));
        expect(plan.total).toBeLessThanOrEqual(byRule * (1 + 1e-6) + 1e-6);
        let held = storedWh;
        let used = 0;
        const { chargeEfficiency, dischargeEfficiency } = home.battery;
        for (let t = 0; t < length; t++) {
          held += plan.chargeWh[t]! * chargeEfficiency - plan.dischargeWh[t]! / dischargeEfficiency;
          used += plan.computeWh[t]!;
          expect(Math.abs(held - plan.storedWh[t]!)).toBeLessThan(1e-3);
          expect(plan.storedWh[t]!).toBeGreaterThan(Math.min(home.reserveWh, storedWh) - 1e-3);
          // What comes in goes somewhere; the rest is thrown away.
          const spare =
            pv[t]! + plan.importWh[t]! + plan.dischargeWh[t]! - load[t]! - plan.computeWh[t]! - plan.chargeWh[t]!;
          expect(spare - plan.exportWh[t]!).toBeGreaterThan(-1e-3);
          expect(plan.exportWh[t]!).toBeLessThanOrEqual(pv[t]! + 1e-3);
        }
        expect(Math.abs(used - computeWh)).toBeLessThan(1e-3);
        expect(held).toBeGreaterThan(endStoredWh - 1e-3);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });
});
