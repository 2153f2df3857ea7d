import type { MeterSet, Quantity } from '../../energy/meters/index.ts';
import type { Override, Signal, SiteForecast, SiteNow } from '../../energy/policy/index.ts';
import { homeOf, reservePercentOf } from '../../energy/site/home.ts';
import { leastTrainW } from '../../energy/site/site-file.ts';
import type { Site } from '../../energy/site/site-schema.ts';
import type { SiteView } from './governor.ts';

/** What is known of a site from elsewhere than its meters. */
export interface Surroundings {
  /** What the panels should give now, W, by sun and weather: used where no meter says it. */
  pvW(nowMs: number): number | undefined;
  forecast(nowMs: number): SiteForecast;
  intensityGPerKWh(nowMs: number): number | undefined;
  pricePerKWh(nowMs: number): number | undefined;
  /** Since when nobody has used this machine. */
  idleSinceMs(): number | undefined;
  signals(nowMs: number): readonly Signal[];
  override(nowMs: number): Override | null;
  dataThisMonthBytes(): number;
}

/** Quantities without which the sun modes are blind, where a meter is there for them. */
const NEEDED: readonly Quantity[] = ['grid-power', 'pv-power', 'battery-power', 'battery-charge'];

/** A real site: what its meters measure, and what sun, weather and an average household make of the rest. */
export class MeasuredSite implements SiteView {
  readonly #site: Site;
  readonly #meters: MeterSet;
  readonly #around: Surroundings;
  readonly #reservePercent: number;
  readonly #silentSinceMs = new Map<string, number>();

  constructor(site: Site, meters: MeterSet, around: Surroundings) {
    this.#site = site;
    this.#meters = meters;
    this.#around = around;
    this.#reservePercent = reservePercentOf(homeOf(site));
  }

  now(nowMs: number, computeW: number): SiteNow {
    const { machine, household } = this.#site;
    const measured = (quantity: Quantity): number | undefined => this.#meters.value(quantity)?.value;
    const ownW = measured('compute-power') ?? computeW;
    const hasGridMeter = this.#has('grid-power');
    const totalW = measured('load-power');
    const mains = measured('mains');
    return {
      power: {
        pvW: measured('pv-power') ?? (this.#has('pv-power') ? undefined : this.#around.pvW(nowMs)),
        gridW: measured('grid-power'),
        batteryW: measured('battery-power'),
        // The device counts this machine as part of the home.
        loadW: totalW === undefined ? (hasGridMeter ? undefined : household.averageW) : Math.max(0, totalW - ownW),
        computeW: ownW,
      },
      batteryPercent: measured('battery-charge'),
      reservePercent: this.#reservePercent,
      isGridConnected: mains !== 0,
      machine: { idleW: machine.idleW, leastW: leastTrainW(machine), mostW: machine.trainW },
      temperatureC: measured('temperature'),
      idleSinceMs: this.#around.idleSinceMs(),
      intensityGPerKWh: this.#around.intensityGPerKWh(nowMs),
      pricePerKWh: this.#around.pricePerKWh(nowMs),
      dataThisMonthBytes: this.#around.dataThisMonthBytes(),
      signals: this.#around.signals(nowMs),
      override: this.#around.override(nowMs),
      silentMeter: this.#silentMeter(nowMs),
    };
  }

  forecast(nowMs: number): SiteForecast {
    return this.#around.forecast(nowMs);
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
