import { openMeter } from './meter.ts';
import type { Outcome } from './reading.ts';
import type { Settings } from './settings.ts';
import { readTemplate } from './templates.ts';

export interface Discovered {
  /** What there is, each with its value of now; or, where it cannot be asked, why. */
  readonly outcomes: readonly Outcome[];
  /** What is missing in its Energy settings, and where to add it. */
  readonly notes: readonly string[];
}

/**
 * What Home Assistant knows of a home, by one question (`energy/get_prefs`): the meter is then `{ template: home-assistant, ...settings }`.
 *
 * @param settings host, port, scheme and token of the template `home-assistant`
 * @throws HelioError HELIO-6103 for a setting that is missing; whatever Home Assistant does is an outcome
 */
export async function discoverHomeAssistant(settings: Settings): Promise<Discovered> {
  const meter = await openMeter(readTemplate('home-assistant'), settings);
  try {
    const outcomes = await meter.read();
    return { outcomes, notes: meter.notes };
  } finally {
    await meter.close();
  }
}
