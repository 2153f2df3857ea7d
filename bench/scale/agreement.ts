import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../../src/files.ts';
import type { Figure } from '../figures.ts';
import { runTrial } from '../quality/run-trial.ts';
import { base, muon } from '../quality/trials.ts';
import { jobsOf, keyOf, type Row } from './plan.ts';
import { prepare } from './prepare.ts';
import { readResults } from './report.ts';

/** The first steps of islands.py beside those of the code that islands run: the same loss, but for rounding. */

const [RATE, SEED] = [0.03, 1];
const SHORT: Row = {
  model: 'small',
  steps: 24,
  batch: 16,
  islands: 2,
  rates: [RATE],
  momentum: 0.9,
  seeds: [SEED],
};
const ROWS = {
  'data-parallel': SHORT,
  'rounds, f32': { ...SHORT, outer: { innerSteps: 7, rate: 0.8, momentum: 0.7, codec: 'f32' } },
  'rounds, int4': { ...SHORT, outer: { innerSteps: 7, rate: 0.8, momentum: 0.7, codec: 'int4' } },
} as const satisfies Readonly<Record<string, Row>>;

/** How far two losses may lie apart: rounding in float32, and with four bits where rounding tips a code. */
const BOUNDS: Readonly<Record<keyof typeof ROWS, number>> = {
  'data-parallel': 1e-4,
  'rounds, f32': 1e-4,
  'rounds, int4': 5e-3,
};

export async function agreement(
  folder: string,
  python: string,
  script: string,
): Promise<readonly Figure[] | undefined> {
  // Always anew: what an earlier islands.py trained says nothing of this one.
  rmSync(folder, { recursive: true, force: true });
  makeFolder(folder);
  prepare(folder, jobsOf(Object.values(ROWS)));
  if (spawnSync(python, [script, folder], { stdio: 'inherit' }).status !== 0) return undefined;
  const theirs = readResults(path.join(folder, 'results.jsonl'));
  const figures: Figure[] = [];
  for (const [name, row] of Object.entries(ROWS) as [keyof typeof ROWS, Row][]) {
    const ours = await runTrial(trialOf(row));
    const other = theirs.get(keyOf(row, RATE, SEED))!.test;
    const apart = Math.abs(ours.test - other);
    figures.push({
      id: `scale.agreement.${name.replaceAll(/[^a-z0-9]+/g, '-')}`,
      value: apart,
      unit: 'nats/token',
      target: `≤ ${BOUNDS[name]}`,
      met: apart <= BOUNDS[name],
      note: `${ours.test.toFixed(5)} and ${other.toFixed(5)} after ${row.steps} steps`,
    });
  }
  return figures;
}

function trialOf({ model, steps, batch, islands, momentum, outer }: Row) {
  const trial = { ...base(model, steps, islands), batch, seed: SEED, inner: muon(RATE, undefined, momentum) };
  if (outer === undefined) return { ...trial, who: 'together' as const };
  const { codec, ...rest } = outer;
  return { ...trial, outer: { ...rest, upCodec: codec, downCodec: codec } };
}
