import { execFile } from 'node:child_process';
import { cpus } from 'node:os';

/** What the machine's own meters need of it; a test gives another root, or other programs. */
export interface System {
  /** In which `sys/class/…` is: `/`. */
  readonly root: string;
  readonly platform: NodeJS.Platform;
  /** What a program prints; undefined where there is none, or it fails or does not end in time. */
  run(command: string, args: readonly string[]): Promise<string | undefined>;
  /** Model, threads, and time of all threads so far: spent, and in all, ms. */
  processor(): { readonly model: string; readonly threads: number; readonly busyMs: number; readonly totalMs: number };
  /** A clock that is never set, ms. */
  monotonicMs(): number;
  clock(): number;
}

const TIMEOUT_MS = 5_000;
const MOST_OUTPUT_BYTES = 2 ** 20;

export const thisSystem: System = {
  root: '/',
  platform: process.platform,
  run: (command, args) =>
    new Promise((resolve) => {
      execFile(
        command,
        [...args],
        { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MOST_OUTPUT_BYTES, windowsHide: true },
        (error, stdout) => resolve(error === null ? stdout : undefined),
      );
    }),
  processor() {
    const all = cpus();
    let busyMs = 0;
    let totalMs = 0;
    for (const { times } of all) {
      const busy = times.user + times.nice + times.sys + times.irq;
      busyMs += busy;
      totalMs += busy + times.idle;
    }
    return { model: all[0]?.model ?? '', threads: all.length, busyMs, totalMs };
  },
  monotonicMs: () => performance.now(),
  clock: Date.now,
};
