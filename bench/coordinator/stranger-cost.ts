import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { newIdentity } from '../../src/protocol/identity.ts';
import { FRESH, helloOf } from '../../test/coordinator/hosted.ts';
import { type Figure, median } from '../figures.ts';
import type { Used } from './stranger-server.ts';
import { type Crowd, STRANGER_KINDS, type StrangerKind, strangers, WRONG_HELLOS } from './strangers.ts';

/** What a stranger can cost: a crowd of each kind at a coordinator of its own, while honest islands come from elsewhere. */

/** Strangers come from a few addresses, as a botnet would that knows what is counted; honest islands from another. */
const ADDRESSES = 16;
const HONEST = '127.0.9.1';
/** An island that is not in by then was kept out. */
const JOIN_MS = 10_000;

interface Cost extends Used {
  /** How long honest islands took to be let in, each; {@link JOIN_MS} for one that was kept out. */
  readonly joinMs: readonly number[];
  /** Strangers that were still connected at the end. */
  readonly held: number;
  readonly stayMs: number;
  /** How it ended, if it did: which is the most that a stranger can cost. */
  readonly ended?: string;
}

export async function strangerCost(short: boolean): Promise<readonly Figure[]> {
  const count = short ? 200 : 1_000;
  const quiet = await measured([], 0, 1_000);
  const idle = median(quiet.joinMs);
  const figures: Figure[] = [];
  for (const kind of STRANGER_KINDS)
    figures.push(...figuresOf(kind, count, idle, await measured([kind], count, 2_000)));
  figures.push(...figuresOf('all', count * STRANGER_KINDS.length, idle, await measured(STRANGER_KINDS, count, 4_000)));
  return figures;
}

function figuresOf(kind: StrangerKind | 'all', count: number, idleMs: number, cost: Cost): readonly Figure[] {
  const id = `coordinator.strangers.${kind}`;
  const out = cost.joinMs.filter((ms) => ms >= JOIN_MS).length;
  const value = median(cost.joinMs);
  if (cost.ended !== undefined)
    return [{ id: `${id}.join`, value: JOIN_MS, unit: 'ms', target: 'all get in', met: false, note: cost.ended }];
  const hellos = kind === 'wrong-hellos' ? `; ${WRONG_HELLOS} hellos each` : '';
  return [
    {
      id: `${id}.memory`,
      value: Math.max(0, cost.bytes) / 1e6 / (count / 1_000),
      unit: 'MB per 1,000',
      target: null,
      met: null,
      note: `${count} strangers from ${ADDRESSES} addresses; ${cost.sockets} sockets open at most, ${cost.held} strangers still there after ${cost.stayMs / 1_000} s`,
    },
    {
      id: `${id}.cpu`,
      value: cost.cpuMs / count,
      unit: 'ms each',
      target: null,
      met: null,
      note: `honest islands meanwhile included${hellos}`,
    },
    {
      id: `${id}.join`,
      value,
      unit: 'ms',
      target: 'all get in',
      met: out === 0,
      note: `an honest island, until it is welcome (${idleMs.toFixed(0)} ms without strangers); ${cost.joinMs.length - out} of ${cost.joinMs.length} got in, the slowest in ${Math.max(...cost.joinMs).toFixed(0)} ms`,
    },
  ];
}

/** Sends so many of each kind, and islands one after the other until they have been there for a while. */
async function measured(kinds: readonly StrangerKind[], count: number, stayMs: number): Promise<Cost> {
  const server = fork(path.join(import.meta.dirname, 'stranger-server.ts'), {
    execArgv: ['--disable-warning=ExperimentalWarning', '--expose-gc'],
    stdio: 'inherit',
  });
  // A coordinator that is gone hears nothing more: that is seen by its status.
  server.on('error', () => {});
  const { port, invitation } = await heard<{ port: number; invitation: string }>(server, 'serving');
  const islands = honestIslands(port, invitation);
  const crowds: Crowd[] = [];
  try {
    // The first costs what is loaded once.
    await sleep(500);
    islands.forget();
    server.send('begin');
    await heard(server, 'begun');
    crowds.push(
      ...(await Promise.all(kinds.map((kind) => strangers(kind, '127.0.0.1', port, count, { addresses: ADDRESSES })))),
    );
    await sleep(stayMs);
    const held = crowds.reduce((sum, { open }) => sum + open, 0);
    server.send('end');
    const used = await heard<Used>(server, 'used');
    const joinMs = await islands.end();
    return { ...used, joinMs, held, stayMs };
  } catch (error) {
    return { bytes: 0, sockets: 0, cpuMs: 0, joinMs: [JOIN_MS], held: 0, stayMs, ended: (error as Error).message };
  } finally {
    for (const crowd of crowds) crowd.close();
    await islands.end();
    server.kill('SIGKILL');
  }
}

function heard<T>(child: ChildProcess, kind: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the coordinator ended with status ${code}`));
    const listen = (message: { kind: string }): void => {
      if (message.kind !== kind) return;
      child.off('message', listen).off('exit', ended);
      resolve(message as T);
    };
    child.on('message', listen).once('exit', ended);
    if (child.exitCode !== null) ended(child.exitCode);
  });
}

/** Honest islands that join one after the other, with an invitation, and leave again. */
function honestIslands(port: number, invitation: string) {
  const joinMs: number[] = [];
  let [isOver, number] = [false, 0];
  const coming = (async () => {
    do {
      joinMs.push(await join(port, `honest-${number++}`, invitation));
      await sleep(100);
    } while (!isOver);
  })();
  return {
    forget: (): void => void joinMs.splice(0),
    /** At least one has come since {@link forget}. */
    async end(): Promise<readonly number[]> {
      isOver = true;
      await coming;
      return joinMs.length > 0 ? joinMs : [await join(port, 'honest-last', invitation)];
    },
  };
}

/** @returns milliseconds from the connection until it is welcome */
async function join(port: number, island: string, invitation: string): Promise<number> {
  const identity = await newIdentity();
  const startMs = performance.now();
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/run`, { perMessageDeflate: false, localAddress: HONEST });
  return new Promise((resolve) => {
    const done = (ms: number): void => {
      clearTimeout(late);
      socket.terminate();
      resolve(ms);
    };
    const late = setTimeout(() => done(JOIN_MS), JOIN_MS);
    socket.on('error', () => done(JOIN_MS));
    socket.on('close', () => done(JOIN_MS));
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) return;
      const { kind, nonce } = JSON.parse(data.toString()) as { kind: string; nonce: string };
      if (kind === 'challenge')
        void helloOf(island, identity, nonce, invitation).then((hello) => socket.send(JSON.stringify(hello)));
      else if (kind === 'admitted') socket.send(JSON.stringify(FRESH));
      else if (kind === 'welcome') done(performance.now() - startMs);
      else if (kind === 'refused') done(JOIN_MS);
    });
  });
}
