import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Runs the real command in processes of its own, as a user would. */

export const ROOT = path.resolve(import.meta.dirname, '../..');
/** Where the data of {@link tinyRun} are. */
const TINY_DATA = path.join(ROOT, 'data/austen');
const MAIN = path.join(ROOT, 'src/cli/main.ts');

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly done: Promise<Outcome>;
  /** What it has written to stderr so far. */
  stderr(): string;
  /** Resolves once stderr holds the text. */
  said(text: string | RegExp): Promise<void>;
}

export function start(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    cwd,
    env: {
      ...process.env,
      npm_lifecycle_event: '',
      NO_COLOR: '1',
      HELIOTROPE_HOME: path.join(cwd, 'home'),
      // `train` names the folder of its data to its islands itself.
      ...(args[0] === 'join' ? { HELIOTROPE_DATA_ROOT: TINY_DATA } : {}),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
    for (const listen of listeners) listen();
  });
  const done = new Promise<Outcome>((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
  const said = (text: string | RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const listen = (): void => {
        if (typeof text === 'string' ? stderr.includes(text) : text.test(stderr)) {
          listeners.delete(listen);
          resolve();
        }
      };
      listeners.add(listen);
      listen();
      void done.then(({ status }) => reject(new Error(`ended with ${status} before it said ${text}:\n${stderr}`)));
    });
  return { child, done, said, stderr: () => stderr };
}

export const run = (args: readonly string[], cwd: string, env?: NodeJS.ProcessEnv): Promise<Outcome> =>
  start(args, cwd, env).done;

export const scratch = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-e2e-'));

/** Writes a run file for a tiny model on one novel; `more` replaces or adds top-level keys. */
export function tinyRun(folder: string, name: string, more: Readonly<Record<string, unknown>> = {}): string {
  const file = path.join(folder, `${name}.yaml`);
  const tiny = {
    data: path.join(TINY_DATA, 'persuasion.txt'),
    model: { layers: 2, width: 64, heads: 4 },
    tokenizer: { vocabularySize: 512 },
    inner: { rate: 0.03 },
    context: 64,
    batch: 4,
    islands: 4,
    outer: { innerSteps: 10 },
    stop: { steps: 100 },
    evaluation: { tokens: 8192 },
    ...more,
  };
  writeFileSync(file, JSON.stringify(tiny));
  return file;
}

/** Process ids whose command line holds all of the texts; from /proc where there is one, as a bare machine may lack `ps`. */
export function processesWith(...texts: readonly string[]): readonly number[] {
  const matching = commandLines().filter(([, line]) => texts.every((text) => line.includes(text)));
  return matching.map(([pid]) => pid);
}

function commandLines(): readonly (readonly [pid: number, line: string])[] {
  if (!existsSync('/proc/self/cmdline')) {
    const { stdout } = spawnSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
    return stdout.split('\n').map((line) => [Number.parseInt(line, 10), line]);
  }
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      return [[Number(entry), readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ')] as const];
    } catch {
      // It ended while we looked.
      return [];
    }
  });
}
