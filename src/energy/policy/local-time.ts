import type { Hours, Weekday } from './policy-schema.ts';
import { WEEKDAYS } from './policy-schema.ts';

/** Time on the wall of a site: quiet hours go by it, through the days on which clocks change. */

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  formats.set(timeZone, made);
  return made;
}

export interface LocalTime {
  readonly day: Weekday;
  /** Since midnight by the wall clock: two moments of the day on which clocks go back have the same. */
  readonly minute: number;
}

export function localTime(atMs: number, timeZone: string): LocalTime {
  const parts = Object.fromEntries(
    formatOf(timeZone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, value]),
  );
  return {
    day: parts.weekday!.toLowerCase().slice(0, 3) as Weekday,
    minute: 60 * Number(parts.hour) + Number(parts.minute),
  };
}

/** Like 07:41. */
export function clockTime(atMs: number, timeZone: string): string {
  const { minute } = localTime(atMs, timeZone);
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

const minuteOf = (time: string): number => 60 * Number(time.slice(0, 2)) + Number(time.slice(3));
const dayBefore = (day: Weekday): Weekday => WEEKDAYS[(WEEKDAYS.indexOf(day) + 6) % 7]!;

/** Whether a moment is within hours that may go past midnight. Equal times are a whole day. */
export function isWithin({ days = [...WEEKDAYS], from, to }: Hours, { day, minute }: LocalTime): boolean {
  const [begin, end] = [minuteOf(from), minuteOf(to)];
  if (begin < end) return days.includes(day) && minute >= begin && minute < end;
  return (days.includes(day) && minute >= begin) || (days.includes(dayBefore(day)) && minute < end);
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;

/** When a stretch of such hours ends, to the minute; null when it never does. */
export function endOf(hours: readonly Hours[], atMs: number, timeZone: string): number | null {
  const { day, minute } = localTime(atMs, timeZone);
  const start = DAY_MINUTES * WEEKDAYS.indexOf(day) + minute;
  const covered = weekOf(hours);
  for (let delta = 1; delta <= WEEK_MINUTES; delta++) {
    const at = (start + delta) % WEEK_MINUTES;
    if (covered[at] === 1) continue;
    const ms = (Math.floor(atMs / MINUTE_MS) + delta) * MINUTE_MS;
    // Where clocks change in between, the wall shows another minute then.
    const ahead = localTime(ms, timeZone).minute - (at % DAY_MINUTES);
    return ms - MINUTE_MS * (ahead > 720 ? ahead - DAY_MINUTES : ahead < -720 ? ahead + DAY_MINUTES : ahead);
  }
  return null;
}

/** Each minute of a week by the wall clock: 1 where the hours cover it. */
function weekOf(hours: readonly Hours[]): Uint8Array {
  const week = new Uint8Array(WEEK_MINUTES);
  for (const { days = WEEKDAYS, from, to } of hours) {
    const [begin, end] = [minuteOf(from), minuteOf(to)];
    const length = begin < end ? end - begin : end + DAY_MINUTES - begin;
    for (const day of days) {
      const first = DAY_MINUTES * WEEKDAYS.indexOf(day) + begin;
      for (let i = 0; i < length; i++) week[(first + i) % WEEK_MINUTES] = 1;
    }
  }
  return week;
}
