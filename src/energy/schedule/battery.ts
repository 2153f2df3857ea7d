import type { Home } from '../home/index.ts';
import type { LpSolver } from './types.ts';

/** What a home expects, step by step; all series have one length. */
export interface HomeOutlook {
  readonly hours: number;
  readonly pvW: Float64Array;
  /** Of the household, without the machine. */
  readonly loadW: Float64Array;
  /** Of a kWh from the grid: g, or currency. */
  readonly importPerKWh: Float64Array;
  /** What a kWh that goes to the grid is worth, in the same unit; nothing where left out. */
  readonly exportPerKWh?: Float64Array;
}

export interface BatteryJob {
  /** What the battery holds now, and at least at the end: a plan that leaves it empty has only borrowed. */
  readonly storedWh: number;
  readonly endStoredWh: number;
  /** What the machine is to use in all, and the most that it draws. */
  readonly computeWh: number;
  readonly computeW: number;
  /** Whether the inverter may charge the battery from the grid; no where left out. */
  readonly mayChargeFromGrid?: boolean;
}

export type BatteryPlan =
  | {
      readonly kind: 'plan';
      /** Wh of each step. */
      readonly computeWh: Float64Array;
      readonly chargeWh: Float64Array;
      readonly dischargeWh: Float64Array;
      readonly importWh: Float64Array;
      readonly exportWh: Float64Array;
      /** What the battery holds after each step. */
      readonly storedWh: Float64Array;
      /** Of the whole home, g or currency. What training adds is this less the total of a plan with `computeWh: 0`. */
      readonly total: number;
    }
  | { readonly kind: 'infeasible'; readonly rule: 'energy' | 'solver'; readonly message: string }
  | { readonly kind: 'refused'; readonly message: string };

/**
 * When a home trains, charges and discharges, for least carbon or cost: a linear program (as EMHASS has it), solved by HiGHS. The household and the owner's
 * reserve come first; the battery gives nothing to the grid. It knows what a rule of the moment does not: that sun which trains at noon may be missing in the
 * evening's battery.
 */
export function planBattery(home: Home, outlook: HomeOutlook, job: BatteryJob, solve: LpSolver): BatteryPlan {
  const bad = badInput(home, outlook, job);
  if (bad !== undefined) return { kind: 'refused', message: bad };
  const { battery, reserveWh, importLimitW, exportLimitW } = home;
  const { hours, pvW, loadW, importPerKWh, exportPerKWh } = outlook;
  const steps = pvW.length;
  const most = (w: number): string => (w === Number.POSITIVE_INFINITY ? 'inf' : `${w * hours}`);
  const price = (perKWh: number): string => `${perKWh < 0 ? '-' : '+'} ${Math.abs(perKWh) / 1000}`;
  // What is stored already below the reserve may stay there, and is not taken from.
  const floorWh = Math.min(reserveWh, job.storedWh);
  const objective: string[] = [];
  const rows: string[] = [];
  const bounds: string[] = [];
  for (let t = 0; t < steps; t++) {
    objective.push(`${price(importPerKWh[t]!)} i${t}`);
    if (exportPerKWh !== undefined) objective.push(`${price(-exportPerKWh[t]!)} e${t}`);
    // Compute k, charge c, discharge d, import i, export e, curtailed w, stored s.
    rows.push(
      `flow${t}: i${t} + d${t} - k${t} - c${t} - e${t} - w${t} = ${(loadW[t]! - pvW[t]!) * hours}`,
      `sun${t}: e${t} + w${t}${job.mayChargeFromGrid === true ? '' : ` + c${t}`} <= ${pvW[t]! * hours}`,
      t === 0
        ? `held0: s0 - ${battery.chargeEfficiency} c0 + ${1 / battery.dischargeEfficiency} d0 = ${job.storedWh}`
        : `held${t}: s${t} - s${t - 1} - ${battery.chargeEfficiency} c${t} + ${1 / battery.dischargeEfficiency} d${t} = 0`,
    );
    bounds.push(
      `0 <= k${t} <= ${job.computeW * hours}`,
      `0 <= c${t} <= ${battery.maxChargeW * hours}`,
      `0 <= d${t} <= ${battery.maxDischargeW * hours}`,
      `0 <= i${t} <= ${most(importLimitW)}`,
      `0 <= e${t} <= ${most(exportLimitW)}`,
      `${t === steps - 1 ? Math.max(floorWh, job.endStoredWh) : floorWh} <= s${t} <= ${battery.capacityWh}`,
    );
  }
  const all = Array.from({ length: steps }, (_, t) => `+ k${t}`).join('\n ');
  const lp = [
    'Minimize',
    `total: ${objective.join('\n ')}`,
    'Subject To',
    `job: ${all} = ${job.computeWh}`,
    ...rows,
    'Bounds',
    ...bounds,
    'End',
  ].join('\n');
  const { Status, Columns } = solve(lp, { time_limit: 30 });
  if (Status === 'Infeasible')
    return {
      kind: 'infeasible',
      rule: 'energy',
      message: `The home cannot give ${Math.round(job.computeWh)} Wh in ${steps * hours} h and end with ${Math.round(job.endStoredWh)} Wh in the battery. Ask for less, or give it longer.`,
    };
  if (Status !== 'Optimal')
    return { kind: 'infeasible', rule: 'solver', message: `The solver stopped with "${Status}" and no plan.` };
  const series = (name: string): Float64Array =>
    Float64Array.from({ length: steps }, (_, t) => Math.max(0, Columns[`${name}${t}`]?.Primal ?? 0));
  const [importWh, exportWh] = [series('i'), series('e')];
  let total = 0;
  for (let t = 0; t < steps; t++)
    total += (importWh[t]! * importPerKWh[t]! - exportWh[t]! * (exportPerKWh?.[t] ?? 0)) / 1000;
  return {
    kind: 'plan',
    computeWh: series('k'),
    chargeWh: series('c'),
    dischargeWh: series('d'),
    importWh,
    exportWh,
    storedWh: series('s'),
    total,
  };
}

function badInput({ battery, reserveWh }: Home, outlook: HomeOutlook, job: BatteryJob): string | undefined {
  const { hours, pvW, loadW, importPerKWh, exportPerKWh } = outlook;
  if (!(hours > 0 && hours <= 24)) return `Steps of ${hours} h; give above 0 and up to 24.`;
  if (pvW.length === 0) return 'The outlook has no step; give at least one.';
  for (const [what, series, least] of [
    ['solar power', pvW, 0],
    ['load', loadW, 0],
    ['price of import', importPerKWh, -1e6],
    ['price of export', exportPerKWh, -1e6],
  ] as const) {
    if (series === undefined) continue;
    if (series.length !== pvW.length)
      return `${what} has ${series.length} steps, solar power ${pvW.length}; give as many.`;
    const at = series.findIndex((value) => !(value >= least && value <= 1e7));
    if (at >= 0) return `${what} is ${series[at]} in step ${at}; a plan needs a number there.`;
  }
  for (const [what, value, most] of [
    ['storedWh', job.storedWh, battery.capacityWh],
    ['endStoredWh', job.endStoredWh, battery.capacityWh],
    ['computeWh', job.computeWh, 1e9],
    ['computeW', job.computeW, 1e7],
    ['reserveWh', reserveWh, battery.capacityWh],
  ] as const)
    if (!(value >= 0 && value <= most)) return `${what} is ${value}; give 0 to ${most}.`;
  return undefined;
}
