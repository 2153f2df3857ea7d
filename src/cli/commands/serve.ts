import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { type CommandContext, colorful, onParentGone, print, printJson, stopSignal } from '../context.ts';
import { hostRun } from '../host-run.ts';
import { Painter } from '../live/painter.ts';
import type { ServeLine } from '../records.ts';
import { reportLines } from '../report/report-terminal.ts';
import { findRun } from '../run-folder.ts';
import type { TlsOptions } from '../tls.ts';
import { exitStatusOf } from './train.ts';

export interface ServeOptions extends TlsOptions {
  readonly islands?: number;
  readonly resume?: string;
  readonly host: string;
  readonly port: number;
  readonly announce?: readonly string[];
  readonly wait: number;
  readonly lease: number;
  readonly store?: string;
  readonly blobs?: string;
  readonly jsonl?: boolean;
  readonly parent?: boolean;
}

/** Hosts a run: prints the invitation that islands join with, and shows the run as it goes. */
export async function serve(file: string | undefined, options: ServeOptions, context: CommandContext): Promise<number> {
  if ((file === undefined) === (options.resume === undefined)) {
    throw new HelioError(
      'HELIO-1006',
      'serve takes either a run file or --resume RUN.',
      'For example: `heliotrope serve examples/minimal.yaml`.',
    );
  }
  const controller = new AbortController();
  stopSignal().addEventListener('abort', () => controller.abort());
  if (options.parent === true) onParentGone(() => controller.abort());
  const emit = options.jsonl === true ? writeLine : show(options, context);
  const summary = await hostRun({
    source:
      file === undefined
        ? { kind: 'resume', folder: findRun(context.runs, options.resume!) }
        : { kind: 'file', file, runs: context.runs },
    islands: options.islands,
    host: options.host,
    port: options.port,
    announced: options.announce ?? [],
    tls: options,
    gatherS: options.wait,
    leaseS: options.lease,
    store: options.store,
    blobs: options.blobs,
    emit,
    signal: controller.signal,
  });
  if (options.jsonl === true) writeLine({ kind: 'result', summary });
  else if (context.json) printJson(summary);
  else
    for (const line of reportLines(summary, path.join(context.runs, summary.name), colorful(context.environment)))
      print(line);
  return exitStatusOf(summary);
}

function writeLine(line: ServeLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function show(options: ServeOptions, context: CommandContext): (line: ServeLine) => void {
  let painter = new Painter(process.stderr, 1, context.environment);
  return (line) => {
    if (line.kind === 'record') painter.take(line.record);
    if (line.kind !== 'serving') return;
    painter = new Painter(process.stderr, line.steps, context.environment);
    painter.say(`listening on ${options.host}:${line.port}${(options.tls ?? options.tlsCert) ? ', encrypted' : ''}`);
    painter.say(`folder ${path.relative('', line.folder) || '.'}; waiting for ${line.islands} islands. Join with:`);
    painter.say(`heliotrope join '${line.invitation}'`);
    for (const notice of line.notices) painter.say(notice);
    const local = ['127.0.0.1', '::1', 'localhost'].includes(options.host);
    if (!local && options.tls === undefined && options.tlsCert === undefined)
      painter.say(
        'Connections are not encrypted: add --tls self-signed, or let only a network that you trust reach this port.',
      );
  };
}
