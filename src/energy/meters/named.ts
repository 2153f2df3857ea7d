import { HelioError } from '../../errors.ts';
import { machineMeter } from './machine/machine.ts';
import { openMeter, type TemplateMeter } from './meter.ts';
import type { Settings } from './settings.ts';
import { readTemplate } from './templates.ts';

/** Stands for the machine itself, where a template is asked for. */
export const MACHINE = 'machine';

/**
 * A meter as a site names it: `{ template: shelly-pro-3em, host: 192.168.1.20 }`.
 *
 * @param template a shipped one, a file of one's own, or {@link MACHINE}
 * @throws HelioError HELIO-6103 for a template or a setting that is wrong; whatever the device does is an outcome of its reads
 */
export async function openNamedMeter(template: string, settings: Settings): Promise<TemplateMeter> {
  if (template !== MACHINE) return openMeter(readTemplate(template), settings);
  const [name] = Object.keys(settings);
  if (name !== undefined)
    throw new HelioError('HELIO-6103', `The meter ${MACHINE} has no setting ${name}.`, 'It takes none.');
  const meter = machineMeter();
  return { ...meter, notes: [] };
}
