import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { makeFolder } from '../../src/files.ts';
import { publish } from '../figures.ts';
import { findPyTorch } from '../pytorch.ts';
import { agreement } from './agreement.ts';
import { jobsOf, ROWS } from './plan.ts';
import { prepare } from './prepare.ts';
import { figuresOf, readResults, writeReport } from './report.ts';

/**
 * What `bench quality` measures, with larger batches and for longer, on a GPU: all runs of a shape side by side, with PyTorch. Where no GPU is, it prepares
 * a folder that can be taken to one. What is done stays done. `short` asks whether PyTorch and islands train alike, in minutes and on any machine.
 */
export async function scale({ short, json }: { readonly short: boolean; readonly json: string | undefined }) {
  const startedAt = new Date();
  const root = path.resolve(import.meta.dirname, '../..');
  const folder = path.join(root, 'runs/scale');
  const script = path.join(import.meta.dirname, 'islands.py');
  const here = (file: string): string => path.relative(process.cwd(), file);
  const python = findPyTorch();
  if (short) {
    if (python === undefined) {
      console.error('No Python with PyTorch here: `npm run pytorch` installs one.');
      return false;
    }
    const figures = await agreement(path.join(folder, 'short'), python, script);
    if (figures === undefined) return false;
    publish('scale', startedAt, figures, json);
    return figures.every(({ met }) => met);
  }
  makeFolder(folder);
  const results = path.join(folder, 'results.jsonl');
  const done = readResults(results);
  const open = jobsOf(ROWS)
    .map((job) => ({ ...job, runs: job.runs.filter(({ key }) => !done.has(key)) }))
    .filter(({ runs }) => runs.length > 0);
  if (open.length > 0) {
    prepare(folder, open);
    if (python === undefined || spawnSync(python, ['-c', GPU_PROBE]).status !== 0) {
      const why =
        python === undefined
          ? 'No Python with PyTorch here (`npm run pytorch` installs one).'
          : 'PyTorch finds no GPU here, and a processor would take days.';
      console.error(
        `${why}\nTake ${here(folder)} and ${here(script)} to a machine with PyTorch 2 and a GPU, run there\n` +
          `  python3 islands.py scale\nbring scale/results.jsonl back to ${here(results)}, and run this again.`,
      );
      return false;
    }
    if (spawnSync(python, [script, folder], { stdio: 'inherit' }).status !== 0) return false;
  }
  const found = readResults(results);
  const page = path.join(root, 'docs/results/scale.md');
  writeReport(page, found);
  publish('scale', startedAt, figuresOf(found), json);
  console.error(`Tables: ${here(page)}`);
  return true;
}

const GPU_PROBE = 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else 1)';
