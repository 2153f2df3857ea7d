import type { SiteShare } from '../../protocol/forecast.ts';
import { HOUR_MS, meanOver, type Series } from '../series.ts';
import { isWithin, localTime } from './local-time.ts';
import type { Policy } from './policy-schema.ts';
import type { SiteForecast, SiteNow } from './site-now.ts';

/** Hours that a site tells a run of. */
const HOURS = 48;

/**
 * What a site's rules leave to training in the coming hours, from its sun and from the grid. What its battery gives is not counted: it belongs to the home's
 * evening, and whether the policy may use it the moment decides.
 */
export function shareOf(
  { machine, isGridConnected, power }: SiteNow,
  forecast: SiteForecast,
  { policy, timeZone }: { readonly policy: Policy; readonly timeZone: string },
  nowMs: number,
): SiteShare {
  const startMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
  const hours = Array.from({ length: HOURS }, (_, hour) => startMs + hour * HOUR_MS);
  const mostW = Math.min(machine.mostW, policy.powerCapW ?? machine.mostW);
  const over = (series: Series | undefined, atMs: number): number =>
    series === undefined ? Number.NaN : meanOver(series, atMs, atMs + HOUR_MS);
  const known = (value: number): number | null => (Number.isNaN(value) ? null : value);
  const isOpen = (atMs: number): boolean =>
    policy.mode !== 'off' && !policy.quietHours.some((quiet) => isWithin(quiet, localTime(atMs, timeZone)));
  const sun = (pvW: Series | undefined, atMs: number): number => {
    if (!isOpen(atMs)) return 0;
    const surplusW = orElse(over(pvW, atMs), 0) - orElse(over(forecast.loadW, atMs), power.loadW ?? 0);
    return Math.min(mostW, Math.max(0, surplusW));
  };
  const mid = hours.map((atMs) => sun(forecast.pvW?.mid, atMs));
  const intensity = hours.map((atMs) => over(forecast.intensityGPerKWh, atMs));
  const price = hours.map((atMs) => over(forecast.pricePerKWh, atMs));
  const gridShare = policy.mode === 'always' ? 1 : policy.gridSharePercent / 100;
  const gridW = hours.map((atMs, hour) => {
    const isClean = !(intensity[hour]! >= (policy.maxIntensityGPerKWh ?? Number.POSITIVE_INFINITY));
    const isCheap = !(price[hour]! > (policy.maxPricePerKWh ?? Number.POSITIVE_INFINITY));
    if (!isGridConnected || !isOpen(atMs) || !isClean || !isCheap) return 0;
    return policy.mode === 'always' ? mostW - mid[hour]! : Math.min(mostW - mid[hour]!, gridShare * mostW);
  });
  // Less than the least with which it trains is nothing.
  const trains = (value: number, hour: number): number => (mid[hour]! + gridW[hour]! >= machine.leastW ? value : 0);
  return {
    startS: startMs / 1000,
    sunW: {
      low: hours.map((atMs, hour) => trains(sun(forecast.pvW?.low, atMs), hour)),
      mid: mid.map(trains),
      high: hours.map((atMs, hour) => trains(sun(forecast.pvW?.high, atMs), hour)),
    },
    gridW: gridW.map(trains),
    intensityGPerKWh: intensity.map(known),
    pricePerKWh: price.map(known),
    mostW,
  };
}

const orElse = (value: number, other: number): number => (Number.isNaN(value) ? other : value);
