/** One line of `heliotrope doctor`. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** What to do, where something is missing. */
  readonly fix?: string;
}
