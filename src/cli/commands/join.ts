import { createHash } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { runIsland } from '../../island/node/run-island.ts';
import { requireProvider } from '../../ml/engine/node-runtime.ts';
import type { Provider } from '../../ml/engine/session.ts';
import { type CommandContext, onParentGone, printJson, stopSignal, VERSION } from '../context.ts';
import { stateFolder } from '../state-folder.ts';

export interface JoinOptions {
  readonly name?: string;
  readonly threads?: number;
  readonly device: Provider;
  readonly state?: string;
  readonly data?: readonly string[];
  readonly patience: number;
  readonly parent?: boolean;
  readonly quiet?: boolean;
  readonly trace?: string;
}

/** Takes part in a run as one island, until the run is over. */
export async function join(url: string, options: JoinOptions, context: CommandContext): Promise<number> {
  const name = options.name ?? defaultName();
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
    throw new HelioError(
      'HELIO-1006',
      `--name ${name} is no island's name.`,
      'Use up to 63 lower-case letters, digits and dashes.',
    );
  }
  requireProvider(options.device);
  const coordinator = parseAddress(url);
  const controller = new AbortController();
  stopSignal().addEventListener('abort', () => controller.abort());
  // With the parent gone nobody would start us again or read what we write: leave at once.
  if (options.parent === true) onParentGone(() => controller.abort());
  const log = (sentence: string): void => {
    if (options.quiet !== true) process.stderr.write(`${name}: ${sentence}\n`);
  };
  log(`joining ${coordinator.host}`);
  const ending = await runIsland({
    url,
    name,
    software: `heliotrope ${VERSION}`,
    threads: options.threads ?? availableParallelism(),
    device: options.device,
    stateFolder: (run) => options.state ?? path.join(stateFolder(context.environment), 'islands', `${run}-${name}`),
    dataPaths: options.data?.map((p) => path.resolve(p)),
    patienceS: options.patience,
    log,
    traceFile: options.trace,
    signal: controller.signal,
  });
  log(`the run is over for this island: ${ending}`);
  if (context.json) printJson({ island: name, ending });
  return ending === 'failed' ? 1 : ending === 'interrupted' && controller.signal.aborted ? 130 : 0;
}

/** @throws HelioError HELIO-1006 when the text is no WebSocket address */
function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'ws:' || url?.protocol === 'wss:') return url;
  throw new HelioError(
    'HELIO-1006',
    `${text} is not the address of a run.`,
    'Copy it whole from what `heliotrope serve` printed: ws://…',
  );
}

/** The machine's name, and a few letters that tell two processes on it apart. */
function defaultName(): string {
  const host =
    hostname()
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 40) || 'island';
  return `${host}-${createHash('sha256').update(`${hostname()} ${process.pid}`).digest('hex').slice(0, 4)}`;
}
