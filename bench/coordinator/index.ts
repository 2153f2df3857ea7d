import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { ServeLine } from '../../src/cli/records.ts';
import { codecFor } from '../../src/outer/codecs/index.ts';
import type { CodecName } from '../../src/protocol/codec-names.ts';
import { FRAGMENT, hosted, RUN } from '../../test/coordinator/hosted.ts';
import { type Figure, median, publish } from '../figures.ts';
import { aggregationOf, contribution } from './aggregate.ts';
import { large } from './large.ts';
import { strangerCost } from './stranger-cost.ts';
import { training } from './training.ts';

/** What a coordinator can take: sums beside memory's speed, memory of a merge, islands that do nothing, joining, an outer step of a large model, strangers. */
const here = (name: string): string => path.join(import.meta.dirname, name);
const MAIN = path.resolve(import.meta.dirname, '../../src/cli/main.ts');
const run = promisify(execFile);

interface Options {
  readonly short: boolean;
  readonly json: string | undefined;
  readonly only: readonly string[];
}

export async function coordinator({ short, json, only }: Options): Promise<boolean> {
  const startedAt = new Date();
  const figures: Figure[] = [];
  const parts: Readonly<Record<string, (short: boolean) => Promise<readonly Figure[]>>> = {
    sums,
    memory,
    idle,
    join,
    step,
    large,
    strangers: strangerCost,
    training,
  };
  for (const [name, measure] of Object.entries(parts)) {
    if (only.length > 0 && !only.includes(name)) continue;
    console.error(`${name} …`);
    figures.push(...(await measure(short)));
  }
  publish('coordinator', startedAt, figures, json);
  return true;
}

/** Float32 numbers added up a second, beside a plain copy of as many, in turns. */
async function sums(short: boolean): Promise<readonly Figure[]> {
  const elements = 4 * 2 ** 20;
  const rounds = short ? 3 : 5;
  const source = Float32Array.from({ length: elements }, (_, i) => Math.sin(i));
  const target = new Float32Array(elements);
  const figures: Figure[] = [];
  for (const codec of ['f32', 'int8', 'e3m0'] as const) {
    const { aggregation, fragment, parameters } = aggregationOf(elements, codec);
    const encoded = contribution(fragment, parameters, codec, 0);
    const merges = new Map<number, number>();
    const copies: number[] = [];
    for (const contributors of [4, 16, 64]) {
      const weights = Array.from({ length: contributors }, (_, m) => ({ island: `i${m}`, weight: 1 }));
      const times: Record<'copy' | 'take' | 'merge', number[]> = { copy: [], take: [], merge: [] };
      for (let round = 0; round < rounds; round++) {
        times.copy.push(seconds(() => target.set(source)));
        times.take.push(
          seconds(() => {
            for (const { island } of weights) aggregation.contribute(0, island, encoded);
          }),
        );
        times.merge.push(seconds(() => aggregation.merge(0, weights)));
      }
      copies.push(...times.copy);
      merges.set(contributors, median(times.merge));
      const copyGBPerS = (4 * elements) / median(times.copy) / 1e9;
      for (const kind of ['take', 'merge'] as const) {
        const gigabytes = (4 * elements * contributors) / median(times[kind]) / 1e9;
        const note = `${gigabytes.toFixed(1)} GB/s beside ${copyGBPerS.toFixed(1)} GB/s; ${WHAT[kind]}`;
        const id = `coordinator.${kind}.${codec}.${contributors}`;
        figures.push({ id, value: gigabytes / copyGBPerS, unit: '× a copy', target: null, met: null, note });
      }
    }
    const copyGBPerS = (4 * elements) / median(copies) / 1e9;
    const more = (4 * elements * (64 - 4)) / (merges.get(64)! - merges.get(4)!) / 1e9;
    figures.push({
      id: `coordinator.add.${codec}`,
      value: more / copyGBPerS,
      unit: '× a copy',
      target: '≥ 0.5 ×',
      met: more / copyGBPerS >= 0.5,
      note: `${more.toFixed(1)} GB/s beside ${copyGBPerS.toFixed(1)} GB/s: what each further contribution takes`,
    });
  }
  return figures;
}

const WHAT = {
  take: 'checked and measured as it comes',
  merge: 'added up, with the outer step and packing',
} as const;

function seconds(work: () => void): number {
  const startMs = performance.now();
  work();
  return (performance.now() - startMs) / 1000;
}

/** Most memory of a merge with few and with many contributors to a model of 400 MB. */
async function memory(short: boolean): Promise<readonly Figure[]> {
  const elements = short ? 25_000_000 : 100_000_000;
  const most = 256;
  const peaks: number[] = [];
  // As many as fit into the gibibyte of contributions that wait in memory, and far more.
  for (const contributors of [short ? 84 : 21, most]) {
    const { stdout } = await run(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      here('memory.ts'),
      String(elements),
      String(contributors),
    ]);
    peaks.push((JSON.parse(stdout) as { peakBytes: number }).peakBytes);
  }
  const value = peaks[1]! / peaks[0]!;
  return [
    {
      id: `coordinator.memory.${most}-over-few`,
      value,
      unit: '×',
      target: '≤ 1.1 ×',
      met: value <= 1.1,
      note: `${(peaks[1]! / 1e9).toFixed(2)} GB beside ${(peaks[0]! / 1e9).toFixed(2)} GB; ${(4 * elements) / 1e6} MB of parameters, int4`,
    },
  ];
}

/** Islands that are there and send heartbeats, on both cores together with whoever plays them. */
async function idle(short: boolean): Promise<readonly Figure[]> {
  const count = short ? 1_000 : 10_000;
  const server = fork(here('idle-server.ts'), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: 'inherit',
  });
  const { port, invitation } = await heard<{ port: number; invitation: string }>(server, 'serving');
  const arguments_ = [String(port), String(count), '0', invitation];
  const clients = fork(here('idle-clients.ts'), arguments_, {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: 'inherit',
  });
  try {
    const { seconds: joinS } = await heard<{ seconds: number }>(clients, 'joined');
    const pongs: number[] = [];
    const usages: { islands: number; cpuShare: number; rssBytes: number }[] = [];
    clients.on('message', (message: { kind: string; ms: number }) => message.kind === 'pong' && pongs.push(message.ms));
    server.on(
      'message',
      (message: { kind: string; islands: number; cpuShare: number; rssBytes: number }) =>
        message.kind === 'usage' && usages.push(message),
    );
    await new Promise((resolve) => setTimeout(resolve, short ? 6_000 : 20_000));
    const there = Math.min(...usages.map((usage) => usage.islands));
    const sorted = pongs.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))]!;
    const id = `coordinator.idle.${count}`;
    return [
      {
        id: `${id}.there`,
        value: there,
        unit: 'islands',
        target: `${count}`,
        met: there === count,
        note: `joined in ${joinS.toFixed(1)} s`,
      },
      {
        id: `${id}.cpu`,
        value: median(usages.map((u) => u.cpuShare)),
        unit: 'cores',
        target: null,
        met: null,
        note: 'heartbeats every 2 s',
      },
      {
        id: `${id}.memory`,
        value: median(usages.map((u) => u.rssBytes)) / 1e6,
        unit: 'MB',
        target: null,
        met: null,
        note: '',
      },
      {
        id: `${id}.heartbeat`,
        value: at(0.5),
        unit: 'ms',
        target: null,
        met: null,
        note: `there and back; 99 % ${at(0.99).toFixed(1)} ms`,
      },
    ];
  } finally {
    clients.kill();
    server.kill();
  }
}

function heard<T>(child: ChildProcess, kind: string): Promise<T> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: { kind: string }) => message.kind === kind && resolve(message as T));
    child.once('exit', (code) => reject(new Error(`ended with status ${code}`)));
  });
}

/** From a connection to training, of a second island of a run: by the coordinator's records. */
async function join(): Promise<readonly Figure[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-join-'));
  const file = path.join(folder, 'run.yaml');
  const data = path.resolve(import.meta.dirname, '../../data/austen/persuasion.txt');
  writeFileSync(file, JSON.stringify({ data, islands: 1, outer: { strategy: 'decoupled' }, stop: { steps: 100_000 } }));
  const start = (...args: string[]) =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  const serve = start('serve', file, '--jsonl', '--port', '0');
  const islands: ChildProcess[] = [];
  try {
    let joiningMs = 0;
    for await (const text of createInterface({ input: serve.stdout! })) {
      const line = JSON.parse(text) as ServeLine;
      const island = (n: number): void => {
        islands.push(
          start('join', invitation, '--name', `i-${n}`, '--threads', '1', '--state', path.join(folder, `i-${n}`)),
        );
      };
      if (line.kind === 'serving') ({ invitation } = line);
      if (line.kind === 'serving') island(1);
      if (line.kind !== 'record' || line.record.kind !== 'island') continue;
      const { island: name, status } = line.record;
      if (name === 'i-1' && status === 'training') island(2);
      if (name === 'i-2' && status === 'joining') joiningMs = performance.now();
      if (name !== 'i-2' || status !== 'training') continue;
      const value = (performance.now() - joiningMs) / 1000;
      return [
        {
          id: 'coordinator.join-to-training',
          value,
          unit: 's',
          target: '< 2 s',
          met: value < 2,
          note: 'a second island, while the first trains; its own data and graph included',
        },
      ];
    }
    throw new Error('the run ended');
  } finally {
    for (const child of [...islands, serve]) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
let invitation = '';

/** An outer step with eight islands, beside the time that the same bytes take over the same loopback alone. */
async function step(short: boolean): Promise<readonly Figure[]> {
  const elements = short ? 10_000_000 : 100_000_000;
  const islands = 8;
  const codec: CodecName = 'int8';
  const bytes = codecFor(codec, { ...FRAGMENT, elements, tensors: [{ ...FRAGMENT.tensors[0]!, elements }] }).mostBytes;
  const served = await hosted(
    {},
    {
      elements,
      islands,
      leaseMs: 120_000,
      outer: { upCodec: codec, downCodec: codec, quorum: 'all', graceS: 60, maxStaleness: 1, innerSteps: 5 },
    },
  );
  try {
    const args = [
      here('step-clients.ts'),
      String(served.server.port),
      String(islands),
      RUN,
      String(bytes),
      codec,
      await served.invite({ uses: 100 }),
    ];
    const { stdout } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', ...args]);
    const { seconds: stepS } = JSON.parse(stdout) as { seconds: number };
    const rawS = await raw(2 * islands * bytes);
    return [
      {
        id: 'coordinator.step.ratio-to-transfer',
        value: stepS / rawS,
        unit: '×',
        target: null,
        met: null,
        note: `${stepS.toFixed(1)} s beside ${rawS.toFixed(1)} s: ${islands} islands, ${(4 * elements) / 1e6} MB of parameters, ${codec} both ways, ${((2 * islands * bytes) / 1e6).toFixed(0)} MB in all`,
      },
    ];
  } finally {
    await served.close();
  }
}

/** Seconds that so many bytes take through one TCP connection on the loopback. */
function raw(bytes: number): Promise<number> {
  const piece = Buffer.alloc(2 ** 20);
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      let received = 0;
      socket.on('data', (data) => {
        received += data.length;
        if (received < bytes) return;
        resolve((performance.now() - startMs) / 1000);
        socket.destroy();
        server.close();
      });
    });
    let startMs = 0;
    server.listen(0, '127.0.0.1', () => {
      const socket = connect((server.address() as { port: number }).port, '127.0.0.1', () => {
        startMs = performance.now();
        let sent = 0;
        const more = (): void => {
          while (sent < bytes) {
            sent += piece.length;
            if (!socket.write(piece)) return void socket.once('drain', more);
          }
        };
        more();
      });
      socket.on('error', () => {});
    });
  });
}
