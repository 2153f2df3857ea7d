import { HelioError } from '../../errors.ts';
import type { Origin } from '../figure.ts';
import { type AnyTerm, type Evaluated, evaluate } from './evaluate.ts';
import { unusable } from './fault.ts';
import { converted, type Meter, type Outcome, QUANTITY_UNITS, type Quantity, type Reading } from './reading.ts';
import { type Filled, filledIn, type Settings } from './settings.ts';
import type { MeterTemplate, TemplateOf, TermOf, ValueOf } from './template.ts';
import { termsOf } from './terms.ts';
import type { ReadWanted, Transport } from './transport/transport.ts';

/** A meter made of a template; it is connected when it is first read. */
export interface TemplateMeter extends Meter {
  /** What of the device could not be used, and how to change that: known after the first read. */
  readonly notes: readonly string[];
}

/**
 * @param settings what its owner says of this one device: host, password …
 * @param clock Unix time, ms
 * @throws HelioError HELIO-6103 for settings that do not fit
 */
export async function openMeter(
  template: MeterTemplate,
  settings: Settings,
  clock: () => number = Date.now,
): Promise<TemplateMeter> {
  const filled = filledIn(template, settings);
  const common = { filled, clock };
  // What only some homes need is loaded when one does.
  switch (filled.template.source) {
    case 'http':
      return listed(filled.template, (await import('./transport/http.ts')).openHttp(filled.template), common);
    case 'modbus':
      return listed(filled.template, (await import('./transport/modbus.ts')).openModbus(filled.template), common);
    case 'mqtt':
      return listed(filled.template, (await import('./transport/mqtt.ts')).openMqtt(filled.template, clock), common);
    case 'nut':
      return listed(filled.template, (await import('./transport/nut.ts')).openNut(filled.template), common);
    case 'home-assistant':
      return homeAssistant(filled.template, common);
  }
}

interface Common {
  readonly filled: Filled;
  readonly clock: () => number;
}

function listed<T extends AnyTerm>(
  { values }: { readonly values: readonly unknown[] },
  transport: Transport<T>,
  common: Common,
): TemplateMeter {
  // The schema has seen to it that a filled template names quantities.
  const known = values as readonly ValueOf<T>[];
  return meterOf(
    common,
    () => known,
    () => [],
    () => transport.poll(),
    () => transport.close(),
  );
}

/** What a dashboard may name, until it is known. */
const EXPECTED: readonly Quantity[] = ['grid-power', 'pv-power', 'battery-power', 'battery-charge'];

async function homeAssistant(template: TemplateOf<'home-assistant'>, common: Common): Promise<TemplateMeter> {
  const { openHomeAssistant } = await import('./transport/home-assistant.ts');
  const transport = openHomeAssistant(template);
  let values = template.values === 'energy-dashboard' ? undefined : (template.values as readonly Value[]);
  let notes: readonly string[] = [];
  const follow = (): void => transport.follow((values ?? []).flatMap(({ from }) => termsOf(from).map((t) => t.entity)));
  type Value = ValueOf<TermOf<'home-assistant'>>;
  follow();
  return meterOf(
    common,
    () => values,
    () => notes,
    async () => {
      if (values === undefined) {
        ({ values, notes } = await transport.dashboard());
        follow();
      }
      return transport.poll();
    },
    () => transport.close(),
  );
}

function meterOf<T extends AnyTerm>(
  { filled: { template, signOf }, clock }: Common,
  values: () => readonly ValueOf<T>[] | undefined,
  notes: () => readonly string[],
  poll: () => Promise<ReadWanted<T>>,
  close: () => Promise<void>,
): TemplateMeter {
  const { name } = template;
  return {
    name,
    staleAfterMs: template.staleAfterS * 1_000,
    get notes() {
      return notes();
    },
    get quantities() {
      return values()?.map(({ quantity }) => quantity) ?? EXPECTED;
    },
    async read() {
      let read: ReadWanted<T>;
      try {
        read = await poll();
      } catch (error) {
        return this.quantities.map((quantity) => ({ ok: false, quantity, problem: explained(name, error) }));
      }
      const outcomes: Outcome[] = [];
      // One after the other: most devices answer one question at a time.
      for (const value of values()!) {
        const { quantity } = value;
        try {
          let ageMs = 0;
          const aged = (ms: number): void => {
            ageMs = Math.max(ageMs, ms);
          };
          const { unit } = value;
          const evaluated = await evaluate(value.from, (term) => read(term, { quantity, unit, aged }));
          const reading = readingOf(value, evaluated, signOf(quantity), name, clock() - ageMs);
          outcomes.push({ ok: true, quantity, reading, ageMs });
        } catch (error) {
          outcomes.push({ ok: false, quantity, problem: explained(name, error) });
          if (error instanceof HelioError && GONE.has(error.code)) return [...outcomes, ...rest(values()!, outcomes)];
        }
      }
      return outcomes;
    },
    close,
  };
}

/** The device is not there: asking on would only wait. */
const GONE: ReadonlySet<string> = new Set(['HELIO-6101', 'HELIO-6104', 'HELIO-6105']);

function rest(values: readonly { readonly quantity: Quantity }[], outcomes: readonly Outcome[]): readonly Outcome[] {
  const last = outcomes.at(-1)!;
  return values
    .slice(outcomes.length)
    .map(({ quantity }) => ({ ok: false, quantity, problem: (last as Extract<Outcome, { ok: false }>).problem }));
}

const explained = (name: string, error: unknown): HelioError =>
  error instanceof HelioError
    ? error
    : unusable(name, `reading it failed: ${String(error).slice(0, 300)}`, 'Report this with the template.');

/** What an inverter or socket itself takes while it stands by: as production, that is 0. */
const STANDBY_W = 50;
/** No home has more; whoever has, has it in another unit. */
const MOST_W = 1e6;

function readingOf<T>(
  value: ValueOf<T>,
  { value: raw, modelled }: Evaluated,
  turned: 1 | -1,
  name: string,
  atMs: number,
): Reading {
  const { quantity, unit, scale = 1, sign, none, quality } = value;
  if (raw === null && none === undefined)
    throw unusable(name, `it says that it has no ${quantity}`, 'It may be asleep, or have no such part.');
  const scaled = raw === null ? none! : raw * scale * sign * turned;
  const number = raw === null || unit === undefined ? scaled : converted(scaled, unit);
  const origin: Origin =
    raw === null
      ? { quality: 'assumed', method: `${name} says "none", which counts as ${none}` }
      : { quality: modelled ? 'modelled' : quality, method: name };
  return { quantity, value: bounded(quantity, number, name), unit: QUANTITY_UNITS[quantity], atMs, origin };
}

/** @throws HelioError HELIO-6102 for what cannot be */
function bounded(quantity: Quantity, value: number, name: string): number {
  const impossible = (why: string): HelioError =>
    unusable(name, `${quantity} is ${value}, ${why}`, 'Check path, unit, scale and sign in its template.');
  if (!Number.isFinite(value)) throw impossible('which is no number');
  switch (QUANTITY_UNITS[quantity]) {
    case 'W':
      if (Math.abs(value) > MOST_W) throw impossible(`and no home has more than ${MOST_W} W`);
      if (quantity === 'grid-power' || quantity === 'battery-power' || value >= 0) return value;
      if (value < -STANDBY_W) throw impossible('and it is never negative');
      return 0;
    case '%':
      if (value < 0 || value > 101) throw impossible('and a charge is from 0 to 100 %');
      return Math.min(100, value);
    case 'Wh':
      if (value < 0) throw impossible('and a counter is never negative');
      return value;
    case 'C':
      if (value < -60 || value > 200) throw impossible('which is no temperature of a device');
      return value;
    case 'on/off':
      return value === 0 ? 0 : 1;
  }
}
