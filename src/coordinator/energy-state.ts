import { NO_TOTALS, sumOfTotals } from '../energy/accounting/index.ts';
import type { EnergyTotals } from '../protocol/energy.ts';

/** What a run knows of the energy of an island that keeps books. */
export interface IslandEnergy {
  /** It counts in another when its files were lost. They are added up; the newest stands last. */
  readonly accounts: readonly EnergyAccount[];
  /** Why its newest claim is not in the sums. */
  readonly refused?: Refusal;
}

export interface EnergyAccount {
  readonly account: string;
  readonly totals: EnergyTotals;
}

/** What an island claims to have used for the run so far. */
export interface EnergyClaim extends EnergyAccount {
  /** What runs it. */
  readonly host: 'process' | 'tab' | 'cluster';
  /** The coordinator's time of day when it came, in seconds since 1970. */
  readonly atS: number;
}

export interface Refusal {
  readonly rule: 'accounts' | 'backwards' | 'power' | 'time' | 'tokens' | 'parts' | 'emissions';
  readonly reason: string;
}

/** All accounts of an island. */
export const islandTotals = ({ accounts }: IslandEnergy): EnergyTotals =>
  accounts.length === 0 ? NO_TOTALS : accounts.map(({ totals }) => totals).reduce(sumOfTotals);
