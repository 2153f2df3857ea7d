import {
  type Battery,
  balanceInto,
  emptyFlows,
  type FlowsBuffer,
  type Home,
  householdShare,
} from '../energy/home/index.ts';
import type { SiteForecast, SiteNow } from '../energy/policy/index.ts';
import { localTime } from '../energy/policy/local-time.ts';
import { homeOf, reservePercentOf } from '../energy/site/home.ts';
import { leastTrainW } from '../energy/site/site-file.ts';
import type { Site } from '../energy/site/site-schema.ts';
import { modelledPvW, plantOf, pvForecast, type WeatherAt } from '../energy/site/solar.ts';
import type { SolarPlant } from '../energy/sun/index.ts';

/** A home that is simulated: real sun and physics, clouds and a household from a seed. Its machine's draw comes from outside. */

/** Longest step of the balance: clouds and batteries move within minutes. */
const STEP_MS = 5 * 60_000;
const HOUR_MS = 3_600_000;
/** The charge that it begins with. */
const START_SHARE = 0.5;

/** Mean powers and where each watt-hour went, between two moments. */
export interface HomeSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly pvW: number;
  readonly loadW: number;
  readonly flows: Readonly<FlowsBuffer>;
}

/** Grid and weather around a simulated home. */
export interface Around {
  readonly weatherAt: WeatherAt;
  intensityGPerKWh(atMs: number): number;
  /** Undefined where the home has no tariff. */
  pricePerKWh?(atMs: number): number | undefined;
  /** What is foreseen of the grid; nothing where left out. */
  ahead?(nowMs: number): Pick<SiteForecast, 'intensityGPerKWh' | 'pricePerKWh'>;
}

export class SimulatedHome {
  readonly site: Site;
  readonly #plant: SolarPlant | undefined;
  readonly #home: Home;
  readonly #around: Around;
  readonly #visit: (span: HomeSpan) => void;
  readonly #flows: FlowsBuffer;
  #nowMs: number;
  #last = { pvW: 0, loadW: 0, gridW: 0, batteryW: 0, curtailedW: 0 };
  #forecast: { readonly atMs: number; readonly is: SiteForecast } | undefined;

  /** @param visit told of every step of the balance; what it is given is its own @throws HelioError HELIO-1008, HELIO-1010 for a home that cannot be */
  constructor(site: Site, startMs: number, around: Around, visit: (span: HomeSpan) => void = () => {}) {
    this.site = site;
    this.#plant = plantOf(site);
    this.#around = around;
    this.#visit = visit;
    this.#nowMs = startMs;
    this.#home = homeOf(site);
    this.#flows = emptyFlows(START_SHARE * this.#home.battery.capacityWh);
  }

  get battery(): Battery {
    return this.#home.battery;
  }

  /** What the battery holds. */
  get energyWh(): number {
    return this.#flows.energyWh;
  }

  get batteryPercent(): number | undefined {
    const { battery } = this.site;
    return battery === undefined ? undefined : (100 * this.#flows.energyWh) / battery.capacityWh;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get powers(): { readonly pvW: number; readonly loadW: number; readonly gridW: number; readonly batteryW: number } {
    return this.#last;
  }

  /** Lets time pass, with a machine that draws so much beyond what it draws idle (that is the household's). */
  advance(toMs: number, computeW: number): void {
    while (this.#nowMs < toMs) {
      const endMs = Math.min(toMs, this.#nowMs + STEP_MS);
      this.#step(endMs, computeW);
      this.#nowMs = endMs;
    }
  }

  #step(endMs: number, computeW: number): void {
    const fromMs = this.#nowMs;
    const atMs = (fromMs + endMs) / 2;
    const hours = (endMs - fromMs) / HOUR_MS;
    const pvW = this.#plant === undefined ? 0 : (modelledPvW(this.#plant, this.#around.weatherAt, atMs) ?? 0);
    const loadW =
      this.site.household.averageW * householdShare(localTime(atMs, this.site.location.timeZone).minute / 60);
    const { mode, batteryFirst } = this.site.policy;
    const flows = this.#flows;
    balanceInto(
      this.#home,
      {
        hours,
        pvW,
        loadW,
        computeW,
        computeMayUse: { pv: true, battery: mode === 'sun-and-battery', grid: true },
        pvOrder: batteryFirst && mode === 'sun' ? 'battery-first' : 'compute-first',
        gridChargeW: 0,
        gridConnected: true,
      },
      flows,
    );
    this.#last = {
      pvW,
      loadW,
      gridW: (flows.gridToLoadWh + flows.gridToComputeWh + flows.gridToBatteryWh - flows.pvToGridWh) / hours,
      batteryW:
        (flows.batteryToLoadWh + flows.batteryToComputeWh - flows.pvToBatteryWh - flows.gridToBatteryWh) / hours,
      curtailedW: flows.curtailedWh / hours,
    };
    this.#visit({ fromMs, toMs: endMs, pvW, loadW, flows: { ...flows } });
  }

  /** What the home's meters would say now. */
  now(nowMs: number, computeW: number): SiteNow {
    const { machine } = this.site;
    const { battery } = this.site;
    return {
      power: { ...this.#last, computeW },
      ...(battery === undefined ? {} : { batteryPercent: this.batteryPercent }),
      reservePercent: reservePercentOf(this.#home),
      isGridConnected: true,
      machine: { idleW: machine.idleW, leastW: leastTrainW(machine), mostW: machine.trainW },
      intensityGPerKWh: this.#around.intensityGPerKWh(nowMs),
      pricePerKWh: this.#around.pricePerKWh?.(nowMs),
      dataThisMonthBytes: 0,
      signals: [],
      override: null,
    };
  }

  forecast(nowMs: number): SiteForecast {
    if (this.#forecast === undefined || nowMs - this.#forecast.atMs > HOUR_MS)
      this.#forecast = {
        atMs: nowMs,
        is: {
          ...(this.#plant === undefined
            ? {}
            : {
                pvW: pvForecast(this.#plant, this.#around.weatherAt, nowMs, 36, {
                  quality: 'modelled',
                  method: 'PVWatts v5 on simulated weather',
                }),
              }),
          ...this.#around.ahead?.(nowMs),
        },
      };
    return this.#forecast.is;
  }
}
