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
const WEEK_MINUTES = 7 * 24 * 60;

/** When a stretch of such hours ends, to the minute; null when it never does. */
export function endOf(hours: readonly Hours[], atMs: number, timeZone: string): number | null {
  const first = Math.floor(atMs / MINUTE_MS) * MINUTE_MS;
  for (let minute = 1; minute <= WEEK_MINUTES; minute++) {
    const ms = first + minute * MINUTE_MS;
    // Times are whole quarters of an hour in every zone: most minutes need no look at the calendar.
    const local = localTime(ms, timeZone);
    if (!hours.some((each) => isWithin(each, local))) return ms;
  }
  return null;
}
