#!/usr/bin/env node
import { CommanderError } from 'commander';
import pc from 'picocolors';
import { HelioError } from '../errors.ts';
import { asTyped } from './context.ts';
import { buildProgram } from './program.ts';
import { json, plain } from './terminal-text.ts';

/** Says an error once, in three parts, and returns the exit status that goes with it. */
function explain(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = error instanceof HelioError ? error : undefined;
  if (argv.includes('--jsonl') || argv.includes('--json')) {
    const body = known?.toJSON() ?? {
      code: 'HELIO-0000',
      what: String(error),
      remedy: 'Report this with the command that led to it.',
    };
    process.stdout.write(`${json({ kind: 'error', ...body })}\n`);
  } else if (known !== undefined) {
    const { red, dim } = pc.createColors(process.stderr.isTTY && !process.env.NO_COLOR);
    process.stderr.write(
      `${red('error')} ${dim(known.code)} ${plain(asTyped(known.what))}\n      ${plain(asTyped(known.remedy))}\n`,
    );
  }
  if (known === undefined)
    process.stderr.write(
      `error HELIO-0000 ${plain(String(error instanceof Error ? error.stack : error))}\n      Report this with the command that led to it.\n`,
    );
  return known?.exitCode ?? 1;
}

const finish = (status: number): void => {
  process.exitCode = status;
};
// Whoever reads has read enough, as in `sample RUN | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
const program = buildProgram(finish);
await program.parseAsync().catch((error: unknown) => finish(explain(error, process.argv)));
// Handles of a parent's pipe or of signals must not keep a finished command alive.
process.stdout.write('', () => process.exit());
