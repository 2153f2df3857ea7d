import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import path from 'node:path';
import { type Ending, RunServer } from '../coordinator/server/server.ts';
import type { RunSettings } from '../coordinator/state.ts';
import { explainSystemError, HelioError } from '../errors.ts';
import { writeWhole } from '../files.ts';
import type { Preparation } from '../island/node/job-data.ts';
import type { ParameterArrays } from '../ml/tensor/parameters.ts';
import { joinArrays } from '../ml/tensor/tensor-source.ts';
import { unitOf } from '../protocol/job.ts';
import type { Job } from '../protocol/run-file.ts';
import {
  addressesOf,
  brokenLinks,
  inviteTo,
  lastServed,
  newInvitationId,
  type Served,
  writeServed,
} from './addresses.ts';
import { beginRun } from './begin-run.ts';
import { watchCertificate } from './certificate-watch.ts';
import { VERSION } from './context.ts';
import { CostCounter, countFromNow, cpuSecondsSince, earlierCosts, type Since } from './costs.ts';
import { energyPlanNotices } from './energy-plan-checks.ts';
import { keptIdentity } from './identity-file.ts';
import { standingInvitation } from './invitations-file.ts';
import { Journal } from './journal.ts';
import { lanHost } from './lan/lan-host.ts';
import { membersWriter, readMembers } from './members-file.ts';
import { outerNotices } from './outer-checks.ts';
import { folderPreparation, frozenFile, type PreparedRun, prepareRun } from './prepare-run.ts';
import type { LiveRecord, ServeLine, Summary } from './records.ts';
import { readCurves } from './report/metrics.ts';
import { modelCard } from './report/model-card.ts';
import { reportHtml } from './report/report-html.ts';
import { saveCheckpoint } from './run-checkpoint.ts';
import { readRunFile, writeRunFile } from './run-file.ts';
import { createRunFolder, type NewRunFolder } from './run-folder.ts';
import { lockRun, refuseIfHosted } from './run-lock.ts';
import { sharedJob } from './shared-job.ts';
import { openStores } from './stores.ts';
import { sampleBoth, summarize } from './summarize.ts';
import { type TlsOptions, tlsOf } from './tls.ts';
import { savePreparation, saveTrained } from './trained-model.ts';

export interface HostOptions {
  /** A run file to begin with, or the folder of a run to go on with. */
  readonly source:
    | { readonly kind: 'file'; readonly file: string; readonly runs: string }
    | { readonly kind: 'resume'; readonly folder: string };
  readonly islands: number | undefined;
  readonly host: string;
  readonly port: number;
  /** Addresses for invitations, where they are not those that it listens on. */
  readonly announced: readonly string[];
  /** Origins of web pages that may talk to the coordinator. */
  readonly origins: readonly string[];
  /** Whether to be found on the local network, where it listens there. */
  readonly lan: boolean;
  readonly tls: TlsOptions;
  readonly gatherS: number;
  readonly leaseS: number;
  /** How long a database or blob store that is away is waited for. */
  readonly storePatienceS: number;
  /** postgres://…; undefined: a database in the run's folder. */
  readonly store: string | undefined;
  /** s3://BUCKET/PREFIX; undefined: files in the run's folder. */
  readonly blobs: string | undefined;
  readonly emit: (line: ServeLine) => void;
  /** Aborted: the run stops with a checkpoint. */
  readonly signal: AbortSignal;
  /** Aborted: this process ends in good order, and the run goes on when another one resumes it. */
  readonly handOver: AbortSignal;
}

/** Hosts one run from its first island to its report. @returns its summary, as written to the run's folder; undefined when it was handed over */
export async function hostRun(options: HostOptions): Promise<Summary | undefined> {
  const since = countFromNow();
  // Whoever serves it already has the port as well: that is the better answer.
  if (options.source.kind === 'resume') refuseIfHosted(options.source.folder);
  await requireFreePort(options);
  const { prepared, folder, keptAs, unlock } = await open(options);
  try {
    return await host(options, prepared, folder, keptAs, since);
  } finally {
    unlock();
  }
}

async function host(
  options: HostOptions,
  prepared: PreparedRun,
  folder: string,
  keptAs: string | undefined,
  since: Since,
): Promise<Summary | undefined> {
  const run = runIdentity(prepared.job.name, folder);
  const identity = await keptIdentity(path.join(folder, 'run.key'));
  const tls = await tlsOf(options.tls, folder);
  const say = (sentence: string): void => options.emit({ kind: 'notice', sentence });
  const spent = earlierCosts(folder, say);
  const { store, blobs } = await openStores(options, folder, run, { forMs: options.storePatienceS * 1000, say });
  const settings = settingsOf(prepared, options);
  const { state, recoveredMs, records, aggregation } = await beginRun({
    prepared,
    folder,
    store,
    blobs,
    settings,
    resume: options.source.kind === 'resume',
  }).catch(async (error: unknown) => {
    await store.close().catch(() => {});
    throw error;
  });
  const nowS = (): number => Date.now() / 1000;
  const emit = (record: LiveRecord): void => options.emit({ kind: 'record', record });
  const journal = await Journal.begin({ folder, store, records, emit, say, nowS });
  const lan =
    options.lan && !isLoopback(options.host)
      ? await lanHost(identity, (tried) => options.emit({ kind: 'code', ...tried }))
      : undefined;
  const { job: told, dataRoot } = sharedJob(prepared.job, prepared.dataFolder);
  const server = await RunServer.start({
    run,
    job: told,
    dataFolder: '',
    preparation: JSON.stringify(prepared.preparation),
    base: frozenFile(prepared),
    settings,
    state,
    recoveredMs,
    aggregation,
    store,
    blobs,
    keepCheckpoints: prepared.job.checkpoints.keep,
    host: options.host,
    port: options.port,
    tls,
    hostKey: identity.publicKey,
    sign: identity.sign,
    adminToken: adminTokenOf(folder),
    version: VERSION,
    nowMs: () => performance.now(),
    nowS,
    hosts: namesOf(options),
    origins: options.origins,
    members: readMembers(folder),
    onMembers: membersWriter(folder, say),
    earlierTraffic: spent?.traffic,
    earlierMachines: spent?.machines,
    hostCpuS: () => (spent?.cpuS ?? 0) + cpuSecondsSince(since),
    isLocal: isLoopback(options.host) && options.announced.length === 0,
    onFault: (error, place) => options.emit({ kind: 'fault', place, what: faultText(error) }),
    codes: lan?.server,
    onJoinRequest: (request) => options.emit({ kind: 'join-request', ...request }),
    onRecord: (record, trafficOf) => journal.record(record, trafficOf),
    onSave: async () => {
      // A replay begins from here: what was merged before is written down for good.
      await journal.flush();
      return saveCheckpoint(blobs, aggregation);
    },
  });
  const costs = new CostCounter(
    { folder, since, say, traffic: () => server.traffic, machines: () => server.machines },
    spent,
  );
  const served: Served = {
    run,
    addresses: addressesOf(options.host, server.port, options.announced),
    fingerprint: tls?.fingerprint ?? null,
    secure: tls !== undefined,
    listens: { host: options.host, port: server.port },
  };
  const broken = brokenLinks(lastServed(folder), served, prepared.job.name);
  if (broken !== undefined) say(broken);
  writeServed(folder, served);
  const hide = lan?.begin(served);
  const standing = standingInvitation(folder, state.revoked ?? {}, newInvitationId, nowS());
  options.emit({
    kind: 'serving',
    invitation: await inviteTo(served, identity, standing),
    code: lan?.code ?? null,
    port: server.port,
    folder,
    dataRoot,
    islands: prepared.job.islands,
    steps: prepared.job.stop.steps,
    unit: unitOf(prepared.job),
    parameters: prepared.parameterCount,
    keptAs: keptAs ?? null,
    notices: [...prepared.notices, ...outerNotices(prepared.job), ...energyPlanNotices(prepared.job, Date.now())],
  });
  const { tlsCert, tlsKey } = options.tls;
  const forget =
    tls === undefined || tlsCert === undefined || tlsKey === undefined
      ? undefined
      : watchCertificate({ cert: tlsCert, key: tlsKey }, tls, {
          use: (pair) => server.useCertificate(pair),
          say: (sentence) => options.emit({ kind: 'notice', sentence }),
        });
  const stop = (): void => server.requestStop();
  if (options.signal.aborted) stop();
  options.signal.addEventListener('abort', stop);
  const handedOver = new Promise<undefined>((resolve) => {
    if (options.handOver.aborted) resolve(undefined);
    options.handOver.addEventListener('abort', () => resolve(undefined));
  });
  try {
    const ending = await Promise.race([server.ended, handedOver]);
    if (ending === undefined) {
      await server.suspend();
      costs.close();
      await journal.close();
      await store.close();
      return undefined;
    }
    await server.lastWords();
    await server.close();
    await journal.close();
    await store.close();
    const parameters = await aggregation.takeParameters();
    return await conclude(prepared, folder, server, parameters, ending, costs);
  } catch (error) {
    await server.close();
    await journal.close();
    throw error;
  } finally {
    costs.close();
    forget?.();
    await hide?.();
    await aggregation.close();
  }
}

/** Before anything is made or moved aside. @throws HelioError HELIO-4001 when the port is in use */
async function requireFreePort({ host, port }: HostOptions): Promise<void> {
  if (port === 0) return;
  // A connection that is reset in this moment must not end this process.
  const probe = createServer((socket) => socket.on('error', () => {}).destroy());
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (error) => reject(explainSystemError(error, `listen on ${host}:${port}`)));
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

/** Names that people reach this coordinator by: those that are announced, what it listens on, and this machine's own. */
function namesOf({ host, announced }: HostOptions): readonly string[] {
  const named = announced.map((address) => address.replace(/:\d+$/, ''));
  const own = hostname().toLowerCase();
  return [...named, host, own, `${own.replace(/\.local$/, '')}.local`].map((name) => name.toLowerCase());
}

const faultText = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join(' ') : String(error);

export const isLoopback = (host: string): boolean => ['127.0.0.1', '::1', 'localhost'].includes(host);

/**
 * Name and a random number that tells runs of one name apart: islands keep checkpoints under it, and must not take
 * those of an earlier run for this one's.
 */
export function runIdentity(name: string, folder: string): string {
  const file = path.join(folder, 'run.id');
  if (!existsSync(file)) writeWhole(file, randomBytes(4).toString('hex'));
  return `${name}-${readFileSync(file, 'utf8').trim()}`;
}

/** The host's token for the HTTP API; a file that nobody else may read. */
export function adminTokenOf(folder: string): string {
  const file = path.join(folder, 'run.admin');
  if (!existsSync(file)) writeWhole(file, randomBytes(24).toString('base64url'), 0o600);
  return readFileSync(file, 'utf8').trim();
}

/** The prepared run and its folder; a new one gets run.yaml and what its data need at once. */
async function open({ source, islands }: HostOptions): Promise<NewRunFolder & { prepared: PreparedRun }> {
  if (source.kind === 'resume') {
    const { folder } = source;
    const { job } = readRunFile(path.join(folder, 'run.yaml'));
    const prepared = await prepareRun(job, folder, keptPreparation(folder, 'paths' in job.data));
    return { prepared, folder, keptAs: undefined, unlock: lockRun(folder) };
  }
  const { job, folder: dataFolder } = readRunFile(source.file);
  const chosen = { ...job, islands: islands ?? job.islands };
  const prepared = await prepareRun(chosen, dataFolder);
  const made = createRunFolder(source.runs, chosen.name);
  const { folder, keptAs } = made;
  // Paths in the folder's own run.yaml are relative to that folder, so that the run can be resumed from there.
  // A base that had this run's own name has just been moved aside.
  const moved = (file: string): string => {
    const place = path.resolve(dataFolder, file);
    return path.relative(folder, place === folder && keptAs !== undefined ? keptAs : place);
  };
  const kept = movePaths(prepared.job, moved);
  const tokenizer = 'path' in kept.tokenizer ? { path: 'tokenizer.json' } : kept.tokenizer;
  writeWhole(path.join(folder, 'run.yaml'), writeRunFile({ ...kept, tokenizer }));
  savePreparation(folder, prepared);
  return { prepared, ...made };
}

/** The job with every path as `moved` has it. */
function movePaths(job: Job, moved: (file: string) => string): Job {
  const { data, model } = job;
  const base = model.base === undefined ? {} : { base: moved(model.base) };
  const moveData = (): Job['data'] => {
    if ('paths' in data) return { ...data, paths: data.paths.map(moved) };
    if ('table' in data) return { ...data, table: data.table.map(moved) };
    return { ...data, images: moved(data.images), labels: moved(data.labels) };
  };
  return { ...job, data: moveData(), model: { ...model, ...base } };
}

/** What a run's folder says of how its data become numbers. */
function keptPreparation(folder: string, text: boolean): Preparation {
  const file = path.join(folder, text ? 'tokenizer.json' : 'preparation.json');
  const remedy = 'Restore the folder from a copy, or start the run afresh.';
  if (!existsSync(file)) throw new HelioError('HELIO-3001', `${folder} has no ${path.basename(file)}.`, remedy);
  if (text) return folderPreparation(folder);
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Preparation;
  } catch {
    throw new HelioError('HELIO-3001', `${file} is not JSON.`, remedy);
  }
}

function settingsOf({ job }: PreparedRun, { gatherS, leaseS }: HostOptions): RunSettings {
  return {
    outer: job.outer,
    steps: job.stop.steps,
    tokensPerStep: tokensPerBatch(job),
    expectedIslands: job.islands,
    stop: job.stop,
    evaluation: { everyMerges: job.evaluation.everyMerges, parts: evaluationParts(job) },
    checkpointEveryMerges: job.checkpoints.everyMerges,
    leaseMs: leaseS * 1000,
    gatherMs: gatherS * 1000,
  };
}

/** Tokens, or examples, that a batch has at most. */
const tokensPerBatch = ({ batch, context, data }: Job): number => batch * ('paths' in data ? context : 1);

/** As many parts as islands, but none without a batch, and no more than can be compared in passing. */
const evaluationParts = (job: Job): number =>
  Math.max(1, Math.min(MAX_PARTS, job.islands, Math.floor(job.evaluation.tokens / tokensPerBatch(job))));
const MAX_PARTS = 256;

/** Model, summary, card and report. */
async function conclude(
  prepared: PreparedRun,
  folder: string,
  server: RunServer,
  trained: ParameterArrays,
  ending: Ending,
  costs: CostCounter,
): Promise<Summary> {
  const parameters = prepared.base === undefined ? trained : joinArrays(prepared.base, trained);
  saveTrained(folder, prepared, parameters);
  const samples = ending.status === 'finished' ? await sampleBoth(prepared, parameters) : null;
  const curves = await readCurves(folder);
  const summary = summarize(prepared, server, ending, samples, costs.now(), curves.validation);
  writeWhole(path.join(folder, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
  writeWhole(path.join(folder, 'README.md'), modelCard(prepared.job, prepared.model, summary));
  writeWhole(path.join(folder, 'report.html'), reportHtml([{ title: prepared.job.name, summary, curves }]));
  return summary;
}
