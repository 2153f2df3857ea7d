import { existsSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { lastServed } from '../addresses.ts';
import { type CommandContext, colorful, onParentGone, print, printJson, stopSignal, tell } from '../context.ts';
import { type HostOptions, hostRun, isLoopback } from '../host-run.ts';
import { jsonLog } from '../json-log.ts';
import { describeCode } from '../live/describe.ts';
import { count } from '../live/format.ts';
import { ProgressDisplay } from '../live/progress-display.ts';
import type { ServeLine, Summary } from '../records.ts';
import { reportLines } from '../report/report-terminal.ts';
import { readRunFile } from '../run-file.ts';
import { findRun, readJson } from '../run-folder.ts';
import { json } from '../terminal-text.ts';
import type { TlsOptions } from '../tls.ts';
import { describeJoinRequest } from './status.ts';
import { exitStatusOf } from './train.ts';

export interface ServeOptions extends TlsOptions {
  readonly islands?: number;
  readonly resume?: string;
  readonly continue?: boolean;
  readonly log?: 'json';
  readonly host?: string;
  readonly port?: number;
  readonly announce?: readonly string[];
  readonly allowOrigin?: readonly string[];
  readonly lan: boolean;
  readonly wait: number;
  readonly lease: number;
  readonly storePatience: number;
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
  stopSignal(['SIGINT', 'SIGHUP']).addEventListener('abort', () => controller.abort());
  if (options.parent === true) onParentGone(() => controller.abort());
  const source = sourceOf(file, options, context);
  if (source === 'finished') return 0;
  const at = placeOf(options, source);
  const tls = { ...options, tls: tlsChoice(at) };
  const emit =
    options.jsonl === true ? writeLine : options.log === 'json' ? jsonLog() : show({ ...tls, host: at.host }, context);
  const summary = await hostRun({
    source,
    islands: options.islands,
    host: at.host,
    port: at.port,
    announced: options.announce ?? [],
    origins: options.allowOrigin ?? [],
    lan: options.lan,
    tls,
    gatherS: options.wait,
    leaseS: options.lease,
    storePatienceS: options.storePatience,
    store: options.store,
    blobs: options.blobs,
    emit,
    signal: controller.signal,
    handOver: stopSignal(['SIGTERM']),
  });
  if (summary === undefined) {
    if (options.jsonl !== true) tell('stopped; resume the run with --resume or --continue');
    return 0;
  }
  if (options.jsonl === true) writeLine({ kind: 'result', summary });
  else if (context.json) printJson(summary);
  else
    for (const line of reportLines(summary, path.join(context.runs, summary.name), colorful(context.environment)))
      print(line);
  return exitStatusOf(summary);
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly tls?: string | undefined;
  readonly tlsCert?: string | undefined;
}

/** Where to listen, and whether encrypted: as it is told, or where a run that goes on was before, as its islands look for it there. */
export function placeOf(
  { host, port, tls, tlsCert }: Pick<ServeOptions, 'host' | 'port' | 'tls' | 'tlsCert'>,
  source: HostOptions['source'],
): Place {
  const before = source.kind === 'resume' ? lastServed(source.folder) : undefined;
  const asBefore = before !== undefined && host === undefined && tls === undefined && tlsCert === undefined;
  return {
    host: host ?? before?.listens.host ?? '127.0.0.1',
    port: port ?? before?.listens.port ?? 7_420,
    tls: asBefore ? (before.secure ? 'self-signed' : 'none') : tls,
    tlsCert,
  };
}

/** Beyond loopback, connections are encrypted unless the host says otherwise: a proxy may do it. */
export function tlsChoice({ tls, tlsCert, host }: Omit<Place, 'port'>): 'self-signed' | undefined {
  if (tls === 'none' || tlsCert !== undefined) return undefined;
  return tls === 'self-signed' || !isLoopback(host) ? 'self-signed' : undefined;
}

/** What to begin or go on with. */
function sourceOf(
  file: string | undefined,
  options: ServeOptions,
  { runs }: CommandContext,
): HostOptions['source'] | 'finished' {
  if (file === undefined) return { kind: 'resume', folder: findRun(runs, options.resume!) };
  const folder = path.join(runs, readRunFile(file).job.name);
  if (options.continue !== true || !existsSync(path.join(folder, 'run.yaml'))) return { kind: 'file', file, runs };
  if (readJson<Summary>(path.join(folder, 'summary.json'))?.status !== 'finished') return { kind: 'resume', folder };
  tell(`${folder} is finished; nothing to do`);
  return 'finished';
}

function writeLine(line: ServeLine): void {
  process.stdout.write(`${json(line)}\n`);
}

function show(
  options: Omit<ServeOptions, 'tls' | 'host'> & { readonly tls: string | undefined; readonly host: string },
  context: CommandContext,
): (line: ServeLine) => void {
  let display = new ProgressDisplay(process.stderr, 1, 'tokens', context.environment);
  let run = '';
  return (line) => {
    if (line.kind === 'record') display.take(line.record);
    if (line.kind === 'join-request')
      display.say(`${describeJoinRequest(line)}. Let it in: heliotrope admit ${run} ${line.island}`);
    if (line.kind === 'notice') display.say(line.sentence);
    if (line.kind === 'fault') display.say(`closed a connection after an internal error (${line.place}): ${line.what}`);
    if (line.kind === 'code') display.say(describeCode(line));
    if (line.kind !== 'serving') return;
    display = new ProgressDisplay(process.stderr, line.steps, line.unit, context.environment);
    run = path.basename(line.folder);
    if (line.keptAs !== null)
      display.say(
        `this run is new; the earlier one of its name is kept in ${path.relative('', line.keptAs)} (to resume instead: --continue)`,
      );
    display.say(`listening on ${options.host}:${line.port}${(options.tls ?? options.tlsCert) ? ', encrypted' : ''}`);
    display.say(
      `folder ${path.relative('', line.folder) || '.'}; waiting for ${count(line.islands, 'island')}. To join:`,
    );
    display.say(`heliotrope join '${line.invitation}'`);
    display.say(
      `add --data FILES to train on files of its own, or --data-root FOLDER where it has the run's files (here: ${line.dataRoot})`,
    );
    if (line.code !== null) display.say(`or, on this network, by the code: heliotrope join ${line.code}`);
    for (const notice of line.notices) display.say(notice);
    if (!isLoopback(options.host) && options.tls === undefined && options.tlsCert === undefined)
      display.say(
        'Connections are not encrypted (--tls none): only an encrypting proxy, or a network that you trust, should reach this port.',
      );
  };
}
