/** A value that both databases store alike. Whole numbers stay below 2⁵³. */
export type Value = string | number | null;
export type Row = Readonly<Record<string, unknown>>;

/** The SQL interface that a run's store needs; parameters are $1, $2 … */
export interface Transaction {
  query(sql: string, values?: readonly Value[]): Promise<readonly Row[]>;
}

export interface Database {
  /** Where it is, for messages; without any password. */
  readonly place: string;
  /**
   * Carries out `work` whole or not at all; when it resolves, it outlives a power cut.
   *
   * @throws HelioError HELIO-3002 to 3004 when it cannot be written, HELIO-3005 when another process has it
   */
  transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** @throws HelioError when it cannot be used right now; it answers within a few seconds */
  ping(): Promise<void>;
  close(): Promise<void>;
}
