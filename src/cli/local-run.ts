import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type ErrorCode, HelioError } from '../errors.ts';
import { makeFolder } from '../files.ts';
import { joinTraces } from '../island/node/trace-file.ts';
import { ENTRY } from './context.ts';
import { LogFile } from './log-file.ts';
import type { LiveRecord, ServeLine, Summary } from './records.ts';

type Serving = ServeLine & { readonly kind: 'serving' };

/** `serve` and N × `join` as processes of this machine, watched over: what `train` is. */
export interface LocalRunOptions {
  /** Arguments of `serve`: a run file, or `--resume RUN`. */
  readonly serveArguments: readonly string[];
  /** Where islands compute. */
  readonly device: string;
  /** Names of the islands, and what each is started with beside; island-1, island-2 … when left out. */
  readonly homes?: readonly { readonly name: string; readonly joinArguments: readonly string[] }[];
  /** Of each island; left out, its share of this machine's. */
  readonly threads?: number;
  readonly onServing: (line: Serving) => void;
  readonly onRecord: (record: LiveRecord) => void;
  /** Something that the user should know, as a sentence. */
  readonly onNotice: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/** Error codes after which a restart would not help: any explained error but one of the engine or the connection. */
const HOPELESS = /error HELIO-(?!0000|2001|4002|4004|5001)/;
const DISK_FULL = /error HELIO-3002 (.+)/;
const MAX_RESTARTS = 20;
/** Of one file of what an island says; there are three at most. */
const ISLAND_LOG_BYTES = 4 * 2 ** 20;
/** Times that an island may end with the same explained error: a restart does not mend that either. */
const MAX_SAME_WORDS = 3;
const RESTART_MS = 500;
/** How long islands may take to end after the run is over. */
const SHUTDOWN_MS = 10_000;

/** @throws HelioError what `serve` ended with, or HELIO-5002 when an island or the coordinator cannot be kept running */
export async function runLocally(
  options: LocalRunOptions,
): Promise<{ readonly summary: Summary; readonly folder: string }> {
  const islands = new IslandKeeper(options);
  const coordinator = new CoordinatorKeeper(options, islands);
  const onStop = (): void => {
    islands.noMoreRestarts();
    coordinator.stop();
  };
  options.signal.addEventListener('abort', onStop);
  if (options.signal.aborted) onStop();
  const hopeless = islands.hopeless.then((error) => {
    coordinator.kill();
    throw error;
  });
  let result: { readonly summary: Summary; readonly folder: string };
  try {
    result = await Promise.race([coordinator.run(), hopeless]);
  } finally {
    options.signal.removeEventListener('abort', onStop);
    await islands.shutDown();
    coordinator.shutDown();
  }
  const traces = result.summary.islandDetails.map(({ island }) =>
    path.join(result.folder, 'islands', island, 'trace.json'),
  );
  joinTraces(traces, path.join(result.folder, 'trace.json'));
  return result;
}

/** Starts the coordinator, and starts it again where it was killed: its run goes on from what it has committed. */
class CoordinatorKeeper {
  readonly #options: LocalRunOptions;
  readonly #islands: IslandKeeper;
  #serve: ChildProcess | undefined;
  #served: Serving | undefined;
  #stopping = false;

  constructor(options: LocalRunOptions, islands: IslandKeeper) {
    this.#options = options;
    this.#islands = islands;
  }

  async run(): Promise<{ readonly summary: Summary; readonly folder: string }> {
    for (let restarts = 0; ; restarts++) {
      const { summary, failure, how, killed } = await this.#once();
      const folder = this.#served?.folder;
      if (failure !== undefined)
        throw failure.code === 'HELIO-3002' && folder !== undefined ? diskFull(failure.what, folder) : failure;
      if (summary !== undefined) return { summary, folder: folder! };
      const again = killed && folder !== undefined && !this.#stopping && restarts < MAX_RESTARTS;
      if (!again) throw ended(how, folder);
      this.#options.onNotice(`the coordinator ended (${how}); the islands train on; starting it again`);
    }
  }

  stop(): void {
    this.#stopping = true;
    this.#serve?.kill('SIGINT');
  }

  kill(): void {
    this.#stopping = true;
    this.#serve?.kill('SIGKILL');
  }

  shutDown(): void {
    this.#serve?.stdin?.end();
  }

  #arguments(): readonly string[] {
    if (this.#served === undefined) return [...this.#options.serveArguments, '--host', '127.0.0.1', '--port', '0'];
    // Under the same address: the islands look for it there.
    const { folder, port } = this.#served;
    return ['--resume', folder, '--host', '127.0.0.1', '--port', String(port)];
  }

  /** The coordinator's life until it ends. */
  async #once() {
    const serve = spawnSelf(['serve', ...this.#arguments(), '--jsonl', '--parent'], 'inherit');
    this.#serve = serve;
    if (this.#stopping) serve.kill('SIGINT');
    let summary: Summary | undefined;
    let failure: HelioError | undefined;
    const exited = new Promise<{ how: string; killed: boolean }>((resolve) => {
      serve.once('exit', (code, signal) =>
        resolve({ how: signal === null ? `exit status ${code}` : `signal ${signal}`, killed: signal !== null }),
      );
    });
    for await (const text of createInterface({ input: serve.stdout! })) {
      const line = parseLine(text);
      switch (line?.kind) {
        case 'serving':
          if (this.#served === undefined) {
            this.#options.onServing(line);
            this.#islands.start(line);
          }
          this.#served = line;
          break;
        case 'record':
          if (line.record.kind === 'phase' && ['finished', 'interrupted', 'failed'].includes(line.record.phase))
            this.#islands.noMoreRestarts();
          this.#options.onRecord(line.record);
          break;
        case 'result':
          summary = line.summary;
          break;
        case 'error':
          failure = new HelioError(line.code as ErrorCode, line.what, line.remedy);
          break;
      }
    }
    return { summary, failure, ...(await exited) };
  }
}

/** A coordinator that is killed may leave half a line. */
function parseLine(text: string): ServeLine | undefined {
  try {
    return JSON.parse(text) as ServeLine;
  } catch {
    return undefined;
  }
}

/** A run that has begun is gone on with: the command that began it would begin another. */
const diskFull = (what: string, folder: string): HelioError =>
  new HelioError('HELIO-3002', what, `Free some space, then \`heliotrope train --resume ${path.basename(folder)}\`.`);

const ended = (how: string, folder: string | undefined): HelioError =>
  new HelioError(
    'HELIO-5002',
    `The coordinator ended unexpectedly (${how}).`,
    folder === undefined
      ? 'Run `heliotrope doctor`.'
      : `Go on from what it has committed: \`heliotrope train --resume ${path.basename(folder)}\`.`,
  );

/** Starts islands, and starts them again when they crash. */
class IslandKeeper {
  readonly #device: string;
  readonly #threads: number | undefined;
  readonly #homes: LocalRunOptions['homes'];
  readonly #notice: (sentence: string) => void;
  readonly #running = new Map<string, ChildProcess>();
  readonly #hopeless = Promise.withResolvers<HelioError>();
  #restarts = 0;
  readonly #lastWords = new Map<string, { readonly words: string; readonly times: number }>();
  #restarting = true;

  constructor({ device, threads, homes, onNotice }: LocalRunOptions) {
    this.#device = device;
    this.#threads = threads;
    this.#homes = homes;
    this.#notice = onNotice;
  }

  /** Resolves when an island ended with something that a restart does not mend. */
  get hopeless(): Promise<HelioError> {
    return this.#hopeless.promise;
  }

  start(serving: Serving): void {
    const threads = this.#threads ?? Math.max(1, Math.floor(availableParallelism() / serving.islands));
    const plain = Array.from({ length: serving.islands }, (_, i) => ({ name: `island-${i + 1}`, joinArguments: [] }));
    for (const { name, joinArguments } of this.#homes ?? plain) this.#launch(name, serving, threads, joinArguments);
  }

  noMoreRestarts(): void {
    this.#restarting = false;
  }

  async shutDown(): Promise<void> {
    this.#restarting = false;
    const timer = setTimeout(() => {
      for (const child of this.#running.values()) child.kill('SIGKILL');
    }, SHUTDOWN_MS);
    for (const child of this.#running.values()) child.stdin?.end();
    await Promise.all(
      [...this.#running.values()].map((child) => new Promise((resolve) => child.once('exit', resolve))),
    );
    clearTimeout(timer);
  }

  #launch(name: string, serving: Serving, threads: number, more: readonly string[]): void {
    const { invitation, folder, dataRoot } = serving;
    const state = path.join(folder, 'islands', name);
    makeFolder(state);
    const child = spawnSelf(
      [
        'join',
        '--name',
        name,
        '--threads',
        String(threads),
        '--device',
        this.#device,
        '--state',
        state,
        '--trace',
        path.join(state, 'trace.json'),
        // The run file is this machine's own: its islands read what it names.
        '--data-root',
        dataRoot,
        '--parent',
        '--quiet',
        ...more,
      ],
      'pipe',
      { HELIOTROPE_INVITATION: invitation },
    );
    this.#running.set(name, child);
    const log = new LogFile(state, 'island.log', ISLAND_LOG_BYTES, (sentence) => this.#notice(sentence));
    let lastWords = '';
    child.stderr!.on('data', (data: Buffer) => {
      lastWords = (lastWords + data.toString()).slice(-4_000);
      log.append(data.toString().trimEnd());
    });
    child.stdout!.resume();
    child.once('exit', (code, signal) => {
      this.#running.delete(name);
      if (!this.#restarting || code === 0) return;
      const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
      const giveUp = (why: string): void => this.#giveUp(name, `${why}: ${lastWords.trim()}`, folder);
      const full = DISK_FULL.exec(lastWords)?.[1];
      if (full !== undefined) return this.#hopeless.resolve(diskFull(`${name} cannot run: ${full}`, folder));
      if (HOPELESS.test(lastWords)) return giveUp(`${how})`);
      if (this.#repeated(name, lastWords.trim()) >= MAX_SAME_WORDS) return giveUp(`${how}, ${MAX_SAME_WORDS} times)`);
      if (++this.#restarts > MAX_RESTARTS) return giveUp(`${how}) after ${MAX_RESTARTS} restarts`);
      this.#notice(`${name} crashed (${how}); the run goes on without it; starting it again`);
      setTimeout(() => {
        if (this.#restarting) this.#launch(name, serving, threads, more);
      }, RESTART_MS);
    });
  }

  /** How often in a row an island has ended with these words; 0 where it explained nothing, as one that was killed. */
  #repeated(name: string, words: string): number {
    const before = this.#lastWords.get(name);
    const times = !words.includes('error HELIO-') ? 0 : before?.words === words ? before.times + 1 : 1;
    this.#lastWords.set(name, { words, times });
    return times;
  }

  #giveUp(name: string, how: string, folder: string): void {
    this.#hopeless.resolve(
      new HelioError(
        'HELIO-5002',
        `${name} cannot run (${how}`,
        `Fix that, and resume: \`heliotrope train --resume ${path.basename(folder)}\`.`,
      ),
    );
  }
}

/** Starts this same program in a process group of its own, so that Ctrl-C reaches it only through us. */
function spawnSelf(
  args: readonly string[],
  stderr: 'inherit' | 'pipe',
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, ENTRY, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', stderr],
    detached: true,
  });
}
