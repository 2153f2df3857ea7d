import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Expected, gridPlanOf, planRun, type RunGoal } from '../../../src/energy/schedule/index.ts';
import { HOUR_MS } from '../../../src/energy/series.ts';
import { type IslandForecast, islandForecastSchema } from '../../../src/protocol/forecast.ts';

const START_S = 1_790_000_000 - (1_790_000_000 % 3600);
const START_MS = 1000 * START_S;

/** All of the grid, and no sun, where nothing else is said. */
function forecastOf(intensity: readonly (number | null)[], change: Partial<IslandForecast> = {}): IslandForecast {
  const none = intensity.map(() => 0);
  return islandForecastSchema.parse({
    startS: START_S,
    sunW: { low: none, mid: none, high: none },
    gridW: intensity.map(() => 200),
    intensityGPerKWh: intensity,
    pricePerKWh: intensity.map(() => null),
    mostW: 200,
    tokensPerWh: 100,
    ...change,
  });
}
const expectedOf = (island: string, forecast: IslandForecast): Expected => ({
  island,
  forecast,
  tokensPerWh: forecast.tokensPerWh,
});
const goalOf = (tokensLeft: number, hours: number, change: Partial<RunGoal> = {}): RunGoal => ({
  tokensLeft,
  deadlineMs: START_MS + hours * HOUR_MS,
  objective: 'carbon',
  trust: 'mid',
  ...change,
});
const gridOf = (plan: ReturnType<typeof planRun>): readonly (readonly number[])[] =>
  plan.islands.map(({ gridWh }) => gridWh.map((wh) => Math.round(wh)));

describe('a plan of a run', () => {
  it('takes the cleanest hours of all islands together', () => {
    const islands = [
      expectedOf('dirty', forecastOf([700, 650, 600, 650])),
      expectedOf('clean', forecastOf([300, 200, 100, 400])),
    ];
    // Three hours of one island.
    const plan = planRun(goalOf(60_000, 4), islands, START_MS);
    expect([plan.rule, gridOf(plan)]).toEqual([
      null,
      [
        [0, 0, 0, 0],
        [200, 200, 200, 0],
      ],
    ]);
    expect(plan.gridTotal).toBeCloseTo(0.2 * 600, 6);
  });

  it('counts the sun first: what it gives is not taken from the grid', () => {
    const sun = [0, 200, 200, 0];
    const islands = [
      expectedOf(
        'home',
        forecastOf([500, 500, 500, 400], { sunW: { low: sun, mid: sun, high: sun }, gridW: [200, 0, 0, 200] }),
      ),
    ];
    expect(gridOf(planRun(goalOf(40_000, 4), islands, START_MS))).toEqual([[0, 0, 0, 0]]);
    expect(gridOf(planRun(goalOf(50_000, 4), islands, START_MS))).toEqual([[0, 0, 0, 100]]);
  });

  it('trusts the edge of the forecast that it is told to', () => {
    const islands = [
      expectedOf(
        'home',
        forecastOf([500, 500], { sunW: { low: [0, 100], mid: [0, 150], high: [0, 200] }, gridW: [200, 0] }),
      ),
    ];
    const gridWh = (trust: RunGoal['trust']) => gridOf(planRun(goalOf(20_000, 2, { trust }), islands, START_MS))[0]![0];
    expect([gridWh('low'), gridWh('mid'), gridWh('high')]).toEqual([100, 50, 0]);
  });

  it('at one price takes the earliest hours, of all alike', () => {
    const islands = ['a', 'b'].map((name) => expectedOf(name, forecastOf([null, null, null, null])));
    expect(gridOf(planRun(goalOf(80_000, 4), islands, START_MS))).toEqual([
      [200, 200, 0, 0],
      [200, 200, 0, 0],
    ]);
  });

  it('does not count on an hour that is over, nor on what comes after the deadline', () => {
    const islands = [expectedOf('a', forecastOf([100, 500, 500]))];
    const plan = planRun(goalOf(20_000, 1.5), islands, START_MS + HOUR_MS / 2);
    expect(gridOf(plan)).toEqual([[100, 100]]);
  });

  it('plans the share of a long run that its forecasts reach to', () => {
    const islands = [expectedOf('a', forecastOf([100, 200, 300, 400]))];
    // Half of what it could train, in ten times the time.
    const plan = planRun(goalOf(10 * 40_000, 40), islands, START_MS);
    expect(gridOf(plan)).toEqual([[200, 200, 0, 0]]);
  });

  it('takes an island whose speed nobody knows for as fast as the others', () => {
    const islands = [
      expectedOf('new', forecastOf([100, 500], { tokensPerWh: null })),
      expectedOf('a', forecastOf([400, 500])),
    ];
    expect(gridOf(planRun(goalOf(30_000, 2), islands, START_MS))).toEqual([
      [200, 0],
      [100, 0],
    ]);
  });

  it.each([
    ['no-forecast', goalOf(1, 4), [expectedOf('a', forecastOf([1, 1], { tokensPerWh: null }))]],
    ['no-forecast', goalOf(1, 4), []],
    ['deadline', goalOf(1, -1), [expectedOf('a', forecastOf([1, 1]))]],
    ['deadline', goalOf(1e9, 2), [expectedOf('a', forecastOf([1, 1]))]],
    ['energy', goalOf(30_000, 2), [expectedOf('a', forecastOf([1, 1], { gridW: [200, 0] }))]],
  ] as const)('that cannot be names the rule: %s', (rule, goal, islands) => {
    const plan = planRun(goal, islands, START_MS);
    expect(plan.rule).toBe(rule);
    expect(plan.message).toMatch(/own rules\.$/);
    // Then everybody does what its owner allows.
    for (const budget of plan.islands) expect(gridPlanOf(plan, budget, 'carbon')).toBeNull();
  });

  it('a forecast of another clock counts for nothing, however far away', () => {
    const far = forecastOf([1, 1, 1, 1], { startS: 3600 * 2_000_000_000 });
    const plan = planRun(
      goalOf(20_000, 4),
      [expectedOf('far', far), expectedOf('a', forecastOf([500, 500, 500, 500]))],
      START_MS,
    );
    expect(plan.islands.map(({ sunWh }) => sunWh.length)).toEqual([0, 4]);
    expect(gridOf(plan)).toEqual([[], [200, 0, 0, 0]]);
  });

  it('holds what it says, for whatever islands tell', () => {
    const hours = fc.integer({ min: 1, max: 8 });
    const island = hours.chain((length) => {
      const perHour = <T>(value: fc.Arbitrary<T>) => fc.array(value, { minLength: length, maxLength: length });
      return fc.record({
        sun: perHour(fc.integer({ min: 0, max: 300 })),
        gridW: perHour(fc.integer({ min: 0, max: 300 })),
        intensity: perHour(fc.option(fc.integer({ min: 0, max: 900 }))),
        tokensPerWh: fc.option(fc.integer({ min: 1, max: 1000 })),
        late: fc.integer({ min: -3, max: 3 }),
      });
    });
    const property = fc.property(
      fc.array(island, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 0, max: 200_000 }),
      fc.double({ min: -1, max: 12, noNaN: true }),
      fc.integer({ min: 0, max: 3_599 }),
      (islands, tokens, deadlineHours, intoHourS) => {
        const expected = islands.map(({ sun, gridW, intensity, tokensPerWh, late }, i) =>
          expectedOf(
            `island-${i}`,
            forecastOf(intensity, {
              startS: START_S + 3600 * late,
              sunW: { low: sun, mid: sun, high: sun },
              gridW,
              mostW: 600,
              tokensPerWh,
            }),
          ),
        );
        const plan = planRun(goalOf(tokens, deadlineHours), expected, START_MS + 1000 * intoHourS);
        for (const [i, { sunWh, gridWh }] of plan.islands.entries()) {
          const { gridW, late, sun } = islands[i]!;
          expect(gridWh.length).toBe(sunWh.length);
          for (const [hour, wh] of gridWh.entries()) {
            expect(wh).toBeGreaterThanOrEqual(0);
            expect(wh).toBeLessThanOrEqual((gridW[hour - late] ?? 0) + 1e-9);
            expect(sunWh[hour]).toBeLessThanOrEqual(sun[hour - late] ?? 0);
          }
        }
        if (plan.rule !== null) return;
        expect(plan.gridTokens + plan.sunTokens).toBeLessThanOrEqual(
          Math.max(plan.sunTokens, tokens) * (1 + 1e-9) + 1e-6,
        );
        // What an island is told it can read.
        for (const budget of plan.islands) {
          const told = gridPlanOf(plan, budget, 'carbon');
          if (told !== null) expect(told.gridWh.every(Number.isFinite)).toBe(true);
        }
      },
    );
    fc.assert(property, { numRuns: 400 });
  });
});
