import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  balance,
  batteryOf,
  computeWh,
  type Home,
  type HomeFlows,
  type HomeStep,
  importWh,
  NO_BATTERY,
} from '../../../src/energy/home/index.ts';

const BATTERY = batteryOf(10_000, 5000, 5000, 0.81);
const HOME: Home = { battery: BATTERY, reserveWh: 2000, exportLimitW: Infinity, importLimitW: Infinity };
const ALL = { pv: true, battery: true, grid: true };
const STEP: HomeStep = {
  hours: 1,
  pvW: 0,
  loadW: 0,
  computeW: 0,
  computeMayUse: ALL,
  pvOrder: 'compute-first',
  gridChargeW: 0,
  gridConnected: true,
};
const after = (energyWh: number, step: Partial<HomeStep>, home: Partial<Home> = {}): HomeFlows =>
  balance({ ...HOME, ...home }, { energyWh }, { ...STEP, ...step });

test('the sun serves the household, then compute, then the battery, then the grid', () => {
  const flows = after(
    2000,
    { pvW: 9000, loadW: 1000, computeW: 500 },
    { battery: batteryOf(10_000, 3000, 3000, 0.81) },
  );
  expect(flows).toMatchObject({ pvToLoadWh: 1000, pvToComputeWh: 500, pvToBatteryWh: 3000, pvToGridWh: 4500 });
  expect(flows.storedWh).toBeCloseTo(2700);
  expect(flows.batteryLossWh).toBeCloseTo(300);
});

test('the battery comes before compute when the policy says so', () => {
  const step = { pvW: 2000, computeW: 500, pvOrder: 'battery-first' } as const;
  const sunOnly = { pv: true, battery: false, grid: false };
  expect(after(2000, { ...step, computeMayUse: sunOnly })).toMatchObject({
    pvToBatteryWh: 2000,
    pvToComputeWh: 0,
    unservedComputeWh: 500,
  });
  expect(after(10_000, { ...step, computeMayUse: sunOnly })).toMatchObject({ pvToBatteryWh: 0, pvToComputeWh: 500 });
});

test('what a battery would hand on in the same moment goes past it', () => {
  const flows = after(5000, {
    pvW: 2000,
    computeW: 500,
    pvOrder: 'battery-first',
    computeMayUse: { pv: false, battery: true, grid: false },
  });
  expect(flows).toMatchObject({ pvToBatteryWh: 1500, pvToComputeWh: 500, batteryToComputeWh: 0 });
  const atReserve = after(2000, {
    pvW: 2000,
    computeW: 500,
    pvOrder: 'battery-first',
    computeMayUse: { pv: false, battery: true, grid: false },
  });
  expect(atReserve).toMatchObject({ pvToBatteryWh: 2000, pvToComputeWh: 0, unservedComputeWh: 500 });
});

test('compute takes only what the policy allows', () => {
  const none = { pv: false, battery: false, grid: false };
  expect(after(9000, { pvW: 800, computeW: 500, computeMayUse: none })).toMatchObject({ unservedComputeWh: 500 });
  expect(after(9000, { computeW: 500, computeMayUse: { ...none, grid: true } })).toMatchObject({
    gridToComputeWh: 500,
    batteryToComputeWh: 0,
  });
});

test('with the grid there, the reserve is kept by importing', () => {
  const flows = after(2300, { loadW: 1000, computeW: 500 });
  expect(flows.energyWh).toBeCloseTo(2000);
  expect(flows.batteryToLoadWh).toBeCloseTo(270);
  expect(flows).toMatchObject({ batteryToComputeWh: 0, gridToComputeWh: 500 });
  expect(flows.gridToLoadWh).toBeCloseTo(730);
});

test('a reserve that was raised above the charge is neither taken from nor filled by itself', () => {
  expect(after(3000, { loadW: 1000 }, { reserveWh: 6000 })).toMatchObject({ gridToLoadWh: 1000, storedWh: 0 });
  expect(after(3000, { loadW: 1000, gridChargeW: 2000 }, { reserveWh: 6000 })).toMatchObject({
    gridToLoadWh: 1000,
    gridToBatteryWh: 2000,
    storedWh: 1800,
  });
});

test('what may not be exported is curtailed, and named', () => {
  expect(after(10_000, { pvW: 4000 }, { exportLimitW: 1500 })).toMatchObject({ pvToGridWh: 1500, curtailedWh: 2500 });
});

test('a connection that is too small serves the household before compute', () => {
  expect(after(2000, { loadW: 1000, computeW: 900 }, { importLimitW: 1600 })).toMatchObject({
    gridToLoadWh: 1000,
    gridToComputeWh: 600,
    unservedComputeWh: 300,
  });
});

test('grid lost: compute stops at the reserve, the household drains it, the home goes dark, and comes back', () => {
  const night = { loadW: 900, computeW: 450, gridConnected: false };
  const first = after(3000, night);
  expect(first.batteryToLoadWh).toBe(900);
  expect(first.unservedComputeWh).toBe(450); // 1000 Wh above the reserve give 900, and the household has them
  let state = first.energyWh;
  expect(state).toBeCloseTo(2000);
  const hours: HomeFlows[] = [];
  for (let i = 0; i < 4; i++) {
    hours.push(after(state, night));
    state = hours.at(-1)!.energyWh;
  }
  expect(hours.map(({ unservedLoadWh }) => Math.round(unservedLoadWh))).toEqual([0, 0, 900, 900]);
  expect(hours.every((flows) => computeWh(flows) === 0 && importWh(flows) === 0)).toBe(true);
  expect(state).toBeCloseTo(0, 6);
  const morning = after(state, { pvW: 3000, loadW: 900, computeW: 450, gridConnected: false });
  expect(morning).toMatchObject({ pvToLoadWh: 900, pvToComputeWh: 450, pvToBatteryWh: 1650, unservedLoadWh: 0 });
  expect(after(morning.energyWh, { loadW: 900, computeW: 450 })).toMatchObject({
    gridToLoadWh: 900,
    gridToComputeWh: 450,
  });
});

test('an islanded home without room curtails', () => {
  expect(after(10_000, { pvW: 3000, gridConnected: false })).toMatchObject({ pvToGridWh: 0, curtailedWh: 3000 });
});

const share = fc.double({ min: 0, max: 1, noNaN: true });
const watts = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20_000, noNaN: true }));
const limit = fc.oneof(fc.constant(Infinity), watts);
const efficiency = fc.double({ min: 0.3, max: 1, noNaN: true });
const battery = fc.oneof(
  fc.constant(NO_BATTERY),
  fc.record({
    capacityWh: fc.double({ min: 0, max: 40_000, noNaN: true }),
    maxChargeW: watts,
    maxDischargeW: watts,
    chargeEfficiency: efficiency,
    dischargeEfficiency: efficiency,
  }),
);
const step = fc.record({
  hours: fc.constantFrom(1 / 3600, 1 / 60, 0.25, 1, 24),
  pvW: watts,
  loadW: watts,
  computeW: watts,
  computeMayUse: fc.record({ pv: fc.boolean(), battery: fc.boolean(), grid: fc.boolean() }),
  pvOrder: fc.constantFrom('compute-first' as const, 'battery-first' as const),
  gridChargeW: fc.oneof(fc.constant(0), watts),
  gridConnected: fc.boolean(),
});

test('every watt-hour has a place, in any home and step', () => {
  const worst = { residual: 0 };
  fc.assert(
    fc.property(
      battery,
      share,
      share,
      limit,
      limit,
      fc.array(step, { minLength: 1, maxLength: 8 }),
      (b, r, s, x, m, steps) => {
        const home: Home = { battery: b, reserveWh: r * b.capacityWh, exportLimitW: x, importLimitW: m };
        let state = { energyWh: s * b.capacityWh };
        for (const one of steps) {
          const f = balance(home, state, one);
          const near = (found: number, wanted: number): void => {
            worst.residual = Math.max(worst.residual, Math.abs(found - wanted));
            expect(Math.abs(found - wanted)).toBeLessThan(1e-6);
          };
          near(f.pvToLoadWh + f.pvToComputeWh + f.pvToBatteryWh + f.pvToGridWh + f.curtailedWh, one.pvW * one.hours);
          near(f.pvToLoadWh + f.batteryToLoadWh + f.gridToLoadWh + f.unservedLoadWh, one.loadW * one.hours);
          near(computeWh(f) + f.unservedComputeWh, one.computeW * one.hours);
          const charged = f.pvToBatteryWh + f.gridToBatteryWh;
          const discharged = f.batteryToLoadWh + f.batteryToComputeWh;
          near(f.storedWh, charged * b.chargeEfficiency - discharged / b.dischargeEfficiency);
          near(f.energyWh - state.energyWh, f.storedWh);
          near(
            one.pvW * one.hours + importWh(f) - (one.loadW * one.hours - f.unservedLoadWh) - computeWh(f),
            f.pvToGridWh + f.curtailedWh + f.storedWh + f.batteryLossWh,
          );
          for (const [name, wh] of Object.entries(f)) if (name !== 'storedWh') expect(wh).toBeGreaterThan(-1e-9);
          expect(f.energyWh).toBeLessThanOrEqual(b.capacityWh);
          expect(charged === 0 || discharged === 0).toBe(true);
          expect(charged).toBeLessThanOrEqual(b.maxChargeW * one.hours + 1e-9);
          expect(discharged).toBeLessThanOrEqual(b.maxDischargeW * one.hours + 1e-9);
          expect(importWh(f)).toBeLessThanOrEqual(one.gridConnected ? m * one.hours + 1e-6 : 0);
          expect(f.pvToGridWh).toBeLessThanOrEqual(one.gridConnected ? x * one.hours : 0);
          // Compute never takes from the reserve, and the household only without a grid.
          if (one.gridConnected || f.batteryToComputeWh > 1e-9)
            expect(f.energyWh).toBeGreaterThan(Math.min(state.energyWh, home.reserveWh) - 1e-6);
          const { pv, battery: mayBattery, grid } = one.computeMayUse;
          if (!pv && !mayBattery) expect(f.pvToComputeWh).toBe(0);
          if (!mayBattery) expect(f.batteryToComputeWh).toBe(0);
          if (!grid) expect(f.gridToComputeWh).toBe(0);
          state = f;
        }
      },
    ),
    { numRuns: 600 },
  );
  expect(worst.residual).toBeLessThan(1e-6);
});
