import { balance } from '../home/index.ts';
import { decide, newMemory, type Policy, type SiteNow } from '../policy/index.ts';
import { HOUR_MS } from '../series.ts';
import type { FleetHome } from './fleet.ts';
import type { FleetNow } from './run-fleet.ts';

/**
 * What a home's policy lets its machine draw in an hour, W: the real `decide`, with what meters would say while the machine rests. An hour is longer
 * than all delays of a policy: each is decided anew.
 *
 * @param intensityGPerKWh what `maxIntensityGPerKWh` is compared with, where the policy has one
 */
export function decidedW(
  home: FleetHome,
  now: FleetNow,
  heldWh: number,
  policy: Policy,
  intensityGPerKWh?: number,
): number {
  const nowMs = now.fleet.startMs + now.hour * HOUR_MS;
  const site = siteOf(home, now.ofYear, heldWh, intensityGPerKWh);
  const hourly = { policy: { ...policy, startDelayS: 0, minOffMinutes: 0 }, timeZone: 'UTC' };
  return decide(site, {}, hourly, newMemory(nowMs), nowMs).powerW;
}

function siteOf(
  { home, pvW, loadW, leastW, machineW }: FleetHome,
  ofYear: number,
  heldWh: number,
  intensityGPerKWh: number | undefined,
): SiteNow {
  const { capacityWh } = home.battery;
  const flows = balance(
    home,
    { energyWh: heldWh },
    {
      hours: 1,
      pvW: pvW[ofYear]!,
      loadW: loadW[ofYear]!,
      computeW: 0,
      computeMayUse: { pv: false, battery: false, grid: false },
      pvOrder: 'battery-first',
      gridChargeW: 0,
      gridConnected: true,
    },
  );
  return {
    power: {
      pvW: pvW[ofYear]!,
      loadW: loadW[ofYear]!,
      computeW: 0,
      gridW: flows.gridToLoadWh - flows.pvToGridWh,
      batteryW: flows.batteryToLoadWh - flows.pvToBatteryWh,
      curtailedW: flows.curtailedWh,
    },
    ...(capacityWh === 0 ? {} : { batteryPercent: (100 * heldWh) / capacityWh }),
    reservePercent: capacityWh === 0 ? 0 : (100 * home.reserveWh) / capacityWh,
    isGridConnected: true,
    machine: { idleW: 0, leastW, mostW: machineW },
    intensityGPerKWh,
    dataThisMonthBytes: 0,
    signals: [],
    override: null,
  };
}
