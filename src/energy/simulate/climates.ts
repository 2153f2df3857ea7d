import type { Climate } from '../grid/index.ts';

/** The climate of each zone's large city, of the five that `grid/weather.ts` knows. */
export const CLIMATE_OF: Readonly<Record<string, Climate>> = {
  'AU-NSW': 'mediterranean',
  'AU-VIC': 'oceanic',
  'BR-SP': 'tropical',
  'CA-ON': 'continental',
  'CL-SIC': 'mediterranean',
  'DE-LU': 'continental',
  GB: 'oceanic',
  'IN-WE': 'tropical',
  'JP-TK': 'continental',
  KR: 'continental',
  SG: 'tropical',
  'US-CAL-CISO': 'mediterranean',
  'US-MIDA-PJM': 'continental',
  'US-NY-NYIS': 'continental',
  'US-TEX-ERCO': 'mediterranean',
  ZA: 'arid',
};
