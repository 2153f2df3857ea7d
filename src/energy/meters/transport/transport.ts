import type { DeviceUnit, Quantity } from '../reading.ts';

/** What a term is read for. */
export interface Wanted {
  readonly quantity: Quantity;
  /** Of the device; undefined where it says so itself: then the number comes in the quantity's own unit. */
  readonly unit?: DeviceUnit | undefined;
  /** Called where a value was published earlier: how long ago. */
  readonly aged?: (ageMs: number) => void;
}

/** One term of one poll: a number, or null where the device says that it has none. It throws where it failed. */
export type ReadWanted<T> = (term: T, wanted: Wanted) => Promise<number | null>;

/** A connection to one device. */
export interface Transport<T> {
  /**
   * Begins a poll: what is asked for twice within it is fetched once, so that its values are of one moment.
   *
   * @throws HelioError HELIO-6101, 6104 or 6105 when the device cannot be asked at all
   */
  poll(): Promise<ReadWanted<T>>;
  close(): Promise<void>;
}
