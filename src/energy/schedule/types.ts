import type { Band } from '../series.ts';

/** An island as a plan sees it. All series have the grid of time of `availableW`. */
export interface PlanIsland {
  readonly name: string;
  /** Power that its rules leave to training. NaN: unknown, planned as nothing available. */
  readonly availableW: Band;
  readonly tokensPerWh: number;
  /** Below it the machine does not train: a step with less available is not used. */
  readonly minW: number;
  readonly maxW: number;
  /** g/kWh of what it would draw, per step. A step without a known figure is not used when carbon is the objective. */
  readonly intensityGPerKWh: Float64Array;
  /** Currency per kWh, per step; the same currency for every island. */
  readonly pricePerKWh: Float64Array;
  /** Steps in which the owner wants quiet: true is never used. */
  readonly quiet?: readonly boolean[];
}

export interface PlanJob {
  readonly tokens: number;
  readonly deadlineMs: number;
  readonly objective: 'carbon' | 'cost';
  /** Least number of islands that take part; 1 where left out. */
  readonly minIslands?: number;
  /** Most islands that take part; all where left out. */
  readonly maxIslands?: number;
  /** What an island that takes part trains at least; 0 where left out. */
  readonly minTokensEach?: number;
  /** Which edge of the forecast is planned with; `mid` where left out. */
  readonly trust?: 'low' | 'mid' | 'high';
}

/** The rule that makes a plan impossible. */
export type Conflict = 'deadline' | 'energy' | 'quiet-hours' | 'minimum-islands' | 'maximum-islands' | 'solver';

export interface Gap {
  readonly island: string;
  /** Steps before the deadline without a known forecast, intensity or price; nothing is planned in them. */
  readonly steps: number;
}

export interface Planned {
  readonly kind: 'plan';
  /** Wh per step for each island, in the order given; zeros for one that does not take part. */
  readonly energyWh: readonly Float64Array[];
  readonly takesPart: readonly boolean[];
  readonly tokens: number;
  /** g, or currency. */
  readonly total: number;
  readonly gaps: readonly Gap[];
}

/** A plan never throws: what has none says why, and islands then live by their own rules alone. */
export type PlanResult =
  | Planned
  | {
      readonly kind: 'infeasible';
      readonly rule: Conflict;
      readonly message: string;
      readonly fallback: 'rule-control';
      readonly gaps: readonly Gap[];
    }
  | { readonly kind: 'refused'; readonly message: string; readonly fallback: 'rule-control' };

/** `highs`' `solve` on a problem in CPLEX's LP format; injected, so that this room stays pure. */
export type LpSolver = (
  lp: string,
  options?: { readonly mip_rel_gap?: number; readonly time_limit?: number },
) => { readonly Status: string; readonly Columns: Readonly<Record<string, { readonly Primal?: number } | undefined>> };
