import { z } from 'zod';

/**
 * Events of OpenADR 3 (OpenADR Alliance, OpenADR 3.1.0 Specification, Definitions: objects `event`, `interval`, `intervalPeriod`, `valuesMap`, and the enumeration of
 * event payload types), as what a machine or a home may draw and when. Pure.
 */

const MOST_INTERVALS = 1_000;
const text = z.string().max(200);
const period = z.object({ start: text.nullish(), duration: text.nullish(), randomizeStart: text.nullish() });
const payload = z.object({ type: text, values: z.array(z.unknown()).max(1_000) });

export const eventSchema = z.object({
  id: text,
  createdDateTime: text.nullish(),
  eventName: text.nullish(),
  programID: text.nullish(),
  /** 3.1: names. 3.0: `{type, values}`. */
  targets: z
    .array(z.union([text, payload]))
    .max(200)
    .nullish(),
  payloadDescriptors: z
    .array(z.object({ payloadType: text, units: text.nullish() }))
    .max(50)
    .nullish(),
  intervalPeriod: period.nullish(),
  intervals: z
    .array(z.object({ intervalPeriod: period.nullish(), payloads: z.array(payload).max(50) }))
    .max(MOST_INTERVALS)
    .nullish(),
});
export type AdrEvent = z.output<typeof eventSchema>;

export type Wish =
  /** What the machine may draw, in W or in % of its most. */
  | { readonly kind: 'machine'; readonly most: number; readonly unit: 'W' | '%' }
  /** What the home may take from the grid. */
  | { readonly kind: 'home'; readonly limitW: number }
  /** Shed some load: the machine draws the least with which it trains. */
  | { readonly kind: 'moderate' }
  | { readonly kind: 'stop' };

/** What an event asks for, and when. `endMs` null: until it is taken back. */
export interface EventWindow {
  readonly event: string;
  readonly startMs: number;
  readonly endMs: number | null;
  readonly wish: Wish;
}

/** Units of power in the enumeration of units; without a descriptor kW is meant. */
const WATTS: Readonly<Record<string, number>> = { W: 1, KW: 1_000, MW: 1e6 };

/** @returns undefined for a payload that asks nothing of load; a text for one that cannot be understood */
function wishOf(type: string, value: unknown, units: string): Wish | string | undefined {
  switch (type) {
    case 'SIMPLE':
      // "An example mapping is normal operations, moderate load shed, high load shed, and emergency load shed."
      if (value === 0) return undefined;
      if (value === 1) return { kind: 'moderate' };
      return value === 2 || value === 3 ? { kind: 'stop' } : `level ${shown(value)} of SIMPLE`;
    case 'ALERT_GRID_EMERGENCY':
    case 'ALERT_BLACK_START':
      return { kind: 'stop' };
    case 'DISPATCH_SETPOINT':
    // Its name in OpenADR 2.0b, which programs have kept.
    case 'LOAD_DISPATCH':
    case 'IMPORT_CAPACITY_LIMIT': {
      if (typeof value !== 'number' || !Number.isFinite(value)) return `${type} of ${shown(value)}`;
      const most = Math.max(0, value);
      const isHome = type === 'IMPORT_CAPACITY_LIMIT';
      if (units === 'PERCENT' && !isHome) return { kind: 'machine', most, unit: '%' };
      const watts = Object.hasOwn(WATTS, units) ? WATTS[units]! : undefined;
      if (watts === undefined) return `${type} in ${units}`;
      return isHome ? { kind: 'home', limitW: most * watts } : { kind: 'machine', most: most * watts, unit: 'W' };
    }
    default:
      return undefined;
  }
}

/**
 * When an event asks for what. Intervals follow one another from the event's start, unless one has a period of its own.
 *
 * @param share 0 to 1: where in the time of `randomizeStart` this home begins
 * @param misunderstood is told of each payload that cannot be understood; it is not obeyed
 */
export function windowsOf(
  event: AdrEvent,
  share: number,
  misunderstood: (what: string) => void,
): readonly EventWindow[] {
  const name = event.eventName ?? event.id;
  const created = Date.parse(event.createdDateTime ?? '');
  const nowMs = Number.isNaN(created) ? 0 : created;
  const shared = event.intervalPeriod;
  const windows: EventWindow[] = [];
  let nextMs: number | null = startOf(shared?.start, nowMs) ?? nowMs;
  for (const { intervalPeriod: own, payloads } of event.intervals ?? []) {
    const startMs: number | null = own?.start == null ? nextMs : (startOf(own.start, nowMs) ?? null);
    if (startMs === null) break;
    const forMs = durationMs(own?.duration ?? shared?.duration);
    const delayMs = share * Math.min(DAY_MS, durationMs(own?.randomizeStart ?? shared?.randomizeStart ?? 'PT0S') ?? 0);
    nextMs = forMs === null ? null : startMs + forMs;
    for (const { type, values } of payloads) {
      const units = event.payloadDescriptors?.find(({ payloadType }) => payloadType === type)?.units ?? 'KW';
      const wish = wishOf(type, values[0], units.toUpperCase());
      if (typeof wish === 'string') misunderstood(wish);
      else if (wish !== undefined)
        windows.push({
          event: name,
          startMs: startMs + delayMs,
          endMs: nextMs === null ? null : nextMs + delayMs,
          wish,
        });
    }
  }
  return windows;
}

/** Whether it is meant for a home of these names: an event without targets is for all of its program. */
export function isFor({ targets }: AdrEvent, names: readonly string[] | undefined): boolean {
  if (names === undefined || targets == null || targets.length === 0) return true;
  return targets.some((target) =>
    (typeof target === 'string' ? [target] : target.values).some((each) => names.includes(String(each))),
  );
}

/** "A start of 0001-01-01 or 0001-01-01T00:00:00 may indicate now"; 3.0 wrote zeros. @returns undefined for no date */
function startOf(start: string | null | undefined, nowMs: number): number | undefined {
  if (start == null) return undefined;
  if (/^000[01]-0[01]-0[01]/.test(start)) return nowMs;
  const ms = Date.parse(start);
  return Number.isNaN(ms) ? undefined : ms;
}

const DAY_MS = 86_400_000;
const DURATION = /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const PARTS_MS = [365 * DAY_MS, 30 * DAY_MS, 7 * DAY_MS, DAY_MS, 3_600_000, 60_000, 1_000];

/** Of ISO 8601. @returns null without an end: none given, or "P9999Y" */
export function durationMs(duration: string | null | undefined): number | null {
  const parts = duration == null ? null : DURATION.exec(duration);
  if (parts === null) return null;
  const ms = PARTS_MS.reduce((sum, each, i) => sum + each * Number(parts[i + 1] ?? 0), 0);
  return ms > 100 * PARTS_MS[0]! ? null : ms;
}

const shown = (value: unknown): string => String(JSON.stringify(value) ?? value).slice(0, 40);
