import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { cloudFactor } from '../../src/simulate/clouds.ts';
import { parseHomes } from '../../src/simulate/homes-file.ts';
import { parseSpeed, readClock, siteMs, writeClock } from '../../src/simulate/site-clock.ts';

const EXAMPLE = path.resolve(import.meta.dirname, '../../examples/homes.yaml');
const source = readFileSync(EXAMPLE, 'utf8');
const errorOf = (run: () => unknown): string => {
  try {
    run();
    return 'no error';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('homes.yaml', () => {
  it('as shipped has homes on four continents, each with a sun of its own', () => {
    const { homes, fromMs } = parseHomes(source, 'homes.yaml');
    expect(homes.map(({ name }) => name)).toEqual(['adelaide', 'nairobi', 'freiburg', 'sao-paulo', 'phoenix']);
    expect(new Date(fromMs).toISOString()).toBe('2026-06-20T20:00:00.000Z');
    expect(new Set(homes.map(({ seed }) => seed)).size).toBe(5);
  });

  it.each([
    ['two of a name', source.replace('name: nairobi', 'name: adelaide'), /two homes are called adelaide/],
    [
      'a place that is none',
      source.replace('-34.93', '-134.93'),
      /homes\.yaml:\d+:\d+: homes\.0\.location\.latitudeDeg/,
    ],
    [
      'sun without panels',
      'homes: [{ name: a, location: { latitudeDeg: 1, longitudeDeg: 1 } }]',
      /, a: policy\.mode is sun.*no solar panels/,
    ],
    ['no time', source.replace('2026-06-20T20:00Z', 'yesterday'), /homes\.yaml:\d+:\d+: from/],
    ['no home', 'homes: []', /homes.*too small/],
  ])('%s is told with its place', (_, text, message) => {
    expect(errorOf(() => parseHomes(text, 'homes.yaml'))).toMatch(message);
  });
});

describe('the clock of the homes', () => {
  it('is so much faster, and the same in every process that is told of it', () => {
    const clock = { realStartMs: 1_000, siteStartMs: Date.UTC(2026, 0), speed: parseSpeed('1440x') };
    expect(siteMs(clock, 61_000) - clock.siteStartMs).toBe(86_400_000);
    expect(siteMs(clock, 0)).toBe(clock.siteStartMs);
    expect(readClock(writeClock(clock))).toEqual(clock);
  });

  it.each(['0', '1e9', 'fast', '-3x', '0.5x'])('%s is no speed', (text) => {
    expect(errorOf(() => parseSpeed(text))).toMatch(/is no speed of a clock.*1440x/s);
  });
});

describe('clouds', () => {
  const HOUR = 3_600_000;
  const year = (seed: number, cloudiness: number) =>
    Array.from({ length: 4_000 }, (_, i) => cloudFactor(seed, Date.UTC(2026, 0) + i * 2 * HOUR, cloudiness));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  it('leave between a little and all of the light, and more cloudiness leaves less', () => {
    const means = [0, 0.25, 0.5, 0.75, 1].map((cloudiness) => {
      const values = year(3, cloudiness);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(0.12);
      expect(Math.max(...values)).toBeLessThanOrEqual(1);
      return mean(values);
    });
    expect(means).toEqual(means.toSorted((a, b) => b - a));
    expect(means[0]).toBeGreaterThan(0.85);
    expect(means[4]).toBeLessThan(0.35);
  });

  it('are the same for everybody who asks, and others with another seed', () => {
    expect(year(3, 0.5)).toEqual(year(3, 0.5));
    expect(year(3, 0.5)).not.toEqual(year(4, 0.5));
  });

  it('move: an hour later the sky is alike, a day later it is another', () => {
    const correlation = (lagHours: number) => {
      const at = (i: number) => cloudFactor(5, i * HOUR, 0.5);
      const pairs = Array.from({ length: 5_000 }, (_, i) => [at(i), at(i + lagHours)] as const);
      const [ma, mb] = [mean(pairs.map(([a]) => a)), mean(pairs.map(([, b]) => b))];
      const covariance = mean(pairs.map(([a, b]) => (a - ma) * (b - mb)));
      return (
        covariance / Math.sqrt(mean(pairs.map(([a]) => (a - ma) ** 2)) * mean(pairs.map(([, b]) => (b - mb) ** 2)))
      );
    };
    expect(correlation(1)).toBeGreaterThan(0.6);
    expect(Math.abs(correlation(24))).toBeLessThan(0.1);
  });
});

it.each([
  [
    'intensity',
    'grid: { intensity: { kind: gb-carbon-intensity } }',
    /intensity of kind gb-carbon-intensity; a simulated home has its own/,
  ],
  ['weather', 'weather: { kind: open-meteo }', /weather of kind open-meteo/],
])('refuses a service for the %s of a simulated home', (_, line, words) => {
  const home = `{ name: a, location: { latitudeDeg: 48, longitudeDeg: 8, timeZone: Europe/Berlin }, ${line} }`;
  expect(() => parseHomes(`homes: [${home}]`, 'homes.yaml')).toThrow(words);
});
