import type { Quantity } from '../meters/reading.ts';

/**
 * Whether what the meters of a home say together can be: asked at set-up, while somebody is there who can change it. Three mistakes are common: a
 * sign that is turned, kW where W was meant, and a meter that measures something else.
 */
export interface Finding {
  readonly quantity: Quantity;
  /** `wrong`: it cannot be. `doubtful`: it can, and hardly ever is. */
  readonly severity: 'wrong' | 'doubtful';
  /** What is seen, in one sentence with its values. */
  readonly what: string;
  /** What to change, or to look at. */
  readonly remedy: string;
}

export interface SanityInput {
  /** Of one moment, in the units of QUANTITY_UNITS; what is not known is not in it. */
  readonly readings: Partial<Readonly<Record<Quantity, number>>>;
  /** Of the sun, at that moment, degrees; undefined where nobody knows the place. */
  readonly sunElevationDeg?: number;
  /** Peak power of all panels, W. */
  readonly peakW?: number;
  /** Largest power of the battery, W. */
  readonly batteryW?: number;
  /** What the household takes on average, W. */
  readonly averageLoadW?: number;
}

const HIGH_SUN_DEG = 20;
/** Below it there is no light that panels could use. */
const NIGHT_DEG = -3;
/** What meters differ by without being wrong: they are not read at the same moment. */
const SLACK_W = 150;
const SLACK_SHARE = 0.1;
/** A household takes more than this rarely, and not while somebody sets up meters. */
const MUCH_W = 3_000;
const AVERAGE_W = 400;

export function sanityFindings(input: SanityInput): readonly Finding[] {
  const units = unitFindings(input);
  // With a wrong unit every balance is wrong: one mistake is named at a time.
  return units.length > 0 ? units : [...plantFindings(input), ...batteryFindings(input), ...balanceFindings(input)];
}

/** Values that are a thousand times too small or too large. */
function unitFindings({ readings, sunElevationDeg, peakW, batteryW }: SanityInput): readonly Finding[] {
  const findings: Finding[] = [];
  const pv = readings['pv-power'];
  const kilowatts = (quantity: Quantity, value: number, why: string): Finding => ({
    quantity,
    severity: 'doubtful',
    what: `${quantity} is ${watts(value)}${why}: does the device say kW?`,
    remedy: 'Set unit: kW in its template.',
  });
  if (pv !== undefined && pv > 0 && sunElevationDeg !== undefined && sunElevationDeg > HIGH_SUN_DEG) {
    const expected = peakW === undefined ? undefined : peakW / 1_000;
    if (expected === undefined ? pv < 20 && !Number.isInteger(pv) : pv < 1.3 * expected)
      findings.push(
        kilowatts(
          'pv-power',
          pv,
          ` with the sun at ${sunElevationDeg.toFixed(0)}°${peakW === undefined ? '' : ` and ${watts(peakW)} of panels`}`,
        ),
      );
  }
  if (pv !== undefined && peakW !== undefined && pv > 100 * peakW)
    findings.push({
      quantity: 'pv-power',
      severity: 'wrong',
      what: `pv-power is ${watts(pv)}, and the panels have ${watts(peakW)}: does the device say mW?`,
      remedy: 'Set unit: mW in its template.',
    });
  const battery = readings['battery-power'];
  if (battery !== undefined && batteryW !== undefined && Math.abs(battery) > 100 * batteryW)
    findings.push({
      quantity: 'battery-power',
      severity: 'wrong',
      what: `battery-power is ${watts(battery)}, and the battery has ${watts(batteryW)}: does the device say mW?`,
      remedy: 'Set unit: mW in its template.',
    });
  const grid = readings['grid-power'];
  const load = readings['load-power'];
  // A whole home below 20 W, and with decimals, is one in kW.
  for (const [quantity, value] of [
    ['grid-power', grid],
    ['load-power', load],
  ] as const)
    if (value !== undefined && value !== 0 && Math.abs(value) < 20 && !Number.isInteger(value)) {
      const others = Object.entries(readings).some(
        ([other, w]) => other !== quantity && other.endsWith('-power') && Math.abs(w) > 1_000,
      );
      if (others || (quantity === 'load-power' && Math.abs(value) < 10))
        findings.push(kilowatts(quantity, value, others ? ', while others are above 1,000 W' : ' for a whole home'));
    }
  const charge = readings['battery-charge'];
  if (charge !== undefined && charge > 0 && charge <= 1 && !Number.isInteger(charge))
    findings.push({
      quantity: 'battery-charge',
      severity: 'doubtful',
      what: `battery-charge is ${charge} %: does the device say a share of 1?`,
      remedy: 'Set scale: 100 in its template.',
    });
  return findings;
}

function plantFindings({ readings, sunElevationDeg, peakW }: SanityInput): readonly Finding[] {
  const pv = readings['pv-power'];
  if (pv === undefined) return [];
  const findings: Finding[] = [];
  if (pv < -SLACK_W / 3)
    findings.push({
      quantity: 'pv-power',
      severity: 'wrong',
      what: `pv-power is ${watts(pv)}; panels give, and do not take.`,
      remedy: 'Is it the meter of the panels? If it is, set scale: -1 in its template.',
    });
  if (peakW !== undefined && pv > 1.3 * peakW)
    findings.push({
      quantity: 'pv-power',
      severity: 'wrong',
      what: `pv-power is ${watts(pv)}, more than the ${watts(peakW)} of the panels can give.`,
      remedy: 'Is the peak power that you typed that of all panels? Is it the meter of the panels alone?',
    });
  if (sunElevationDeg === undefined) return findings;
  if (sunElevationDeg < NIGHT_DEG && pv > SLACK_W / 3)
    findings.push({
      quantity: 'pv-power',
      severity: 'wrong',
      what: `pv-power is ${watts(pv)} at night (sun at ${sunElevationDeg.toFixed(0)}°).`,
      remedy:
        'It measures something else, perhaps an inverter that also discharges a battery; or the place or the clock is wrong.',
    });
  if (sunElevationDeg > HIGH_SUN_DEG && pv === 0)
    findings.push({
      quantity: 'pv-power',
      severity: 'doubtful',
      what: `pv-power is 0 with the sun at ${sunElevationDeg.toFixed(0)}°.`,
      remedy: 'At noon it should be positive: is the inverter on, and is this its meter?',
    });
  return findings;
}

function batteryFindings({ readings, batteryW }: SanityInput): readonly Finding[] {
  const findings: Finding[] = [];
  const power = readings['battery-power'];
  const charge = readings['battery-charge'];
  if (power !== undefined && batteryW !== undefined && Math.abs(power) > 1.5 * batteryW)
    findings.push({
      quantity: 'battery-power',
      severity: 'wrong',
      what: `battery-power is ${watts(power)}, more than the battery's ${watts(batteryW)}.`,
      remedy: 'Is it the meter of the battery? Check its unit, and the power that you typed.',
    });
  if (power !== undefined && charge !== undefined) {
    if (charge >= 99.5 && power < -2 * SLACK_W)
      findings.push(
        turned(
          'battery-power',
          `the battery is full (${charge} %), and battery-power ${watts(power)} says that it charges`,
        ),
      );
    if (charge <= 1 && power > 2 * SLACK_W)
      findings.push(
        turned(
          'battery-power',
          `the battery is empty (${charge} %), and battery-power ${watts(power)} says that it discharges`,
        ),
      );
  }
  return findings;
}

/** What goes into a home comes out of it: load = PV + grid + battery. The household takes, and never gives. */
function balanceFindings({ readings, sunElevationDeg, averageLoadW = AVERAGE_W }: SanityInput): readonly Finding[] {
  const pv = readings['pv-power'];
  const grid = readings['grid-power'];
  if (pv === undefined || grid === undefined) return [];
  const battery = readings['battery-power'] ?? 0;
  const compute = readings['compute-power'] ?? 0;
  const load = readings['load-power'];
  const signs = [
    ['grid-power', grid, pv - grid + battery],
    ['battery-power', battery, pv + grid - battery],
  ] as const;
  const implied = pv + grid + battery;
  const slackW = SLACK_W + SLACK_SHARE * (Math.abs(pv) + Math.abs(grid) + Math.abs(battery));
  const when =
    sunElevationDeg !== undefined && sunElevationDeg > HIGH_SUN_DEG
      ? `the sun is at ${sunElevationDeg.toFixed(0)}°: PV should be positive, and what the home does not need is exported (negative). `
      : '';
  const seen = [
    `grid-power is ${watts(grid, true)}`,
    `pv-power ${watts(pv)}`,
    ...(battery === 0 ? [] : [`battery-power ${watts(battery, true)}`]),
  ].join(', ');

  if (load !== undefined) {
    // Some devices count the island's machine as household, and some do not.
    const misses = (total: number): number => Math.min(Math.abs(total - load), Math.abs(total - load - compute));
    if (misses(implied) <= slackW) return [];
    const mended = signs.find(([, value, total]) => Math.abs(value) > SLACK_W && misses(total) <= slackW);
    if (mended !== undefined)
      return [
        turned(
          mended[0],
          `${when}${seen}, which makes ${watts(implied)}, and load-power is ${watts(load)}; with ${mended[0]} turned it fits`,
        ),
      ];
    return [
      {
        quantity: 'load-power',
        severity: 'doubtful',
        what: `${seen} make ${watts(implied)}, and load-power is ${watts(load)}.`,
        remedy:
          'One of the meters measures another thing, or there is one that Heliotrope does not know, as a second inverter or a battery.',
      },
    ];
  }

  const plausible = (total: number): boolean => total >= compute - slackW / 2 && total <= compute + MUCH_W;
  if (implied < compute - slackW) {
    const mended = signs.find(([, value, total]) => Math.abs(value) > SLACK_W && plausible(total));
    const what = `${when}${seen}: that leaves ${watts(implied)} for a household, which cannot give`;
    if (mended !== undefined) return [turned(mended[0], what)];
    return [
      {
        quantity: 'grid-power',
        severity: 'wrong',
        what: `${what}.`,
        remedy:
          'There is a source that no meter tells of, as a battery or a second inverter; or one of them measures another thing.',
      },
    ];
  }
  // Import beside much sun can be: an oven, a car. That it would be just about nothing with the sign turned makes it a likely mistake.
  const other = pv - grid + battery;
  if (grid > MUCH_W / 2 && pv > MUCH_W / 2 && implied > compute + MUCH_W && plausible(other))
    return [
      {
        ...turned(
          'grid-power',
          `${when}${seen}: that is a household of ${watts(implied - compute)}; turned, it is one of ${watts(other - compute)} (usual: ${watts(averageLoadW)})`,
        ),
        severity: 'doubtful',
      },
    ];
  return [];
}

const turned = (quantity: 'grid-power' | 'battery-power', what: string): Finding => ({
  quantity,
  severity: 'wrong',
  what: `${what}: is the sign of ${quantity} turned?`,
  remedy:
    quantity === 'grid-power'
      ? 'grid-power is positive when the home imports. Set sign.grid-power: -1 with this meter.'
      : 'battery-power is positive when the battery discharges. Set sign.battery-power: -1 with this meter.',
});

const watts = (value: number, signed = false): string =>
  `${signed && value > 0 ? '+' : ''}${value.toLocaleString('en', { maximumFractionDigits: Math.abs(value) < 20 ? 2 : 0 }).replace('-', '−')} W`;
