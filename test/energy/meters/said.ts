import { openMeter } from '../../../src/energy/meters/meter.ts';
import type { Outcome, Quantity } from '../../../src/energy/meters/reading.ts';
import type { Settings } from '../../../src/energy/meters/settings.ts';
import { readTemplate } from '../../../src/energy/meters/templates.ts';

/** Of each quantity its value, or code and first part of what is wrong. */
export type Said = Partial<Record<Quantity, number | string>>;

export const said = (outcomes: readonly Outcome[]): Said =>
  Object.fromEntries(
    outcomes.map((o) => [
      o.quantity,
      o.ok ? Number(o.reading.value.toFixed(6)) : `${o.problem.code} ${o.problem.what}`,
    ]),
  );

/** One poll of a shipped template. */
export async function read(template: string, settings: Settings): Promise<Said> {
  const meter = await openMeter(readTemplate(template), settings);
  try {
    return said(await meter.read());
  } finally {
    await meter.close();
  }
}
