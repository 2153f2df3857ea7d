import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { type Figure, median } from '../figures.ts';
import { roundMs } from './machine.ts';

/** Islands that train: what a round of all of them costs the coordinator, decided and done. */
export async function training(short: boolean): Promise<readonly Figure[]> {
  return [...(await decisions(short)), ...(await wholeRound(short ? 1_000 : 10_000, short ? 3 : 4))];
}

/** The pure machine alone; twice as many islands should take twice as long. */
async function decisions(short: boolean): Promise<readonly Figure[]> {
  const sizes = short ? [500, 1_000, 2_000] : [1_000, 2_000, 4_000, 8_000, 16_000];
  roundMs(sizes[0]!);
  const times = sizes.map((islands) => roundMs(islands, 5));
  const exponent = Math.log(times.at(-1)! / times[0]!) / Math.log(sizes.at(-1)! / sizes[0]!);
  return [
    ...sizes.map((islands, i) => ({
      id: `coordinator.decisions.${islands}`,
      value: times[i]!,
      unit: 'ms',
      target: null,
      met: null,
      note: `a round of due, contributions and a merge: ${((1000 * times[i]!) / islands).toFixed(0)} µs an island`,
    })),
    {
      id: 'coordinator.decisions.exponent',
      value: exponent,
      unit: '',
      target: '≤ 1.2',
      met: exponent <= 1.2,
      note: 'of the number of islands: 1 is linear, 2 quadratic',
    },
  ];
}

interface Merge {
  readonly merged: number;
  readonly cpuS: number;
  readonly rssBytes: number;
  /** The longest time since the merge before in which the coordinator heard nobody. */
  readonly stallMs: number;
}

/** Through the real server, over sockets of this machine, with a model of six numbers. */
async function wholeRound(islands: number, rounds: number): Promise<readonly Figure[]> {
  const start = (file: string, args: readonly string[]): ChildProcess =>
    fork(path.resolve(import.meta.dirname, file), args, {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: 'inherit',
    });
  const server = start('training-server.ts', [String(islands)]);
  const processes: ChildProcess[] = [server];
  try {
    const { port, invitation } = await heard<{ port: number; invitation: string }>(server, 'serving');
    const merges: Merge[] = [];
    const done = new Promise<void>((resolve, reject) => {
      server.on('message', (message: Merge & { kind: string; phase?: string }) => {
        if (message.kind === 'phase' && message.phase === 'failed') reject(new Error('the run failed'));
        if (message.kind === 'merge') merges.push(message);
        if (merges.length > rounds) resolve();
      });
      server.once('exit', (code) => reject(new Error(`the coordinator ended with status ${code}`)));
    });
    const half = islands / 2;
    for (const first of [0, half])
      processes.push(start('training-clients.ts', [String(port), String(half), String(first), invitation]));
    await done;
    const costs = merges.slice(1).map((merge, i) => merge.cpuS - merges[i]!.cpuS);
    const cpuS = median(costs);
    const fewest = Math.min(...merges.map(({ merged }) => merged));
    return [
      {
        id: `coordinator.round-${islands}.core-s`,
        value: cpuS,
        unit: 's of a core',
        target: '≤ 5 s',
        met: cpuS <= 5,
        note: `all threads: due, asked, ${fewest} contributions checked and merged, sent; ${((1000 * cpuS) / islands).toFixed(2)} ms an island`,
      },
      {
        id: `coordinator.round-${islands}.stall`,
        value: median(merges.slice(1).map(({ stallMs }) => stallMs)),
        unit: 'ms',
        target: null,
        met: null,
        note: 'the longest time of a round in which the coordinator hears nobody',
      },
      {
        id: `coordinator.round-${islands}.memory`,
        value: Math.max(...merges.map(({ rssBytes }) => rssBytes)) / 1e6,
        unit: 'MB',
        target: null,
        met: null,
        note: '',
      },
    ];
  } finally {
    for (const each of processes) each.kill();
  }
}

function heard<T>(child: ChildProcess, kind: string): Promise<T> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: { kind: string }) => message.kind === kind && resolve(message as T));
    child.once('exit', (code) => reject(new Error(`ended with status ${code}`)));
  });
}
