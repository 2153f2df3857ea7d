import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { initialState } from '../../src/coordinator/run.ts';
import { EnergyPlanner } from '../../src/coordinator/server/energy-planner.ts';
import type { GridPlan, IslandForecast } from '../../src/protocol/forecast.ts';
import { settingsFor } from './world.ts';

const START_S = 1_790_000_000 - (1_790_000_000 % 3600);

class Run {
  nowS = START_S;
  mergedTokens = 0;
  readonly told: [string, GridPlan | null][] = [];
  readonly records: RunRecord[] = [];
  readonly planner: EnergyPlanner;

  constructor(tokens: number, hours: number) {
    const state = initialState(settingsFor());
    this.planner = new EnergyPlanner({
      goal: { tokens, deadlineMs: 1000 * (START_S + 3600 * hours), objective: 'carbon', trust: 'mid' },
      nowS: () => this.nowS,
      state: () => ({ ...state, mergedTokens: this.mergedTokens }),
      tell: (island, plan) => this.told.push([island, plan]),
      record: (record) => this.records.push(record),
    });
  }

  /** Time passes, and what islands make of it is merged every ten minutes. */
  for(hours: number, tokensAnHour: Readonly<Record<string, number>> = {}): void {
    for (const endS = this.nowS + 3600 * hours; this.nowS < endS; ) {
      this.nowS += 600;
      const contributions = Object.entries(tokensAnHour).map(([island, tokens]) => ({
        island,
        round: 1,
        steps: 1,
        weight: 1,
        tokens: tokens / 6,
      }));
      for (const { tokens } of contributions) this.mergedTokens += tokens;
      this.planner.saw({ kind: 'merge', fragment: 0, version: 1, runStep: 1, contributions, missing: [] }, 1);
      this.planner.tick();
    }
  }

  trains(...islands: readonly string[]): void {
    for (const island of islands) this.planner.saw({ kind: 'island', island, status: 'training', reason: '' }, 1);
  }

  gridWh(island: string): readonly number[] {
    return this.planner.view!.islands.find((each) => each.island === island)!.gridWh.map(Math.round);
  }
}

const forecastOf = (startS: number, intensity: number, change: Partial<IslandForecast> = {}): IslandForecast => {
  const zeros = Array<number>(48).fill(0);
  return {
    startS,
    sunW: { low: zeros, mid: zeros, high: zeros },
    gridW: zeros.map(() => 200),
    intensityGPerKWh: zeros.map(() => intensity),
    pricePerKWh: zeros.map(() => null),
    mostW: 200,
    tokensPerWh: 100,
    ...change,
  };
};

describe('the planner of a run', () => {
  it('tells islands what it plans, once, and again to one that comes anew', () => {
    const run = new Run(30_000, 24);
    run.planner.tick();
    expect([run.planner.view, run.told]).toEqual([undefined, []]);
    run.planner.hear('clean', forecastOf(START_S, 100));
    run.planner.hear('dirty', forecastOf(START_S, 700));
    run.planner.tick();
    run.planner.tick();
    expect(run.told.map(([island, plan]) => [island, plan!.gridWh.reduce((a, b) => a + b, 0)])).toEqual([
      ['clean', 300],
      ['dirty', 0],
    ]);
    expect(run.records).toMatchObject([{ kind: 'plan', rule: null, islands: 2 }]);
    run.nowS += 11;
    run.planner.hear('dirty', forecastOf(START_S, 700));
    run.planner.tick();
    expect(run.told.map(([island]) => island)).toEqual(['clean', 'dirty', 'dirty']);
  });

  it('counts on nothing that another clock says, and on nobody who has been silent for six hours', () => {
    const run = new Run(40_000, 24);
    run.planner.hear('tomorrow', forecastOf(START_S + 86_400, 1));
    run.planner.hear('a', forecastOf(START_S, 500));
    run.planner.tick();
    expect(run.planner.view!.islands.map(({ island }) => island)).toEqual(['a']);
    run.for(5.9);
    expect(run.planner.view!.islands).toHaveLength(1);
    run.for(0.4);
    expect(run.planner.view).toMatchObject({ rule: 'no-forecast', islands: [] });
  });

  it('plans again as reality departs: what was not trained is caught up with', () => {
    const run = new Run(40_000, 6);
    run.planner.hear('a', forecastOf(START_S, 100));
    run.planner.tick();
    expect(run.gridWh('a')).toEqual([200, 200, 0, 0, 0, 0]);
    // It did nothing for two hours.
    run.nowS += 7_200;
    run.planner.hear('a', forecastOf(run.nowS, 100));
    run.planner.tick();
    const left = run.gridWh('a');
    expect(left.reduce((a, b) => a + b, 0)).toBeGreaterThan(399);
    // It is believed a little less than before.
    expect(left.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(600);
  });

  it('an island that claims to be a million times as fast keeps nobody from training', () => {
    const run = new Run(100_000, 12);
    run.planner.hear('liar', forecastOf(START_S, 1, { tokensPerWh: 1e8 }));
    run.planner.hear('honest', forecastOf(START_S, 500));
    run.planner.tick();
    // Believed up to four times the other, for all that it may take: 80,000 of an hour's 20,000.
    expect(run.gridWh('liar')[0]).toBe(200);
    run.trains('liar', 'honest');
    // The liar hands in what is usual; after ten minutes that is known.
    run.for(1, { liar: 20_000, honest: 0 });
    run.planner.hear('liar', forecastOf(run.nowS, 1, { tokensPerWh: 1e8 }));
    run.planner.hear('honest', forecastOf(run.nowS, 500));
    run.for(0.5, { liar: 20_000, honest: 0 });
    const planned = run.planner.view!;
    expect(planned.rule).toBeNull();
    expect(Math.abs(planned.gridTokens / planned.tokensLeft - 1)).toBeLessThan(0.01);
    const hours = run.gridWh('liar').filter((wh) => wh > 0).length;
    expect(hours).toBeGreaterThanOrEqual(4);
  });

  it('one that promises and hands in nothing is soon planned with for little', () => {
    const run = new Run(100_000, 30);
    const renew = (): void => {
      run.planner.hear('idler', forecastOf(run.nowS, 1));
      run.planner.hear('worker', forecastOf(run.nowS, 500));
    };
    renew();
    run.planner.tick();
    expect(run.gridWh('worker').every((wh) => wh === 0)).toBe(true);
    for (let hour = 0; hour < 16; hour++) {
      run.for(1);
      renew();
    }
    run.for(0.2);
    expect(run.gridWh('worker').some((wh) => wh > 0)).toBe(true);
  });

  it('of ten thousand islands plans, and tells each', () => {
    const run = new Run(1e9, 48);
    for (let i = 0; i < 10_000; i++) run.planner.hear(`island-${i}`, forecastOf(START_S, 100 + (i % 600)));
    run.planner.tick();
    expect(run.planner.view!.rule).toBeNull();
    expect(run.told).toHaveLength(10_000);
  });
});
