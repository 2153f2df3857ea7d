import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import type { LiveRecord, Summary } from '../../src/cli/records.ts';
import type { Figure } from '../figures.ts';
import type { Section } from './section.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const TOKENS = 1_500_000;
const SEEDS = [1, 2, 3];

type Living = 'sun' | 'always';

/** Real training of the same tokens by the same five islands: in homes whose sun comes and goes, and always on. */
export const training: Section = {
  id: 'training',
  figures: async ({ short }) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-bench-sun-'));
    try {
      const seeds = short ? SEEDS.slice(0, 1) : SEEDS;
      const tokens = short ? TOKENS / 5 : TOKENS;
      const pairs = seeds.map((seed) => {
        const [sun, always] = (['sun', 'always'] as const).map((living) => trained(folder, living, seed, tokens));
        return { sun: sun!, always: always! };
      });
      const of = (living: Living, value: (outcome: Outcome) => number): number =>
        mean(pairs.map((pair) => value(pair[living])));
      const loss = ({ validationLoss }: Outcome): number => validationLoss.after!;
      const gap = mean(pairs.map(({ sun, always }) => 100 * (loss(sun) / loss(always) - 1)));
      const gramsPerToken = ({ homes = [], merged }: Outcome): number =>
        homes.reduce((sum, { attributionalG }) => sum + attributionalG, 0) / merged;
      const note = `${pairs.length} seeds; ${pairs.map(({ sun, always }) => `${loss(sun).toFixed(4)} and ${loss(always).toFixed(4)}`).join('; ')}`;
      const figure = (
        id: string,
        value: number,
        unit: string,
        met: boolean | null,
        target: string | null,
        why: string,
      ): Figure => ({
        id: `energy.training.${id}`,
        value,
        unit,
        met,
        target,
        note: why,
      });
      return [
        figure('loss.sun', of('sun', loss), 'nats', null, null, `five homes, ${tokens} tokens merged`),
        figure('loss.always', of('always', loss), 'nats', null, null, 'the same islands, always on'),
        figure('loss.gap', gap, '%', gap <= 1, '≤ 1 %', note),
        figure(
          'goodput.sun',
          of('sun', goodput),
          '% of tokens',
          of('sun', goodput) >= 95,
          '≥ 95 %',
          'merged, of those trained',
        ),
        figure('goodput.always', of('always', goodput), '% of tokens', null, null, 'merged, of those trained'),
        figure(
          'carbon',
          100 * (1 - of('sun', gramsPerToken) / of('always', gramsPerToken)),
          '% less',
          null,
          null,
          'gCO2e per token, attributional, of the simulated homes',
        ),
        figure(
          'time',
          of('sun', ({ wallS }) => wallS) / of('always', ({ wallS }) => wallS),
          '×',
          null,
          null,
          'from begin to end',
        ),
      ];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** A run's summary, and the tokens that are in the model. */
type Outcome = Summary & { readonly merged: number };

/** Of the tokens that islands trained. */
const goodput = ({ merged, tokens }: Outcome): number => (100 * merged) / tokens;

/** As a user would: the command, and what it saved. */
function trained(folder: string, living: Living, seed: number, tokens: number): Outcome {
  const name = `${living}-${seed}`;
  const work = path.join(folder, name);
  mkdirSync(work);
  const run = parse(readFileSync(path.join(ROOT, 'examples/quickstart-sun.yaml'), 'utf8'));
  const homes = parse(readFileSync(path.join(ROOT, 'examples/homes.yaml'), 'utf8'));
  // A rate that falls with the steps would fall otherwise where fewer islands make a step.
  const inner = { ...run.inner, rate: 0.01, schedule: 'constant' };
  const job = {
    ...run,
    name,
    seed,
    inner,
    data: path.join(ROOT, 'data/austen/*.txt'),
    stop: { steps: 100_000, tokens },
  };
  if (living === 'always') for (const home of homes.homes) home.policy = { mode: 'always' };
  writeFileSync(path.join(work, 'run.yaml'), stringify(job));
  writeFileSync(path.join(work, 'homes.yaml'), stringify(homes));
  const main = path.join(ROOT, 'src/cli/main.ts');
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, 'train', 'run.yaml', '--homes', 'homes.yaml'],
    { cwd: work, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } },
  );
  if (status !== 0) throw new Error(`${name} ended with ${status}:\n${stderr.slice(-2_000)}`);
  const read = (file: string): string => readFileSync(path.join(work, 'runs', name, file), 'utf8');
  const { outer } = parse(read('run.yaml')) as { outer: { fragments: number } };
  const merged = read('metrics.jsonl')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LiveRecord)
    .flatMap((record) => (record.kind === 'merge' ? record.contributions : []))
    .reduce((sum, contribution) => sum + contribution.tokens / outer.fragments, 0);
  return { ...(JSON.parse(read('summary.json')) as Summary), merged };
}
