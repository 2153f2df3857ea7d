import { existsSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { requireProvider } from '../../ml/engine/node-runtime.ts';
import type { Provider } from '../../ml/engine/session.ts';
import { type CommandContext, colorful, print, printJson, stopSignal, tell } from '../context.ts';
import { count, duration, integer } from '../live/format.ts';
import { ProgressDisplay } from '../live/progress-display.ts';
import { livingHomes } from '../living-homes.ts';
import { runLocally } from '../local-run.ts';
import { planLines, planRun } from '../plan.ts';
import type { Summary } from '../records.ts';
import { reportLines } from '../report/report-terminal.ts';
import { findRun } from '../run-folder.ts';

export interface TrainOptions {
  readonly islands?: number;
  readonly resume?: string;
  readonly dryRun?: boolean;
  /** Where the islands compute; the CPU when left out. */
  readonly device?: Provider;
  /** A file of simulated homes, and how much faster their clock is. */
  readonly homes?: string;
  readonly speed?: string;
}

/** Trains a run file on this machine, or goes on with an interrupted run. @returns the exit status */
export async function train(file: string | undefined, options: TrainOptions, context: CommandContext): Promise<number> {
  if ((file === undefined) === (options.resume === undefined)) {
    throw new HelioError(
      'HELIO-1006',
      'train takes either a run file or --resume RUN.',
      'For example: `heliotrope train examples/minimal.yaml`.',
    );
  }
  if (options.speed !== undefined && options.homes === undefined)
    throw new HelioError('HELIO-1006', '--speed is given without --homes.', 'It is the speed of the clock of homes.');
  if (options.dryRun === true && file !== undefined) return dryRun(file, options, context);
  const { summary, folder } = await trainLocally(file, options, context, stopSignal());
  if (context.json) printJson({ ...summary, folder });
  else {
    for (const line of reportLines(summary, path.relative('', folder) || '.', colorful(context.environment)))
      print(line);
  }
  if (summary.status === 'interrupted') {
    tell(`Stopped with a checkpoint. To resume: heliotrope train --resume ${path.basename(folder)}`);
  }
  return exitStatusOf(summary);
}

export const exitStatusOf = ({ status }: Summary): number => ({ finished: 0, failed: 5, interrupted: 130 })[status];

/** Runs `serve` and its islands, with progress on stderr. */
export async function trainLocally(
  file: string | undefined,
  options: TrainOptions,
  context: CommandContext,
  signal: AbortSignal,
): Promise<{ readonly summary: Summary; readonly folder: string }> {
  requireProvider(options.device ?? 'cpu');
  const source = file === undefined ? ['--resume', findRun(context.runs, options.resume!)] : [file];
  if (file !== undefined && !existsSync(file)) {
    throw new HelioError(
      'HELIO-1001',
      `The run file ${file} does not exist.`,
      'Check its name; examples/ holds some to start from.',
    );
  }
  const living = options.homes === undefined ? undefined : livingHomes(options, context);
  const expected = living?.islands ?? options.islands;
  const islands = expected === undefined ? [] : ['--islands', String(expected)];
  let display = new ProgressDisplay(process.stderr, 1, 'tokens', context.environment);
  const stopping = (): void => display.say('stopping with a checkpoint; press Ctrl-C again to stop without one');
  signal.addEventListener('abort', stopping);
  try {
    const done = await runLocally({
      device: options.device ?? 'cpu',
      ...(living === undefined ? {} : { homes: living.homes, threads: living.threads }),
      serveArguments: [...source, ...islands, '--runs', context.runs],
      signal,
      onServing: (line) => {
        living?.begins(line.folder);
        display = new ProgressDisplay(process.stderr, line.steps, line.unit, context.environment, living?.view);
        if (line.keptAs !== null) display.say(`the earlier run is kept in ${path.relative('', line.keptAs)}`);
        display.say(
          `${count(line.islands, 'island')}, ${integer(line.parameters)} parameters, folder ${path.relative('', line.folder) || '.'}`,
        );
        for (const notice of line.notices) display.say(notice);
      },
      onRecord: (record) => display.take(record),
      onNotice: (sentence) => display.say(sentence),
    });
    return living === undefined ? done : { ...done, summary: await living.summarized(done) };
  } finally {
    signal.removeEventListener('abort', stopping);
    display.finish();
  }
}

async function dryRun(file: string, { islands, device }: TrainOptions, context: CommandContext): Promise<number> {
  const { environment } = context;
  const plan = await planRun(file, islands, { device: device ?? 'cpu', environment, signal: stopSignal() });
  if (context.json) printJson(plan);
  else for (const line of planLines(plan, duration)) print(line);
  return 0;
}
