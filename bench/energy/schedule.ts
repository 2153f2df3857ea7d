import { batteryOf } from '../../src/energy/home/index.ts';
import { type LpSolver, type PlanJob, planBattery, planGreedy, planMilp } from '../../src/energy/schedule/index.ts';
import { loadHighs } from '../../src/energy/schedule/load-highs.ts';
import { HOUR_MS } from '../../src/energy/series.ts';
import { randomIslands, reachOf, seeded } from '../../test/energy/schedule/islands.ts';
import { type Figure, median } from '../figures.ts';
import type { Section } from './section.ts';

const HOURS = 24;
const TRIES = 9;
const EXACT_UP_TO = 100;

/** How long a choice of islands takes, and how near the fast plan is to the exact one. */
export const schedule: Section = {
  id: 'schedule',
  figures: async ({ short }) => {
    const solve = await loadHighs();
    const figures: Figure[] = [];
    for (const count of short ? [100] : [100, 1000, 10_000])
      for (const limited of [false, true]) {
        const islands = randomIslands(count, HOURS, 5);
        const job: PlanJob = {
          tokens: reachOf(islands) * 0.05,
          deadlineMs: HOURS * HOUR_MS,
          objective: 'carbon',
          ...(limited ? { maxIslands: count / 5 } : {}),
        };
        const id = `energy.schedule.${count}.${limited ? 'fifth' : 'all'}`;
        const note = `${count} random islands, ${HOURS} hours, ${limited ? 'at most a fifth take part' : 'all may take part'}`;
        const times: number[] = [];
        for (let attempt = 0; attempt < TRIES; attempt++) {
          const began = performance.now();
          planGreedy(islands, job);
          times.push(performance.now() - began);
        }
        const usual = median(times);
        const judged = count === 10_000;
        figures.push({
          id: `${id}.greedy`,
          value: usual,
          unit: 'ms',
          target: judged ? 'below 20 ms' : null,
          met: judged ? usual < 20 : null,
          note: `${note}; median of ${TRIES}`,
        });
        if (count > EXACT_UP_TO) continue;
        const began = performance.now();
        const exact = planMilp(islands, job, solve, 1e-3);
        const exactMs = performance.now() - began;
        const fast = planGreedy(islands, job);
        if (exact.kind !== 'plan' || fast.kind !== 'plan')
          throw new Error(`No plan of ${count} islands where there must be one.`);
        const excess = (fast.total / exact.total - 1) * 100;
        figures.push(
          {
            id: `${id}.exact`,
            value: exactMs,
            unit: 'ms',
            target: null,
            met: null,
            note: `${note}; gap 0.1 %, one run`,
          },
          {
            id: `${id}.excess`,
            value: excess,
            unit: '%',
            target: 'below 5 %',
            met: excess < 5,
            note: `${note}; carbon beyond the exact plan's`,
          },
        );
      }
    for (const steps of short ? [96] : [96, 192]) figures.push(batteryFigure(steps, solve));
    return figures;
  },
};

/** A home with a battery, in quarters of an hour. */
function batteryFigure(steps: number, solve: LpSolver): Figure {
  const random = seeded(steps);
  const perStep = (value: (hour: number) => number): Float64Array =>
    Float64Array.from({ length: steps }, (_, step) => value((step / 4) % 24));
  const outlook = {
    hours: 0.25,
    pvW: perStep((hour) => Math.max(0, 5_000 * Math.sin((Math.PI * (hour - 6)) / 12)) * (0.5 + random() / 2)),
    loadW: perStep(() => 200 + 800 * random()),
    importPerKWh: perStep((hour) => 300 + 200 * Math.cos((Math.PI * (hour - 19)) / 12)),
  };
  const battery = batteryOf(10_000, 5_000, 5_000, 0.9);
  const home = { battery, reserveWh: 2_000, exportLimitW: Infinity, importLimitW: Infinity };
  const job = { storedWh: 5_000, endStoredWh: 5_000, computeWh: 20 * steps, computeW: 350 };
  const times = Array.from({ length: TRIES }, () => {
    const began = performance.now();
    const plan = planBattery(home, outlook, job, solve);
    if (plan.kind !== 'plan') throw new Error(plan.message);
    return performance.now() - began;
  });
  return {
    id: `energy.schedule.battery.${steps}`,
    value: median(times),
    unit: 'ms',
    target: null,
    met: null,
    note: `a home's battery and machine, ${steps} quarters of an hour; median of ${TRIES}`,
  };
}
