import { drawFleet, type Fleet, YEAR_HOURS } from '../../src/energy/simulate/fleet.ts';
import { leastCaused } from '../../src/energy/simulate/least-caused.ts';
import { type FleetJob, type FleetOutcome, runFleet } from '../../src/energy/simulate/run-fleet.ts';
import { alwaysOn, fedZeroLike, greedyGreen, sunOnly } from '../../src/energy/simulate/strategies.ts';
import { seeded } from '../../test/energy/schedule/islands.ts';
import type { Figure } from '../figures.ts';
import { readRealTraces } from './real-traces.ts';
import type { Options, Section } from './section.ts';

const SEED = 7;
const HOMES_PER_ZONE = 7;
/** 20,000 tokens a second with 360 W. */
const TOKENS_PER_WH = 200_000;
/** All machines, every hour, are done in half a year; who takes twice as long has a whole one. */
const ALWAYS_ON_HOURS = YEAR_HOURS / 2;
const SLOWER = 2;
/** A day or two of the year are kept back. */
const DEADLINE_HOURS = SLOWER * ALWAYS_ON_HOURS * 0.995;
const BILLION = 1e9;

/** The same tokens by five strategies in the same homes, hour by hour. */
export const fleet: Section = {
  id: 'fleet',
  figures: async (options) => {
    const homes = fleetOf(options);
    const machinesW = homes.homes.reduce((sum, { machineW }) => sum + machineW, 0);
    const job = { tokens: machinesW * ALWAYS_ON_HOURS * TOKENS_PER_WH, tokensPerWh: TOKENS_PER_WH };
    const outcomes = {
      'always-on': runFleet(homes, job, alwaysOn()),
      greedy: runFleet(homes, job, greedyGreen(1 / SLOWER)),
      'sun-only': runFleet(homes, job, sunOnly()),
      fedzero: runFleet(homes, job, fedZeroLike(0.5, seeded(SEED))),
      ours: runFleet(homes, job, leastCaused(homes, { ...job, deadlineHours: DEADLINE_HOURS, seed: SEED })),
    };
    const data = options.data === undefined ? '' : '.data';
    const strategies = Object.entries(outcomes).flatMap(([id, outcome]) =>
      figuresOf(`energy.fleet${data}.${id}`, outcome, job, WORDS[id as keyof typeof outcomes]),
    );
    return [
      {
        ...plain(`energy.fleet${data}.energy`, (job.tokens / TOKENS_PER_WH / job.tokens) * 1e6, 'kWh'),
        note: `of 10⁹ tokens, by every strategy; ${homes.homes.length} homes, ${homes.zones.length} zones, seed ${SEED}`,
      },
      ...strategies,
      ...targets(`energy.fleet${data}`, homes, job, outcomes),
    ];
  },
};

function fleetOf({ data, short }: Options): Fleet {
  const real = data === undefined ? undefined : readRealTraces(data);
  return drawFleet({
    homesPerZone: short ? 1 : HOMES_PER_ZONE,
    seed: SEED,
    startMs: Date.UTC(real === undefined ? 2025 : 2024, 0),
    ...(real === undefined ? {} : { real }),
  });
}

const WORDS = {
  'always-on': 'all machines, every hour',
  greedy: 'each hour the half of the machines whose next kWh is cleanest',
  'sun-only': 'the default policy, mode sun, battery first',
  fedzero: 'after FedZero: rounds of an hour on excess sun, half of the homes at most',
  ours: 'plan and policy by what an hour of training would cause in the home',
} as const;

const plain = (id: string, value: number, unit: string): Figure => ({
  id,
  value,
  unit,
  target: null,
  met: null,
  note: '',
});

function figuresOf(id: string, { books, days, balance }: FleetOutcome, { tokens }: FleetJob, words: string) {
  const per = BILLION / tokens;
  return [
    { ...plain(`${id}.attributional`, books.attributionalG * per, 'g'), note: `of 10⁹ tokens; ${words}` },
    {
      ...plain(`${id}.counterfactual`, books.counterfactualG * per, 'g'),
      note: 'extra import × its average intensity',
    },
    { ...plain(`${id}.extra-import`, (books.extraImportWh * per) / 1000, 'kWh'), note: 'of 10⁹ tokens' },
    {
      ...plain(`${id}.cost`, books.cost * per, 'units'),
      note: 'extra import at 0.25 in the mean, lost feed-in at 0.08',
    },
    { ...plain(`${id}.days`, days, 'd'), note: 'to the last token' },
    { ...plain(`${id}.fairness`, balance, ''), note: "Jain's index of used energy over a year's own surplus" },
  ];
}

function targets(
  id: string,
  { zones }: Fleet,
  { tokens }: FleetJob,
  {
    'always-on': always,
    greedy,
    ours,
  }: { readonly 'always-on': FleetOutcome; readonly greedy: FleetOutcome; readonly ours: FleetOutcome },
): readonly Figure[] {
  const zonesMeanG = zones.reduce((sum, { averageG }) => sum + mean(averageG), 0) / zones.length;
  const fromGridG = (always.computeWh / 1000) * zonesMeanG;
  const atLeast = (name: string, value: number, note: string): Figure => ({
    id: `${id}.${name}`,
    value,
    unit: '%',
    target: 'at least 95 %',
    met: value >= 95,
    note,
  });
  const atMost = (name: string, value: number, most: number, note: string): Figure => ({
    id: `${id}.${name}`,
    value,
    unit: '×',
    target: `at most ${most} ×`,
    met: value <= most,
    note,
  });
  const marginal = ({ books }: FleetOutcome): number => books.counterfactualMarginalG + books.lostExportMarginalG;
  const perBillion = BILLION / tokens;
  return [
    atLeast(
      'less.counterfactual',
      100 * (1 - ours.books.counterfactualG / fromGridG),
      `ours, below always-on from the grid at the zones' mean of ${zonesMeanG.toFixed(0)} g/kWh`,
    ),
    atLeast(
      'less.attributional',
      100 * (1 - ours.books.attributionalG / fromGridG),
      `the same by source; panels alone are ${((100 * 41) / zonesMeanG).toFixed(1)} % of that mean`,
    ),
    atMost('time', ours.days / always.days, SLOWER, 'ours over always-on'),
    atMost(
      'over-greedy.counterfactual',
      ours.books.counterfactualG / greedy.books.counterfactualG,
      1,
      'ours over greedy',
    ),
    atMost('over-greedy.attributional', ours.books.attributionalG / greedy.books.attributionalG, 1, 'ours over greedy'),
    atMost('over-greedy.time', ours.days / greedy.days, 1, 'ours over greedy'),
    ...[always, ours]
      .map((outcome, i) => ({
        ...plain(`${id}.${['always-on', 'ours'][i]}.with-lost-export`, marginal(outcome) * perBillion, 'g'),
        note: 'of 10⁹ tokens by marginal intensity, and what other plants made for the lost export',
      }))
      .filter(({ value }) => !Number.isNaN(value)),
  ];
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
