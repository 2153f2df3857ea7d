import { createHash } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { type OpenSite, openSite } from '../../island/node/owner/open-site.ts';
import type { Route } from '../../island/node/route-search.ts';
import { runIsland } from '../../island/node/run-island.ts';
import { stateFolder } from '../../island/node/state-folder.ts';
import { type DataAccess, readsHeldOut } from '../../island/own-data.ts';
import { requireProvider } from '../../ml/engine/node-runtime.ts';
import type { Provider } from '../../ml/engine/session.ts';
import { type InvitationLink, readLink, writeLink } from '../../protocol/invitation.ts';
import { RUN_PATH } from '../../protocol/messages.ts';
import { readClock } from '../../simulate/site-clock.ts';
import { type CommandContext, onParentGone, print, printJson, stopSignal, tell, VERSION } from '../context.ts';
import { keptIdentity } from '../identity-file.ts';
import { linkByCode, type Search } from '../lan/by-code.ts';
import { type FoundRun, findRuns } from '../lan/discovery.ts';
import { CODE_PATTERN } from '../lan/join-code.ts';
import { openSimulatedHome } from '../simulated-home.ts';
import { followSiteFile, readSiteFile } from '../site-file.ts';
import { sanitized } from '../terminal-text.ts';
import { siteFolder } from './owner.ts';

export interface JoinOptions {
  readonly name?: string;
  readonly threads?: number;
  readonly device: Provider;
  readonly state?: string;
  readonly data?: readonly string[];
  readonly dataRoot?: readonly string[];
  readonly at?: readonly string[];
  readonly patience: number;
  readonly evaluate: boolean;
  readonly parent?: boolean;
  readonly quiet?: boolean;
  readonly trace?: string;
  readonly uplink?: readonly string[];
  readonly site?: string;
  /** FILE#NAME of a simulated home, and the clock that it lives by; `train --homes` sets them. */
  readonly simulatedHome?: string;
  readonly siteClock?: string;
}

/** Takes part in a run as one island, until the run is over. */
export async function join(
  argument: string | undefined,
  options: JoinOptions,
  context: CommandContext,
): Promise<number> {
  const name = options.name ?? defaultName();
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
    throw new HelioError(
      'HELIO-1006',
      `--name ${name} is not a valid name for an island.`,
      'Use up to 63 lower-case letters, digits and dashes.',
    );
  }
  requireProvider(options.device);
  // What stands on a command line is seen by all users of a machine; the environment is not.
  const where = argument ?? context.environment.HELIOTROPE_INVITATION;
  if (where === undefined) return listRuns(context);
  const identity = await keptIdentity(path.join(options.state ?? stateFolder(context.environment), 'island.key'));
  const controller = new AbortController();
  stopSignal().addEventListener('abort', () => controller.abort());
  // With the parent gone nobody would start us again or read what we write: leave at once.
  if (options.parent === true) onParentGone(() => controller.abort());
  const log = (sentence: string): void => {
    if (options.quiet !== true) tell(`${name}: ${sanitized(sentence)}`);
  };
  const link = CODE_PATTERN.test(where)
    ? await byCode(where.toLowerCase(), options.at ?? [], log, controller.signal)
    : readLink(where);
  if (link === undefined) return 130;
  const { addresses, secure, fingerprint, invitation } = link;
  log(`joining ${addresses[0]}`);
  const access = accessOf(options);
  if (access.kind === 'own')
    log(
      readsHeldOut(access)
        ? "it trains on all of its own data, and validates on the run's held-out data"
        : "it trains on all of its own data; others validate, on the run's held-out data",
    );
  // A site file that is wrong is told before anything is connected.
  const home = await openHome(options, log, context);
  const ending = await runIsland({
    rules: home?.governor,
    books: home?.books,
    onBytes: home?.onBytes,
    routes: routesOf(addresses, secure, fingerprint, options.uplink ?? []),
    name,
    identity,
    invitation,
    software: `heliotrope ${VERSION}`,
    threads: options.threads ?? availableParallelism(),
    device: options.device,
    stateFolder: (run) => options.state ?? path.join(stateFolder(context.environment), 'islands', `${run}-${name}`),
    data: access,
    patienceS: options.patience,
    evaluates: options.evaluate,
    log,
    traceFile: options.trace,
    signal: controller.signal,
  }).finally(() => home?.close());
  const isStopped = ending === 'interrupted' && controller.signal.aborted;
  log(isStopped ? 'stopped; the same command joins again' : `the run is over for this island: ${ending}`);
  if (context.json) printJson({ island: name, ending });
  return ending === 'failed' ? 1 : isStopped ? 130 : 0;
}

async function openHome(
  { site, simulatedHome, siteClock, state }: JoinOptions,
  say: (sentence: string) => void,
  { environment }: CommandContext,
): Promise<(Pick<OpenSite, 'governor' | 'close'> & Partial<Pick<OpenSite, 'books' | 'onBytes'>>) | undefined> {
  if (simulatedHome !== undefined)
    return openSimulatedHome(simulatedHome, readClock(siteClock ?? ''), state ?? siteFolder(environment));
  if (site === undefined) return undefined;
  const follow = followSiteFile(site, say);
  return openSite({ site: readSiteFile(site), folder: siteFolder(environment), say, changed: follow });
}

/** What the owner named: his own files to train on, folders for what the run names. With neither, nothing is read that a host names. */
function accessOf({ data, dataRoot = [] }: JoinOptions): DataAccess {
  const folders = dataRoot.map((p) => path.resolve(p));
  if (data !== undefined) return { kind: 'own', paths: data.map((p) => path.resolve(p)), folders };
  return { kind: 'inside', folders };
}

const SEARCH_S = 4;

/** The link that the host of a code's run gives whoever knows the code; undefined when it was stopped meanwhile. */
async function byCode(
  code: string,
  at: readonly string[],
  say: (sentence: string) => void,
  signal: AbortSignal,
): Promise<InvitationLink | undefined> {
  const candidates: Search['candidates'] = async (found, ended) => {
    for (const address of at) found({ name: 'what was named', addresses: [address], secure: undefined });
    if (at.length > 0) return;
    await findRuns(
      SEARCH_S,
      ({ run, addresses, secure, takesCodes }) => takesCodes && found({ name: run, addresses, secure }),
      ended,
    );
  };
  try {
    const link = await linkByCode({ code, candidates, say, signal });
    if (!link.secure)
      say('the host serves without TLS: anybody in between can read the model, and change what the host sends');
    return link;
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/** Says what runs say of themselves on this network. */
async function listRuns(context: CommandContext): Promise<number> {
  const found: FoundRun[] = [];
  await findRuns(SEARCH_S, (run) => found.push(run));
  const runs = found.toSorted((a, b) => (a.run < b.run ? -1 : 1));
  if (context.json) printJson(runs);
  else if (runs.length === 0)
    print('No run was found on this network. Join one by its invitation link: heliotrope join LINK');
  else {
    for (const { run, ...reached } of runs)
      print(`${run.padEnd(32)} to ask the host: heliotrope join '${writeLink({ ...reached, invitation: null })}'`);
    print('With a code from the host: heliotrope join CODE');
  }
  return 0;
}

/** Every address of the coordinator, by each of this machine's uplinks: the first uplink's before the second's. */
function routesOf(
  addresses: readonly string[],
  secure: boolean,
  fingerprint: string | undefined,
  uplinks: readonly string[],
): readonly Route[] {
  const from = uplinks.length === 0 ? [undefined] : uplinks;
  return from.flatMap((localAddress) =>
    addresses.map((address) => ({
      url: `${secure ? 'wss' : 'ws'}://${address}${RUN_PATH}`,
      fingerprint,
      localAddress,
    })),
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
