import {
  type About,
  type AverageIntensity,
  accountAfter,
  type EnergyInterval,
  type Flows,
  flowsOf,
  gridStep,
  type HomeAccount,
  INTERVAL_MS,
  IntervalRecorder,
  type MarginalIntensity,
  type MeasuredHome,
  type MeteredStep,
  openAccount,
  sourcesOf,
  type Tariff,
  withMeter,
} from '../../energy/accounting/index.ts';
import type { Origin } from '../../energy/figure.ts';
import { emptyFlows, type Home } from '../../energy/home/index.ts';
import type { Quantity } from '../../energy/meters/index.ts';
import type { SiteNow } from '../../energy/policy/index.ts';
import { homeOf } from '../../energy/site/home.ts';
import type { Site } from '../../energy/site/site-schema.ts';
import type { GovernedSpan } from './governor.ts';

/** What the books need beside the governor's spans. */
export interface Known {
  /** Of a fresh meter; undefined where none measures it. */
  measured(quantity: Quantity): Origin | undefined;
  average(atMs: number): AverageIntensity;
  marginal(atMs: number): MarginalIntensity | undefined;
  tariff(atMs: number): Tariff | undefined;
  /** How the sun is known where no meter says it. */
  sun(): Origin;
}

/** Of a machine that slept, or a clock that was put forward, nothing is known. */
const LONGEST_MS = 60_000;

/** The energy books of a real site: what its machine drew while it trained, from where, and what that emitted. */
export class SiteBooks {
  readonly #site: Site;
  readonly #known: Known;
  readonly #home: Home;
  readonly #emit: (record: EnergyInterval) => void;
  #account: HomeAccount | undefined;
  #recorder: IntervalRecorder | undefined;
  #quarter = Number.NaN;
  /** Trained since the last stretch of time. */
  #tokens = 0;

  constructor(site: Site, known: Known, emit: (record: EnergyInterval) => void) {
    this.#site = site;
    this.#known = known;
    this.#home = homeOf(site);
    this.#emit = emit;
  }

  trained(tokens: number): void {
    this.#tokens += tokens;
  }

  add({ fromMs, toMs, site, decision }: GovernedSpan): void {
    if (toMs === fromMs) return;
    if (!(toMs > fromMs && toMs - fromMs <= LONGEST_MS)) return this.flush();
    const average = this.#known.average(fromMs);
    this.#anchor(fromMs, site, average);
    const account = this.#account!;
    // A machine that does not train is its owner's.
    const computeW = decision.powerW > 0 ? site.power.computeW : 0;
    const { flows, splitOrigin, isKnown } = this.#flowsOf(account, site, computeW, (toMs - fromMs) / 3_600_000);
    const marginal = this.#known.marginal(fromMs);
    const tariff = this.#known.tariff(fromMs);
    const about: Omit<About, 'startMs' | 'endMs'> = {
      part: 'island',
      name: this.#site.name,
      tokens: this.#tokens,
      energyOrigin: this.#known.measured('compute-power') ?? BY_RATING,
      splitOrigin,
      average,
      ...(marginal === undefined ? {} : { marginal }),
      ...(tariff === undefined ? {} : { tariff }),
    };
    this.#recorder!.add(fromMs, toMs, flows, about);
    this.#tokens = 0;
    if (isKnown) this.#account = accountAfter(flows, account.stored);
  }

  /** The record under way, as it is so far. */
  get open(): EnergyInterval | undefined {
    return this.#recorder?.open;
  }

  /** The record under way ends. */
  flush(): void {
    this.#recorder?.flush();
  }

  /** Once a quarter the battery is what its meter says. */
  #anchor(atMs: number, { batteryPercent }: SiteNow, average: AverageIntensity): void {
    const { battery } = this.#home;
    const quarter = Math.floor(atMs / INTERVAL_MS);
    const energyWh = batteryPercent === undefined ? undefined : (batteryPercent / 100) * battery.capacityWh;
    if (this.#account === undefined) {
      this.#account = openAccount(energyWh ?? this.#home.reserveWh, average);
      this.#recorder = new IntervalRecorder(battery, this.#account.stored, this.#emit);
    } else if (quarter !== this.#quarter) {
      this.#recorder!.flush();
      const stored = this.#recorder!.stored;
      this.#account = withMeter({ ...this.#account, stored }, battery, energyWh, average);
      this.#recorder = new IntervalRecorder(battery, this.#account.stored, this.#emit);
    }
    this.#quarter = quarter;
  }

  #flowsOf(
    account: HomeAccount,
    site: SiteNow,
    computeW: number,
    hours: number,
  ): { readonly flows: Flows; readonly splitOrigin: Origin; readonly isKnown: boolean } {
    const { pvW, loadW } = site.power;
    const { mode } = this.#site.policy;
    const step: MeteredStep['step'] = {
      ...gridStep(computeW),
      hours,
      pvW: Math.max(0, pvW ?? 0),
      loadW: loadW ?? 0,
      computeMayUse: { pv: true, battery: mode === 'sun-and-battery' || mode === 'always', grid: true },
      gridConnected: site.isGridConnected,
    };
    const measured = this.#measured(site, hours);
    if (measured !== undefined)
      return { flows: flowsOf(this.#home, account, { step, measured }), splitOrigin: BY_METERS, isKnown: true };
    if (pvW !== undefined && loadW !== undefined)
      return {
        flows: flowsOf(this.#home, account, { step }),
        splitOrigin: {
          quality: 'assumed',
          method: `${(this.#known.measured('pv-power') ?? this.#known.sun()).method}, household on average`,
        },
        isKnown: true,
      };
    return { flows: unknownFlows(computeW * hours), splitOrigin: UNKNOWN, isKnown: false };
  }

  /** All of a home's wires, or nothing: a part of them divides nothing. */
  #measured({ power: { pvW, gridW, batteryW } }: SiteNow, hours: number): MeasuredHome | undefined {
    const has = (quantity: Quantity): boolean => this.#known.measured(quantity) !== undefined;
    const { solar, battery } = this.#site;
    if (gridW === undefined || !has('grid-power')) return undefined;
    if (solar !== undefined && (pvW === undefined || !has('pv-power'))) return undefined;
    if (battery !== undefined && (batteryW === undefined || !has('battery-power'))) return undefined;
    const wh = (w: number | undefined): number => Math.max(0, w ?? 0) * hours;
    return {
      pvWh: wh(pvW),
      importWh: wh(gridW),
      exportWh: wh(-gridW),
      chargeWh: wh(-(batteryW ?? 0)),
      dischargeWh: wh(batteryW),
    };
  }
}

const BY_RATING: Origin = { quality: 'assumed', method: 'power of the machine in site.yaml × share of time' };
const BY_METERS: Origin = { quality: 'measured', method: 'meters of grid, panels and battery' };
const UNKNOWN: Origin = { quality: 'assumed', method: 'neither sun nor household known: as if from the grid' };

/** Drawn, and nobody knows from where: `unallocated`. The battery is left as it is. */
function unknownFlows(wh: number): Flows {
  const actual = { ...emptyFlows(), unservedComputeWh: wh };
  return { actual, shadow: emptyFlows(), sources: sourcesOf(actual) };
}
