import { HelioError } from '../../errors.ts';

/** What an energy meter's counter said at a moment. */
export interface CounterReading {
  readonly atMs: number;
  readonly wh: number;
}

/** What may be added for meters that are read a little early or late. */
const SLACK_WH = 10;
const SLACK_SHARE = 0.1;

/**
 * Energy between two readings of a counter. A counter that goes backwards was reset or replaced, and one that rises by more than its device can draw
 * has jumped: of both nothing is known of the interval. It is refused, and whoever asks takes the model instead, labelled so.
 *
 * @param mostW the most that what it measures can draw or give, W
 * @throws HelioError HELIO-1012
 */
export function energyBetween(earlier: CounterReading, later: CounterReading, mostW: number): number {
  if (!Number.isFinite(earlier.wh) || !Number.isFinite(later.wh))
    throw refused(`The meter says ${earlier.wh} Wh and then ${later.wh} Wh.`, 'A gap is no energy: leave it out.');
  const elapsedMs = later.atMs - earlier.atMs;
  if (!(elapsedMs > 0))
    throw refused(
      `The meter's second reading is ${elapsedMs} ms after its first.`,
      'Give readings in the order of time; a clock that was set back ends an interval, and begins a new one.',
    );
  const wh = later.wh - earlier.wh;
  if (wh < 0)
    throw refused(
      `The meter went backwards, from ${earlier.wh} to ${later.wh} Wh.`,
      'It was reset or replaced: the interval is modelled, and counting goes on from the new reading.',
    );
  const mostWh = (mostW * elapsedMs) / 3_600_000;
  if (wh > mostWh * (1 + SLACK_SHARE) + SLACK_WH)
    throw refused(
      `The meter jumped by ${wh} Wh in ${elapsedMs / 1000} s, and ${mostW} W can be ${mostWh.toFixed(1)} Wh.`,
      'Check its unit (kWh for Wh?) and what it measures; the interval is modelled until then.',
    );
  return wh;
}

const refused = (what: string, remedy: string): HelioError => new HelioError('HELIO-1012', what, remedy);
