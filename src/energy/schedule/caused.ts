import { balanceInto, emptyFlows, type FlowsBuffer, type Home, importWh } from '../home/index.ts';

/**
 * What an hour of training would cause: the grams of the import that a home would not have without it. Sun that is left over costs nothing only where
 * the battery gets full all the same; what is taken from a battery costs the import of the evening on which it is missed, and nothing where
 * tomorrow's sun would have been thrown away. It is the shadow price of energy in the home, found by running the home ahead with and without.
 */

/** A home as it is expected from now on, by equal steps: mean powers, W, and the grid's intensity. */
export interface Outlook {
  readonly hours: number;
  readonly pvW: ArrayLike<number>;
  readonly loadW: ArrayLike<number>;
  readonly intensityGPerKWh: ArrayLike<number>;
}

/** Where both batteries differ by less, the home goes on as it would have. */
const SAME_WH = 0.01;

/** One room for many questions about one home: nothing is allocated to answer them. */
export class HomeAhead {
  readonly #home: Home;
  readonly #with: FlowsBuffer = emptyFlows();
  readonly #without: FlowsBuffer = emptyFlows();
  readonly #step = {
    hours: 1,
    pvW: 0.5,
    loadW: 0.5,
    computeW: 0.5,
    computeMayUse: { pv: true, battery: true, grid: true },
    pvOrder: 'compute-first' as const,
    gridChargeW: 0,
    gridConnected: true,
  };

  /** @param home one that `checkHome` has checked */
  constructor(home: Home) {
    this.#home = home;
  }

  /**
   * gCO2e for each kWh of training at `computeW` in step `at` alone, by average intensity. What the battery still lacks at the end of the outlook
   * counts at the outlook's mean intensity.
   *
   * @param heldWh what the battery holds now
   * @throws HelioError HELIO-1010 for a power of the outlook that cannot be
   */
  causedGPerKWh(
    { hours, pvW, loadW, intensityGPerKWh }: Outlook,
    heldWh: number,
    at: number,
    computeW: number,
  ): number {
    const step = this.#step;
    const [actual, shadow] = [this.#with, this.#without];
    shadow.energyWh = heldWh;
    let grams = 0;
    for (let i = 0; i < pvW.length; i++) {
      if (i === at) actual.energyWh = shadow.energyWh;
      step.hours = hours;
      step.pvW = pvW[i]!;
      step.loadW = loadW[i]!;
      step.computeW = 0;
      balanceInto(this.#home, step, shadow);
      if (i < at) continue;
      step.computeW = i === at ? computeW : 0;
      balanceInto(this.#home, step, actual);
      grams += ((importWh(actual) - importWh(shadow)) / 1000) * intensityGPerKWh[i]!;
      if (shadow.energyWh - actual.energyWh < SAME_WH) return (grams * 1000) / (computeW * hours);
    }
    let sum = 0;
    for (let i = 0; i < pvW.length; i++) sum += intensityGPerKWh[i]!;
    const owedWh = (shadow.energyWh - actual.energyWh) * this.#home.battery.dischargeEfficiency;
    return ((grams + ((owedWh / 1000) * sum) / pvW.length) * 1000) / (computeW * hours);
  }
}
