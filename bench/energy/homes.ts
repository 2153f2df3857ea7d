import { balanceInto, emptyFlows, importWh } from '../../src/energy/home/index.ts';
import {
  type City,
  FOUND_BEFORE,
  MACHINE_W,
  outcomeOf,
  RULES,
  type Rule,
  readCity,
  SETTINGS,
  type Setting,
} from '../../test/energy/home/citylearn.ts';
import type { Figure } from '../figures.ts';
import type { Options, Section } from './section.ts';

/** What a machine in real homes causes (with `--data`), and what a year of homes costs to compute. */
export const homes: Section = {
  id: 'homes',
  figures: async (options) => [...inRealHomes(options), cost(options)],
};

const RULE_WORDS: Readonly<Record<Rule, string>> = {
  always: 'always on',
  surplus: `on where the sun leaves ${MACHINE_W} W`,
  hysteresis: `so, and from the battery: on above 60 %, off below 30 %`,
};

function inRealHomes({ data }: Options): readonly Figure[] {
  if (data === undefined) {
    console.error('homes: real homes need --data FOLDER with citylearn2022/ in it; only the cost is measured.');
    return [];
  }
  const city = readCity(data);
  return SETTINGS.flatMap((setting) => RULES.flatMap((rule) => besideBefore(city, setting, rule)));
}

function besideBefore(city: City, setting: Setting, rule: Rule): readonly Figure[] {
  const { duty, extraImport, counterfactualGPerKWh, attributionalGPerKWh } = outcomeOf(city, setting, rule);
  const [dutyPercent, importPercent, gPerKWh] = FOUND_BEFORE[setting.id][rule];
  const where = `${setting.words}, ${RULE_WORDS[rule]}`;
  const near = (id: string, value: number, unit: string, before: number, note: string): Figure => ({
    id: `energy.homes.${setting.id}.${rule}.${id}`,
    value,
    unit,
    target: `${before} ± 1 ${unit}`,
    met: Math.abs(value - before) < 1,
    note,
  });
  return [
    near('duty', duty * 100, '%', dutyPercent, `of the year, ${MACHINE_W} W; ${where}`),
    near('extra-import', extraImport * 100, '%', importPercent, "of the machine's energy"),
    near('counterfactual', counterfactualGPerKWh, 'g/kWh', gPerKWh, 'extra import × intensity of its hour'),
    {
      id: `energy.homes.${setting.id}.${rule}.attributional`,
      value: attributionalGPerKWh,
      unit: 'g/kWh',
      target: null,
      met: null,
      note: 'by source, panels 41 g/kWh; the same homes in the other book',
    },
  ];
}

const STEPS = 365 * 96;

/** A year of homes in steps of 15 minutes, each with compute and without. */
function cost({ short }: Options): Figure {
  const count = short ? 50 : 1000;
  const { home } = SETTINGS[0]!;
  const step = {
    hours: 0.25,
    pvW: 0.5,
    loadW: 0.5,
    computeW: 0.5,
    computeMayUse: { pv: true, battery: true, grid: true },
    pvOrder: 'compute-first' as const,
    gridChargeW: 0,
    gridConnected: true,
  };
  let extraWh = 0;
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const actual = emptyFlows(home.reserveWh);
    const shadow = emptyFlows(home.reserveWh);
    for (let at = 0; at < STEPS; at++) {
      const day = Math.sin((((at % 96) - 24) / 48) * Math.PI);
      step.pvW = day > 0 ? day * (3000 + i) : 0;
      step.loadW = 300 + ((at * 7919) % 1500);
      step.computeW = 0;
      balanceInto(home, step, shadow);
      step.computeW = step.pvW - step.loadW >= MACHINE_W ? MACHINE_W : 0;
      balanceInto(home, step, actual);
      extraWh += importWh(actual) - importWh(shadow);
    }
  }
  const seconds = (performance.now() - began) / 1000;
  if (!Number.isFinite(extraWh)) throw new Error('The homes imported what is no number.');
  return {
    id: 'energy.homes.year',
    value: seconds,
    unit: 's',
    target: short ? null : 'below 10 s',
    met: short ? null : seconds < 10,
    note: `${count} homes, a year of 15-minute steps, with compute and without, one thread`,
  };
}
