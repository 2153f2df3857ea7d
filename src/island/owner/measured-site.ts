import { type Home, hoursLeft } from '../../energy/home/index.ts';
import type { MeterSet, Quantity } from '../../energy/meters/index.ts';
import {
  FULL_PERCENT,
  type Override,
  type Signal,
  type SiteForecast,
  type SiteNow,
} from '../../energy/policy/index.ts';
import { homeOf, reservePercentOf } from '../../energy/site/home.ts';
import { leastTrainW } from '../../energy/site/site-file.ts';
import type { Site } from '../../energy/site/site-schema.ts';
import type { EvccState } from '../../energy/sources/evcc.ts';
import type { SiteView } from './governor.ts';

/** What is known of a site from elsewhere than its meters. */
export interface Surroundings {
  /** What the panels should give now, W, by sun and weather: used where no meter says it. */
  pvW(nowMs: number): number | undefined;
  forecast(nowMs: number): SiteForecast;
  intensityGPerKWh(nowMs: number): number | undefined;
  pricePerKWh(nowMs: number): number | undefined;
  /** What evcc says; undefined without evcc, `heardMs` when it was last heard. */
  evcc?(nowMs: number): { readonly state: EvccState | undefined; readonly heardMs: number };
  /** Since when nobody has used this machine. */
  idleSinceMs(): number | undefined;
  signals(nowMs: number, machine: SiteNow['machine']): readonly Signal[];
  override(nowMs: number): Override | null;
  dataThisMonthBytes(): number;
}

/** Quantities without which the sun modes are blind, where a meter is there for them. */
const NEEDED: readonly Quantity[] = ['grid-power', 'pv-power', 'battery-power', 'battery-charge'];

/** An inverter holds its export limit about so closely, W. */
const AT_LIMIT_W = 50;

/** A real site: what its meters measure, and what sun, weather and an average household make of the rest. */
export class MeasuredSite implements SiteView {
  readonly #site: Site;
  readonly #meters: MeterSet;
  readonly #around: Surroundings;
  readonly #home: Home;
  readonly #silentSinceMs = new Map<string, number>();
  /** As the mains meter last said: one that falls silent in an outage ends no outage. */
  #isGridConnected = true;

  constructor(site: Site, meters: MeterSet, around: Surroundings) {
    this.#site = site;
    this.#meters = meters;
    this.#around = around;
    this.#home = homeOf(site);
  }

  now(nowMs: number, computeW: number): SiteNow {
    const { machine, household } = this.#site;
    const measured = (quantity: Quantity): number | undefined => this.#value(quantity);
    const bounds = { idleW: machine.idleW, leastW: leastTrainW(machine), mostW: machine.trainW };
    const ownW = measured('compute-power') ?? computeW;
    const hasGridMeter = this.#has('grid-power');
    const totalW = measured('load-power');
    const mains = measured('mains');
    if (mains !== undefined) this.#isGridConnected = mains !== 0;
    const evcc = this.#around.evcc?.(nowMs);
    const batteryPercent = measured('battery-charge');
    const pvW = measured('pv-power') ?? (this.#has('pv-power') ? undefined : this.#around.pvW(nowMs));
    return {
      power: {
        pvW,
        gridW: measured('grid-power'),
        batteryW: measured('battery-power'),
        // The device counts this machine as part of the home.
        loadW: totalW === undefined ? (hasGridMeter ? undefined : household.averageW) : Math.max(0, totalW - ownW),
        computeW: ownW,
        curtailedW: this.#curtailedW(nowMs, batteryPercent),
      },
      batteryPercent,
      // In an outage all of it is the home's.
      reservePercent: this.#isGridConnected ? reservePercentOf(this.#home) : 100,
      batteryLastsHours: this.#batteryLastsHours(batteryPercent),
      isGridConnected: this.#isGridConnected,
      machine: bounds,
      temperatureC: measured('temperature'),
      idleSinceMs: this.#around.idleSinceMs(),
      intensityGPerKWh: this.#around.intensityGPerKWh(nowMs),
      pricePerKWh: this.#around.pricePerKWh(nowMs),
      vehicles: this.#site.evcc?.vehiclesFirst === true ? (evcc?.state?.vehicles ?? []) : undefined,
      isCheapNow: this.#site.evcc?.cheapHours === true && evcc?.state?.isCheap === true,
      dataThisMonthBytes: this.#around.dataThisMonthBytes(),
      signals: this.#around.signals(nowMs, bounds),
      override: this.#around.override(nowMs),
      silentMeter:
        this.#silentMeter(nowMs) ??
        (evcc !== undefined && evcc.state === undefined ? { name: 'evcc', sinceMs: evcc.heardMs } : undefined),
    };
  }

  forecast(nowMs: number): SiteForecast {
    return this.#around.forecast(nowMs);
  }

  /**
   * What the inverter throws away, W. No device measures it: it is what the panels should give beyond what they do, while export is at its limit, or in an outage
   * with a full battery. Where training takes it and more, export leaves its limit, and this is 0.
   */
  #curtailedW(nowMs: number, batteryPercent: number | undefined): number | undefined {
    const [measuredW, gridW] = [this.#value('pv-power'), this.#value('grid-power')];
    const expectedW = this.#around.pvW(nowMs);
    if (measuredW === undefined || expectedW === undefined) return undefined;
    const { exportLimitW } = this.#home;
    const isAtLimit = this.#isGridConnected
      ? gridW !== undefined && gridW < 0 && gridW <= AT_LIMIT_W - exportLimitW
      : batteryPercent === undefined || batteryPercent >= FULL_PERCENT;
    return isAtLimit ? Math.max(0, expectedW - measuredW) : 0;
  }

  #batteryLastsHours(batteryPercent: number | undefined): number | undefined {
    const { battery } = this.#home;
    if (batteryPercent === undefined || battery.capacityWh === 0) return undefined;
    return hoursLeft(battery, (batteryPercent / 100) * battery.capacityWh, 0, this.#site.household.averageW);
  }

  #value(quantity: Quantity): number | undefined {
    return this.#meters.value(quantity)?.value;
  }

  #has(quantity: Quantity): boolean {
    return this.#meters.held().some((held) => held.quantity === quantity);
  }

  /** The first meter of what is needed that is not fresh, and since when. */
  #silentMeter(nowMs: number): SiteNow['silentMeter'] {
    let first: SiteNow['silentMeter'];
    for (const { meter, quantity, state } of this.#meters.held()) {
      if (!NEEDED.includes(quantity)) continue;
      const key = `${meter} ${quantity}`;
      if (state === 'fresh') this.#silentSinceMs.delete(key);
      else {
        const sinceMs = this.#silentSinceMs.get(key) ?? nowMs;
        this.#silentSinceMs.set(key, sinceMs);
        first ??= { name: meter, sinceMs };
      }
    }
    return first;
  }
}
