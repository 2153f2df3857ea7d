import path from 'node:path';
import { makeFolder } from '../../src/files.ts';
import { publish } from '../figures.ts';
import { sections } from './plan.ts';
import { Results, runTrials } from './pool.ts';
import { figuresOf, readPage, writeReport } from './report.ts';
import type { Trial } from './trial.ts';

/**
 * How good training across islands is: every setting against synchronous data-parallel, by the contract in docs/results/quality.md.
 * What is done stays done: broken off, it goes on where it was.
 */
export async function quality({
  short,
  json,
  only,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
  /** Ids of sections; all when empty. */
  readonly only: readonly string[];
}): Promise<boolean> {
  const startedAt = new Date();
  const root = path.resolve(import.meta.dirname, '../..');
  const results = new Results(path.join(root, 'runs/quality/results.jsonl'));
  const all = sections(short);
  const plan = all.filter(({ id }) => only.length === 0 || only.includes(id));
  const trials = new Map<string, Trial>();
  // The first seed of everything comes first: a section is reported as soon as it is there.
  const most = Math.max(0, ...plan.map(({ seeds }) => seeds.length));
  for (let i = 0; i < most; i++) {
    for (const { seeds, rows } of plan) {
      const seed = seeds[i];
      if (seed === undefined) continue;
      for (const { trial } of rows) trials.set(JSON.stringify({ ...trial, seed }), { ...trial, seed });
    }
  }
  const open = [...trials.values()].filter((trial) => results.of(trial) === undefined);
  console.error(`${trials.size} runs, ${trials.size - open.length} of them done before.`);
  let done = 0;
  await runTrials(open, (trial, outcome) => {
    done++;
    const what = `${trial.who} ${trial.islands} ${trial.model} ${trial.steps} seed ${trial.seed}`;
    if ('error' in outcome) return console.error(`${done}/${open.length} ${what}: ${outcome.error}`);
    results.keep(trial, outcome);
    console.error(`${done}/${open.length} ${what}: ${outcome.test.toFixed(4)} in ${outcome.wallS.toFixed(0)} s`);
  });
  const folder = path.join(root, short ? 'runs/quality/short' : 'docs/results');
  makeFolder(folder);
  const page = readPage(folder);
  writeReport(folder, all, results, page);
  publish('quality', startedAt, figuresOf(all, results, page), json);
  console.error(`Tables and plots: ${path.relative(process.cwd(), path.join(folder, 'quality.md'))}`);
  return true;
}
