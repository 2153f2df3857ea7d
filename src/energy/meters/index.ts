export { type Discovered, discoverHomeAssistant } from './discover.ts';
export { machineMeter } from './machine/machine.ts';
export { raplFinding } from './machine/rapl.ts';
export { openMeter, type TemplateMeter } from './meter.ts';
export { type Held, MeterSet, type MeterSetOptions } from './meter-set.ts';
export { MACHINE, openNamedMeter } from './named.ts';
export {
  type Meter,
  type Outcome,
  QUANTITIES,
  QUANTITY_UNITS,
  type Quantity,
  type Reading,
  type Unit,
} from './reading.ts';
export type { Setting, Settings } from './settings.ts';
export { type MeterTemplate, templateSchema } from './template.ts';
export { readTemplate, templateNames } from './templates.ts';
export type { Doubt, DoubtKind } from './watch.ts';
