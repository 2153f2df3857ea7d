import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LiveRecord, ServeLine, Summary } from '../../src/cli/records.ts';
import { CuttableProxy } from './cuttable-proxy.ts';

/** A coordinator and its islands as processes of their own, as a user has them, for whoever wants to harm them. */

const ROOT = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(ROOT, 'src/cli/main.ts');
/** Killed again while it comes back, a coordinator may be away for minutes on a busy machine: that is no reason for an island to end. */
const PATIENCE_S = '1200';
const LIAR = path.join(import.meta.dirname, 'liar.ts');

export interface Setup {
  readonly name: string;
  readonly islands: number;
  readonly steps: number;
  readonly outer: Readonly<Record<string, unknown>>;
  /** Seconds of silence after which an island counts as gone. */
  readonly leaseS: number;
  /** How many of the islands lie, the last ones. */
  readonly liars?: number;
  /** postgres://… instead of a file. */
  readonly store?: string;
}

interface Member {
  readonly name: string;
  readonly lies: boolean;
  readonly proxy: CuttableProxy;
  child: ChildProcess | undefined;
  stopped: boolean;
}

export class Processes {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-chaos-'));
  readonly records: { readonly atMs: number; readonly record: LiveRecord }[] = [];
  readonly #setup: Setup;
  readonly #members: Member[] = [];
  readonly #done = Promise.withResolvers<Summary>();
  #serve: ChildProcess | undefined;
  #served: (ServeLine & { readonly kind: 'serving' }) | undefined;
  #over = false;
  /** When the coordinator was killed and not yet heard of again. */
  #killedMs: number | undefined;
  /** Milliseconds from a kill of the coordinator to its next merge. */
  readonly recoveriesMs: number[] = [];
  coordinatorKills = 0;
  /** Most memory that the coordinator had. */
  mostBytes = 0;

  constructor(setup: Setup) {
    this.#setup = setup;
    const { name, islands, steps, outer } = setup;
    const run = {
      name,
      data: path.join(ROOT, 'data/austen/*.txt'),
      model: { layers: 2, width: 64, heads: 4 },
      tokenizer: { vocabularySize: 512 },
      inner: { rate: 0.04 },
      context: 64,
      batch: 8,
      islands,
      outer,
      stop: { steps },
      evaluation: { tokens: 65_536, everyMerges: 1_000_000 },
      checkpoints: { everyMerges: 20 },
    };
    writeFileSync(path.join(this.folder, 'run.yaml'), JSON.stringify(run));
  }

  get runFolder(): string {
    return path.join(this.folder, 'runs', this.#setup.name);
  }

  get over(): boolean {
    return this.#over;
  }

  /** Resolves with the run's summary once it is over, and all processes are gone. */
  async run(): Promise<Summary> {
    this.#startServe(['run.yaml', '--port', '0']);
    const look = setInterval(() => {
      this.mostBytes = Math.max(this.mostBytes, this.coordinatorBytes);
    }, 250);
    try {
      return await this.#done.promise;
    } finally {
      clearInterval(look);
      this.#over = true;
      for (const { child, proxy } of this.#members) {
        child?.kill('SIGKILL');
        proxy.close();
      }
      this.#serve?.kill('SIGKILL');
    }
  }

  forget(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  get members(): readonly string[] {
    return this.#members.filter(({ child, stopped }) => child !== undefined && !stopped).map(({ name }) => name);
  }

  /** Ends an island's process at once, and starts it again after a while. */
  async killIsland(name: string, awayMs: number): Promise<void> {
    const member = this.#member(name);
    const { child } = member;
    member.child = undefined;
    child?.kill('SIGKILL');
    await sleep(awayMs);
    if (!this.#over) this.#startIsland(member);
  }

  /** Stops an island's process in the middle of whatever it does. */
  async pauseIsland(name: string, forMs: number): Promise<void> {
    const member = this.#member(name);
    const { child } = member;
    member.stopped = true;
    child?.kill('SIGSTOP');
    await sleep(forMs);
    child?.kill('SIGCONT');
    member.stopped = false;
  }

  async cutIsland(name: string, forMs: number): Promise<void> {
    const { proxy } = this.#member(name);
    proxy.cut();
    await sleep(forMs);
    proxy.mend();
  }

  /** Whether the coordinator has merged since it was killed last, or began. */
  get isMerging(): boolean {
    return this.#killedMs === undefined && this.records.some(({ record }) => record.kind === 'merge');
  }

  /** Where the coordinator listens; undefined until it does. */
  get port(): number | undefined {
    return this.#served?.port;
  }

  /** Memory of the coordinator's process now, in bytes; 0 where the system does not say, or it is away. */
  get coordinatorBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.#serve?.pid}/status`, 'utf8');
      return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    } catch {
      return 0;
    }
  }

  /** Kills the coordinator, and starts it again at once. */
  killCoordinator(): void {
    if (this.#served === undefined || this.#over) return;
    this.coordinatorKills++;
    this.#killedMs ??= performance.now();
    this.#serve!.kill('SIGKILL');
  }

  #member(name: string): Member {
    return this.#members.find((member) => member.name === name)!;
  }

  #startServe(args: readonly string[]): void {
    const { leaseS, store } = this.#setup;
    const more = ['--jsonl', '--lease', String(leaseS), ...(store === undefined ? [] : ['--store', store])];
    const serve = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'serve', ...args, ...more], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#serve = serve;
    const lines = createInterface({ input: serve.stdout! });
    lines.on('line', (text) => {
      // A process that is killed may leave half a line.
      if (text.endsWith('}')) this.#heard(JSON.parse(text) as ServeLine);
    });
    serve.once('exit', (code, signal) => {
      if (this.#over) return;
      if (signal === 'SIGKILL' && this.#served !== undefined)
        return this.#startServe(['--resume', this.#setup.name, '--port', String(this.#served.port)]);
      // The last lines may still be on their way.
      setTimeout(() => this.#done.reject(new Error(`the coordinator ended with ${signal ?? code}`)), 1_000);
    });
  }

  #heard(line: ServeLine): void {
    switch (line.kind) {
      case 'serving': {
        const first = this.#served === undefined;
        this.#served = line;
        if (first) void this.#startIslands(line.port);
        return;
      }
      case 'record':
        this.records.push({ atMs: performance.now(), record: line.record });
        if (line.record.kind !== 'merge' || this.#killedMs === undefined) return;
        this.recoveriesMs.push(performance.now() - this.#killedMs);
        this.#killedMs = undefined;
        return;
      case 'result':
        return this.#done.resolve(line.summary);
      case 'error':
        return this.#done.reject(new Error(`${line.code}: ${line.what}`));
    }
  }

  async #startIslands(port: number): Promise<void> {
    for (let i = 1; i <= this.#setup.islands; i++) {
      const member: Member = {
        name: `island-${i}`,
        lies: i > this.#setup.islands - (this.#setup.liars ?? 0),
        proxy: await CuttableProxy.open(port),
        child: undefined,
        stopped: false,
      };
      this.#members.push(member);
      this.#startIsland(member);
    }
  }

  #startIsland(member: Member): void {
    const { name, lies, proxy } = member;
    const link = new URL(this.#served!.invitation);
    link.port = String(proxy.port);
    const state = path.join(this.folder, name);
    mkdirSync(state, { recursive: true });
    const log = openSync(path.join(state, 'island.log'), 'a');
    const root = this.#served!.dataRoot;
    const args = [link.href, '--name', name, '--state', state, '--data-root', root];
    const program = lies ? [LIAR, ...args] : [MAIN, 'join', ...args, '--threads', '1', '--patience', PATIENCE_S];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...program], {
      cwd: this.folder,
      stdio: ['ignore', 'ignore', log],
    });
    closeSync(log);
    member.child = child;
    child.once('exit', (code) => {
      if (this.#over || member.child !== child || code === 0) return;
      if (lies) return void setTimeout(() => this.#over || this.#startIsland(member), 1_000);
      // An island that ends by itself when it should not is what we are here to find.
      this.#done.reject(
        new Error(`${name} ended by itself with status ${code}; see ${path.join(state, 'island.log')}`),
      );
    });
  }
}
