import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { ENTRY } from '../../src/cli/context.ts';

/** The command line in processes of its own, as a user has it. */

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function begin(
  args: readonly string[],
  folder: string,
): { readonly child: ChildProcess; readonly done: Promise<Ended> } {
  const environment = { ...process.env, HELIOTROPE_HOME: path.join(folder, 'home') };
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ENTRY, ...args], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const done = new Promise<Ended>((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
  return { child, done };
}

/** What a command says with `--json`, and how long it took. @throws when it did not end well */
export async function ask<T>(
  args: readonly string[],
  folder: string,
): Promise<{ readonly result: T; readonly wallS: number }> {
  const startMs = performance.now();
  const { status, stdout, stderr } = await begin([...args, '--json'], folder).done;
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return { result: JSON.parse(stdout) as T, wallS: (performance.now() - startMs) / 1000 };
}
