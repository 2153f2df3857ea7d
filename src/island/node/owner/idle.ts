import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * Since when nobody has used this machine: no key, no mouse, no terminal, and no other program at work. Each source that there is counts, and the latest use of
 * any; where there is none, nobody can tell.
 */

export interface IdleSources {
  /** Folders of terminals: the time of last access of each is that of its last key. */
  readonly terminals: readonly string[];
  /** /proc, or a folder like it; undefined where there is none. */
  readonly proc: string | undefined;
  /** Milliseconds since the last input, as the desktop tells it; undefined where it does not. */
  readonly desktopIdleMs: (() => Promise<number | undefined>) | undefined;
  readonly nowMs: () => number;
  readonly ownPid: number;
}

/** Another program that takes more than so many cores is somebody's work. */
const BUSY_CORES = 0.5;
const DESKTOP_EVERY_MS = 5_000;
const LOAD_EVERY_MS = 1_000;

export class IdleWatch {
  readonly #sources: IdleSources;
  #usedMs: number | undefined;
  #desktop: { atMs: number; pending: boolean } = { atMs: 0, pending: false };
  #load: { readonly atMs: number; readonly others: number } | undefined;

  constructor(sources: IdleSources = systemSources()) {
    this.#sources = sources;
  }

  /** Cheap: to be called each second. @returns Unix ms of the last use; undefined where nobody can tell */
  idleSinceMs(): number | undefined {
    const nowMs = this.#sources.nowMs();
    const terminal = lastAccessMs(this.#sources.terminals);
    if (terminal !== undefined) this.#used(Math.min(nowMs, terminal));
    this.#lookAtLoad(nowMs);
    this.#lookAtDesktop(nowMs);
    return this.#usedMs;
  }

  #used(ms: number): void {
    this.#usedMs = Math.max(this.#usedMs ?? 0, ms);
  }

  /** CPU time of everybody but this process and its children. */
  #lookAtLoad(nowMs: number): void {
    const { proc, ownPid } = this.#sources;
    if (proc === undefined || (this.#load !== undefined && nowMs - this.#load.atMs < LOAD_EVERY_MS)) return;
    const others = othersCpuS(proc, ownPid);
    if (others === undefined) return;
    const before = this.#load;
    this.#load = { atMs: nowMs, others };
    // That nobody is at work is known from the second look on.
    if (before === undefined) return;
    const cores = (others - before.others) / ((nowMs - before.atMs) / 1000);
    this.#used(cores > BUSY_CORES ? nowMs : 0);
  }

  #lookAtDesktop(nowMs: number): void {
    const { desktopIdleMs } = this.#sources;
    if (desktopIdleMs === undefined || this.#desktop.pending || nowMs - this.#desktop.atMs < DESKTOP_EVERY_MS) return;
    this.#desktop = { atMs: nowMs, pending: true };
    void desktopIdleMs()
      .catch(() => undefined)
      .then((idleMs) => {
        this.#desktop = { ...this.#desktop, pending: false };
        if (idleMs !== undefined) this.#used(nowMs - idleMs);
      });
  }
}

function lastAccessMs(folders: readonly string[]): number | undefined {
  let last: number | undefined;
  for (const folder of folders) {
    let names: readonly string[];
    try {
      names = readdirSync(folder);
    } catch {
      continue;
    }
    for (const name of names) {
      if (!/^(tty)?\d+$/.test(name)) continue;
      try {
        last = Math.max(last ?? 0, statSync(path.join(folder, name)).atimeMs);
      } catch {
        // A terminal that was closed meanwhile.
      }
    }
  }
  return last;
}

/** Clock ticks a second in /proc: USER_HZ, which is 100 on every Linux that there is. */
const TICKS_PER_S = 100;

/** CPU seconds of all, less those of this process, its finished children and its living ones. */
function othersCpuS(proc: string, ownPid: number): number | undefined {
  try {
    const [, user, , system] = /^cpu\s+(\d+)\s+(\d+)\s+(\d+)/.exec(readFileSync(path.join(proc, 'stat'), 'utf8')) ?? [];
    // Whoever is nice yields to the owner by itself, and is not counted.
    const all = (Number(user) + Number(system)) / TICKS_PER_S;
    const own = ownTicks(proc, ownPid) / TICKS_PER_S;
    return Number.isFinite(all) ? all - own : undefined;
  } catch {
    return undefined;
  }
}

function ownTicks(proc: string, pid: number): number {
  const fields = readFileSync(path.join(proc, String(pid), 'stat'), 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  // proc(5): from the state on utime is the 12th, then stime, cutime, cstime; nice is the 17th. What a nice process computes is not in `user`.
  const own = Number(fields[16]) > 0 ? [12, 14] : [11, 12, 13, 14];
  return own.reduce((sum, i) => sum + Number(fields[i]), 0);
}

function systemSources(): IdleSources {
  const { platform } = process;
  return {
    terminals: platform === 'linux' ? ['/dev/pts', '/dev'] : [],
    proc: platform === 'linux' ? '/proc' : undefined,
    desktopIdleMs: DESKTOPS[platform],
    nowMs: Date.now,
    ownPid: process.pid,
  };
}

const answer = (command: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) =>
    execFile(command, args, { timeout: 3_000, maxBuffer: 2 ** 20 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    ),
  );

const milliseconds = (text: string | undefined): number | undefined => {
  const value = Number(text);
  return text === undefined || text.trim() === '' || !Number.isFinite(value) || value < 0 ? undefined : value;
};

const DESKTOPS: Partial<Record<NodeJS.Platform, () => Promise<number | undefined>>> = {
  linux: async () => milliseconds(await answer('xprintidle', [])),
  darwin: async () => {
    const [, nanoseconds] = /"HIDIdleTime" = (\d+)/.exec(await answer('ioreg', ['-c', 'IOHIDSystem', '-d', '4'])) ?? [];
    const value = milliseconds(nanoseconds);
    return value === undefined ? undefined : value / 1e6;
  },
  win32: async () => milliseconds(await answer('powershell', ['-NoProfile', '-Command', LAST_INPUT])),
};

const LAST_INPUT = `Add-Type 'using System;using System.Runtime.InteropServices;public static class I{[StructLayout(LayoutKind.Sequential)]public struct L{public uint s;public uint t;}[DllImport("user32.dll")]static extern bool GetLastInputInfo(ref L l);public static uint Ms(){var l=new L();l.s=(uint)Marshal.SizeOf(l);GetLastInputInfo(ref l);return (uint)Environment.TickCount-l.t;}}';[I]::Ms()`;
