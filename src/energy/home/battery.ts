import { HelioError } from '../../errors.ts';
import { checkNumber, WATTS } from './check.ts';

/** A home battery as its plate says it; efficiencies are between the home's wires (AC) and what is stored. */
export interface Battery {
  /** What it can store and give again; 0 is a home without one. */
  readonly capacityWh: number;
  readonly maxChargeW: number;
  readonly maxDischargeW: number;
  /** Share of what goes in that is stored, above 0 up to 1. */
  readonly chargeEfficiency: number;
  /** Share of what is taken from the store that comes out, above 0 up to 1. */
  readonly dischargeEfficiency: number;
}

export interface BatteryState {
  /** Stored, before the loss of discharging. */
  readonly energyWh: number;
}

export const NO_BATTERY: Battery = {
  capacityWh: 0,
  maxChargeW: 0,
  maxDischargeW: 0,
  chargeEfficiency: 1,
  dischargeEfficiency: 1,
};

const CAPACITY = {
  min: 0,
  max: 1e9,
  unit: 'Wh',
  remedy: 'Give the usable capacity in Wh: 10000 for 10 kWh, 0 for none.',
};
const EFFICIENCY = { min: 0.01, max: 1, unit: '(a share)', remedy: 'Give a share: 0.95 where 5 % are lost.' };

/**
 * @param roundTripEfficiency share of what is charged that comes back; the loss is shared between both ways, as data sheets do not tell it apart
 * @throws HelioError HELIO-1010
 */
export function batteryOf(
  capacityWh: number,
  chargeW: number,
  dischargeW: number,
  roundTripEfficiency: number,
): Battery {
  checkNumber('roundTripEfficiency', roundTripEfficiency, EFFICIENCY);
  const oneWay = Math.sqrt(roundTripEfficiency);
  const battery = {
    capacityWh,
    maxChargeW: chargeW,
    maxDischargeW: dischargeW,
    chargeEfficiency: oneWay,
    dischargeEfficiency: oneWay,
  };
  checkBattery(battery);
  return battery;
}

/** @throws HelioError HELIO-1010 naming the first figure that no battery has */
export function checkBattery(battery: Battery): void {
  checkNumber('capacityWh', battery.capacityWh, CAPACITY);
  checkNumber('maxChargeW', battery.maxChargeW, WATTS);
  checkNumber('maxDischargeW', battery.maxDischargeW, WATTS);
  checkNumber('chargeEfficiency', battery.chargeEfficiency, EFFICIENCY);
  checkNumber('dischargeEfficiency', battery.dischargeEfficiency, EFFICIENCY);
}

/** What a clean meter may say above full, as rounding does. */
const SLACK_WH = 1e-6;

/** @throws HelioError HELIO-1010 unless the battery can hold that much */
export function checkStored({ capacityWh }: Battery, energyWh: number): void {
  if (energyWh >= -SLACK_WH && energyWh <= capacityWh + SLACK_WH) return;
  throw new HelioError(
    'HELIO-1010',
    `The battery holds ${energyWh} Wh, which is not from 0 to its capacity of ${capacityWh} Wh.`,
    'Give what is stored in Wh (capacity × charge in % / 100), and the capacity that the charge is a share of.',
  );
}
