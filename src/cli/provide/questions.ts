import type { Mode } from '../../energy/policy/index.ts';
import { HelioError } from '../../errors.ts';
import { PLAIN_MODES, parseMode } from './mode.ts';
import { parseDegrees, parseEnergy, parseFacing, parseHours, parsePower, parseShareOf } from './quantities.ts';
import { placeOf, systemTimeZone } from './time-zones.ts';

/** What is asked of a home: each answer is also a flag, so that a script asks nothing. */
export interface Flags {
  readonly name?: string;
  readonly lat?: string;
  readonly lon?: string;
  readonly timeZone?: string;
  readonly roof?: string;
  readonly tilt?: string;
  readonly facing?: string;
  readonly battery?: string;
  readonly reserve?: string;
  readonly quiet?: string;
  readonly power?: string;
  readonly mode?: string;
  readonly idleOnly?: boolean;
}

/** What devices tell, so that it need not be asked. */
export interface Metered {
  readonly power: boolean;
  readonly battery: boolean;
}
const NOTHING: Metered = { power: false, battery: false };

export interface Answers {
  readonly name: string;
  readonly latitudeDeg: number;
  readonly longitudeDeg: number;
  readonly timeZone: string;
  readonly roofW: number;
  readonly tiltDeg: number;
  readonly facingDeg: readonly number[];
  readonly batteryWh: number;
  readonly reservePercent: number;
  readonly quiet: readonly { readonly from: string; readonly to: string }[];
  readonly trainW: number;
  readonly mode: Mode;
  readonly idleOnly: boolean;
}

/** Asks a person; undefined where there is none to ask. */
export type Ask = (question: string, usual: string) => Promise<string>;

/**
 * @param ask undefined: no terminal; what is not given and has a usual answer is taken as usual
 * @throws HelioError HELIO-1006 naming the flag that is missing or cannot be read
 */
export async function askAll(flags: Flags, ask: Ask | undefined, metered: Metered = NOTHING): Promise<Answers> {
  const timeZone = flags.timeZone ?? systemTimeZone();
  const guess = placeOf(timeZone);
  const answer = async <T>(
    flag: string,
    given: string | undefined,
    question: string,
    usual: string | undefined,
    read: (flag: string, text: string) => T,
  ): Promise<T> => {
    if (given !== undefined) return read(flag, given);
    if (ask === undefined) {
      if (usual === undefined) throw missing(flag, question);
      return read(flag, usual);
    }
    for (;;) {
      const text = (await ask(question, usual ?? '')).trim() || (usual ?? '');
      try {
        return read('That answer', text);
      } catch (error) {
        if (!(error instanceof HelioError) || text === '') throw error;
        await ask(`${error.what} ${error.remedy} Press Enter.`, '');
      }
    }
  };
  const degrees = (most: number) => (flag: string, text: string) => parseDegrees(flag, text, most);
  const latitudeDeg = await answer(
    '--lat',
    flags.lat,
    'Where is it? Latitude, north is +',
    guess && String(guess.latitudeDeg),
    degrees(90),
  );
  const longitudeDeg = await answer(
    '--lon',
    flags.lon,
    'Longitude, east is +',
    guess && String(guess.longitudeDeg),
    degrees(180),
  );
  // Where a meter tells the power of the home, its panels need no description.
  const usualRoof = ask === undefined && !metered.power ? undefined : 'none';
  const roofW =
    metered.power && flags.roof === undefined
      ? 0
      : await answer('--roof', flags.roof, 'How big are the panels? Like 8 kW; none', usualRoof, parsePower);
  const south = latitudeDeg >= 0 ? 'south' : 'north';
  const tiltDeg =
    roofW === 0
      ? 0
      : await answer('--tilt', flags.tilt, 'How steep are they, in degrees? 0 lies flat', '30', (flag, text) =>
          parseShareOf(flag, text, 90),
        );
  const facingDeg =
    roofW === 0
      ? []
      : await answer('--facing', flags.facing, 'Where do they look? south, east and west …', south, parseFacing);
  const batteryWh =
    metered.battery && flags.battery === undefined
      ? 0
      : await answer('--battery', flags.battery, 'How big is the battery? Like 10 kWh; none', 'none', parseEnergy);
  const reservePercent =
    batteryWh === 0
      ? 20
      : await answer('--reserve', flags.reserve, 'How much of it is always yours, in per cent?', '20', (flag, text) =>
          parseShareOf(flag, text, 100),
        );
  const quiet = await answer(
    '--quiet',
    flags.quiet,
    'When should it never train? Like 22:00-06:00; none',
    'none',
    parseHours,
  );
  const trainW = await answer(
    '--power',
    flags.power,
    'What does this machine draw when it works hard? Like 300 W',
    '200 W',
    parsePower,
  );
  const hasSun = roofW > 0 || metered.power;
  const usualMode: Mode = !hasSun ? 'always' : batteryWh > 0 || metered.battery ? 'sun-and-battery' : 'sun';
  const mode = await answer(
    '--mode',
    flags.mode,
    `When may it train? ${Object.keys(PLAIN_MODES).join(', ')}`,
    usualMode,
    parseMode,
  );
  return {
    name: flags.name ?? 'home',
    latitudeDeg,
    longitudeDeg,
    timeZone,
    roofW,
    tiltDeg,
    facingDeg,
    batteryWh,
    reservePercent,
    quiet,
    trainW,
    mode,
    idleOnly: flags.idleOnly === true,
  };
}

const missing = (flag: string, question: string): HelioError =>
  new HelioError('HELIO-1006', `${flag} is missing, and there is nobody to ask.`, `Give it. It answers: ${question}.`);
