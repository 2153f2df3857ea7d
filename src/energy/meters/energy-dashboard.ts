import { z } from 'zod';
import type { Quantity } from './reading.ts';
import type { Expression, TermOf, ValueOf } from './template.ts';

/**
 * What Home Assistant's Energy settings (`energy/get_prefs`) say of a home: which sensors are its grid, its panels and its battery. They have live
 * power since 2025.12 (`stat_rate`) and the battery's charge since 2026.6 (`stat_soc`); the grid was a list of flows before it was one connection.
 */
export interface Dashboard {
  readonly values: readonly ValueOf<TermOf<'home-assistant'>>[];
  /** What is missing there, and how to add it. */
  readonly notes: readonly string[];
}

const id = z.string().min(1).max(300).nullish();
const powerConfig = z.looseObject({ stat_rate: id, stat_rate_inverted: id, stat_rate_from: id, stat_rate_to: id });
const power = { stat_rate: id, power_config: powerConfig.nullish() };
const source = z.looseObject({
  type: z.string(),
  stat_energy_from: id,
  stat_energy_to: id,
  stat_soc: id,
  ...power,
  flow_from: z.array(z.looseObject({ stat_energy_from: id })).nullish(),
  flow_to: z.array(z.looseObject({ stat_energy_to: id })).nullish(),
  power: z.array(z.looseObject(power)).nullish(),
});
const preferences = z.looseObject({ energy_sources: z.array(source).max(100) });
type SourceOfEnergy = z.output<typeof source>;
type Term = TermOf<'home-assistant'>;

const WHERE = 'Settings → Dashboards → Energy in Home Assistant';

/** @returns undefined for what is no answer to `energy/get_prefs` */
export function readDashboard(answer: unknown): Dashboard | undefined {
  const parsed = preferences.safeParse(answer);
  if (!parsed.success) return undefined;
  const found = new Map<Quantity, Term[]>();
  const notes: string[] = [];
  const add = (quantity: Quantity, terms: readonly Term[]): void => {
    // `tibber:consumption` and its like are statistics of a service, which have no state now.
    const live = terms.filter(({ entity }) => !entity.includes(':'));
    for (const { entity } of terms)
      if (entity.includes(':')) notes.push(`${entity} is a statistic of a service, with no value of this moment.`);
    if (live.length > 0) found.set(quantity, [...(found.get(quantity) ?? []), ...live]);
  };
  const kinds = { grid: 'grid-power', solar: 'pv-power', battery: 'battery-power' } as const;
  for (const each of parsed.data.energy_sources) {
    if (each.type !== 'grid' && each.type !== 'solar' && each.type !== 'battery') continue;
    const rate = powerTerms(each);
    if (rate.length === 0)
      notes.push(`Its ${each.type} has no power sensor: choose one under ${WHERE} (since 2025.12).`);
    add(kinds[each.type], rate);
    if (each.type === 'solar') add('pv-energy', terms(each.stat_energy_from));
    if (each.type === 'grid') {
      add('import-energy', terms(each.stat_energy_from, ...(each.flow_from ?? []).map((f) => f.stat_energy_from)));
      add('export-energy', terms(each.stat_energy_to, ...(each.flow_to ?? []).map((f) => f.stat_energy_to)));
    }
    if (each.type === 'battery') {
      if (each.stat_soc == null)
        notes.push(`Its battery has no sensor of its charge: choose one under ${WHERE} (since 2026.6).`);
      add('battery-charge', terms(each.stat_soc));
    }
  }
  for (const [kind, quantity] of Object.entries(kinds))
    if (kind !== 'battery' && !parsed.data.energy_sources.some(({ type }) => type === kind))
      notes.push(`There is no ${kind} under ${WHERE}: ${quantity} is unknown.`);
  const values = [...found].map(([quantity, of]) => ({
    quantity,
    sign: 1 as const,
    quality: 'measured' as const,
    from: quantity === 'battery-charge' ? mean(of) : sum(of),
  }));
  return { values, notes };
}

function powerTerms({ stat_rate, power_config, power: legacy }: SourceOfEnergy): readonly Term[] {
  // Where there is a power_config, stat_rate is the sensor that Home Assistant made of it, with its own signs.
  if (stat_rate != null) return terms(stat_rate);
  if (power_config != null) return configured(power_config);
  return (legacy ?? []).flatMap(({ stat_rate: rate, power_config: config }) =>
    rate != null ? terms(rate) : config != null ? configured(config) : [],
  );
}

function configured(config: z.output<typeof powerConfig>): readonly Term[] {
  const { stat_rate, stat_rate_inverted, stat_rate_from, stat_rate_to } = config;
  if (stat_rate != null) return terms(stat_rate);
  if (stat_rate_inverted != null) return [{ entity: stat_rate_inverted, scale: -1 }];
  if (stat_rate_from == null || stat_rate_to == null) return [];
  return [{ entity: stat_rate_from }, { entity: stat_rate_to, scale: -1 }];
}

const terms = (...entities: readonly (string | null | undefined)[]): readonly Term[] =>
  entities.filter((entity) => entity != null).map((entity) => ({ entity }));

const sum = (of: readonly Term[]): Expression<Term> => (of.length === 1 ? of[0]! : { sum: of });

/** Of several batteries: nobody says how large each is. */
const mean = (of: readonly Term[]): Expression<Term> =>
  sum(of.map((term) => ({ ...term, scale: (term.scale ?? 1) / of.length })));
