import type { HelioError } from '../../errors.ts';
import type { Origin } from '../figure.ts';

/**
 * What meters can tell, and the unit that each has here, whatever the device's own unit is.
 *
 * Signs: grid-power + is import, battery-power + is discharge. pv-power, load-power and compute-power are never negative.
 */
export const QUANTITY_UNITS = {
  'pv-power': 'W',
  'grid-power': 'W',
  'battery-power': 'W',
  /** State of charge of the home's battery. */
  'battery-charge': '%',
  /** What the home consumes, as the device tells it: the island's machine is part of that, and who balances takes it off. */
  'load-power': 'W',
  /** The island's machine. */
  'compute-power': 'W',
  'pv-energy': 'Wh',
  'import-energy': 'Wh',
  'export-energy': 'Wh',
  'compute-energy': 'Wh',
  /** Charge of what the machine itself falls back on: its own battery, or its UPS. */
  'backup-charge': '%',
  /** 1 while the mains are there, 0 in an outage. */
  mains: 'on/off',
  temperature: 'C',
} as const;

export type Quantity = keyof typeof QUANTITY_UNITS;
export type Unit = (typeof QUANTITY_UNITS)[Quantity];
export const QUANTITIES = Object.keys(QUANTITY_UNITS) as [Quantity, ...Quantity[]];

/** Quantities that have a direction: the only ones whose sign can be turned. */
export const SIGNED: ReadonlySet<Quantity> = new Set<Quantity>(['grid-power', 'battery-power']);

/** Counters: they only ever go up. */
export const COUNTERS: ReadonlySet<Quantity> = new Set<Quantity>([
  'pv-energy',
  'import-energy',
  'export-energy',
  'compute-energy',
]);

export interface Reading {
  readonly quantity: Quantity;
  readonly value: number;
  readonly unit: Unit;
  /** Unix time, ms. */
  readonly atMs: number;
  readonly origin: Origin;
}

/**
 * One quantity of one poll: what the device said, or why there is nothing. Nothing is never 0. `ageMs`: how old it was already, where the device
 * publishes when it pleases.
 */
export type Outcome =
  | { readonly ok: true; readonly quantity: Quantity; readonly reading: Reading; readonly ageMs?: number }
  | { readonly ok: false; readonly quantity: Quantity; readonly problem: HelioError };

/** Something that can be asked what it measures. */
export interface Meter {
  readonly name: string;
  readonly quantities: readonly Quantity[];
  /** What was read longer ago counts as unknown. */
  readonly staleAfterMs: number;
  /** Never rejects for what the device does: a failure is an outcome of each quantity that it concerns. */
  read(): Promise<readonly Outcome[]>;
  close(): Promise<void>;
}

/** Units that devices use, and how each becomes one of ours. */
const CONVERSIONS = {
  W: { unit: 'W', factor: 1, offset: 0 },
  kW: { unit: 'W', factor: 1_000, offset: 0 },
  MW: { unit: 'W', factor: 1e6, offset: 0 },
  mW: { unit: 'W', factor: 1e-3, offset: 0 },
  Wh: { unit: 'Wh', factor: 1, offset: 0 },
  kWh: { unit: 'Wh', factor: 1_000, offset: 0 },
  MWh: { unit: 'Wh', factor: 1e6, offset: 0 },
  '%': { unit: '%', factor: 1, offset: 0 },
  C: { unit: 'C', factor: 1, offset: 0 },
  F: { unit: 'C', factor: 5 / 9, offset: -32 },
  'on/off': { unit: 'on/off', factor: 1, offset: 0 },
} as const;

export type DeviceUnit = keyof typeof CONVERSIONS;
export const DEVICE_UNITS = Object.keys(CONVERSIONS) as [DeviceUnit, ...DeviceUnit[]];

/** @returns undefined for a unit that nobody knows here, such as `VA` */
export const deviceUnit = (text: string): DeviceUnit | undefined => {
  const bare = text.trim().replace(/^°/, '');
  return DEVICE_UNITS.find((unit) => unit === bare);
};

export const unitFits = (quantity: Quantity, unit: DeviceUnit): boolean =>
  CONVERSIONS[unit].unit === QUANTITY_UNITS[quantity];

/** From the device's unit to ours. */
export const converted = (value: number, unit: DeviceUnit): number =>
  (value + CONVERSIONS[unit].offset) * CONVERSIONS[unit].factor;
