import type { Site } from './site-schema.ts';

/** The meters of a site. evcc measures the home, unless a meter of it is set up otherwise. */
export function metersOf({ meters, evcc }: Site): Site['meters'] {
  if (evcc === undefined || meters.some(({ template }) => template.startsWith('evcc'))) return meters;
  return [...meters, { template: 'evcc', host: evcc.host, port: evcc.port }];
}
