import { HelioError } from '../../errors.ts';

/** What people write for powers, energies, directions and hours. A number alone is read as the unit that a home has it in. */

const wrong = (flag: string, text: string, remedy: string): HelioError =>
  new HelioError('HELIO-1006', `${flag} ${text} cannot be read.`, remedy);

const number = (text: string): number => Number(text.trim().replace(',', '.'));

/** `8 kW`, `8000 W`, `8`: kW. @returns W; 0 for `no` and `none` */
export function parsePower(flag: string, text: string): number {
  if (/^(no|none|0)$/i.test(text.trim())) return 0;
  const [, value, unit = 'kw'] = /^\s*([\d.,]+)\s*(kwp?|wp?)?\s*$/i.exec(text) ?? [];
  const read = value === undefined ? Number.NaN : number(value);
  // Nobody has a roof of 5,000 kW, and many have one of 5,000 W.
  const isWatts = unit.toLowerCase().startsWith('w') || (!/k/i.test(text) && read >= 100);
  if (!(read > 0 && read < 1e6)) throw wrong(flag, text, 'Give it like 8 kW or 8000 W; or none.');
  return isWatts ? read : 1_000 * read;
}

/** `10 kWh`, `10000 Wh`, `10`: kWh. @returns Wh; 0 for `no` and `none` */
export function parseEnergy(flag: string, text: string): number {
  if (/^(no|none|0)$/i.test(text.trim())) return 0;
  const [, value, unit = 'kwh'] = /^\s*([\d.,]+)\s*(kwh|wh)?\s*$/i.exec(text) ?? [];
  const read = value === undefined ? Number.NaN : number(value);
  const isWattHours = unit.toLowerCase() === 'wh' || (!/k/i.test(text) && read >= 200);
  if (!(read > 0 && read < 1e6)) throw wrong(flag, text, 'Give it like 10 kWh or 10000 Wh; or none.');
  return isWattHours ? read : 1_000 * read;
}

const DIRECTIONS: Readonly<Record<string, number>> = {
  north: 0,
  'north-east': 45,
  northeast: 45,
  east: 90,
  'south-east': 135,
  southeast: 135,
  south: 180,
  'south-west': 225,
  southwest: 225,
  west: 270,
  'north-west': 315,
  northwest: 315,
};

/** `south`, `south-west`, `225`; two of them, like `east-and-west`, are two halves of a roof. @returns degrees clockwise from north */
export function parseFacing(flag: string, text: string): readonly number[] {
  const parts = text
    .trim()
    .toLowerCase()
    .split(/\s*(?:,|\+|&|-and-|\band\b)\s*/);
  return parts.map((part) => {
    const named = Object.hasOwn(DIRECTIONS, part) ? DIRECTIONS[part]! : Number(part.replace(/°$/, ''));
    if (part === '' || !(named >= 0 && named <= 360))
      throw wrong(flag, text, 'Give it like south, south-west, 225, or east and west.');
    return named;
  });
}

/** `22:00-06:00`, several with commas; `none`. */
export function parseHours(flag: string, text: string): readonly { readonly from: string; readonly to: string }[] {
  if (/^(no|none|never)?$/i.test(text.trim())) return [];
  return text.split(',').map((part) => {
    const [, from, to] = /^\s*(\d{1,2}(?::\d\d)?)\s*-\s*(\d{1,2}(?::\d\d)?)\s*$/.exec(part) ?? [];
    const full = (time: string): string => (time.includes(':') ? time : `${time}:00`).padStart(5, '0');
    const isTime = (time: string): boolean => /^([01]\d|2[0-3]):[0-5]\d$|^24:00$/.test(time);
    if (from === undefined || to === undefined || !isTime(full(from)) || !isTime(full(to)))
      throw wrong(flag, text, 'Give it like 22:00-06:00, or none.');
    return { from: full(from), to: full(to) };
  });
}

export function parseDegrees(flag: string, text: string, most: number): number {
  const read = number(text.replace(/°$/, ''));
  if (text.trim() === '' || !(Math.abs(read) <= most)) throw wrong(flag, text, `Give degrees, −${most} to ${most}.`);
  return read;
}

export function parseShareOf(flag: string, text: string, most: number): number {
  const read = number(text.replace(/[°%]$/, ''));
  if (text.trim() === '' || !(read >= 0 && read <= most)) throw wrong(flag, text, `Give a number from 0 to ${most}.`);
  return read;
}
