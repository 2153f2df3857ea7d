import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { type Figure, median, publish } from './figures.ts';

/** Tokens per second and peak memory of the engine beside PyTorch, in turn, on the same machine and threads. */

/** The model of DESIGN, section 4: layers, width, heads, context, batch, vocabulary. */
const MODEL = [4, 256, 8, 256, 8, 512] as const;
const NAME = 'gpt2-3.4m';

interface Round {
  readonly tokensPerS: number;
  readonly peakMemoryBytes: number;
}

export async function engine({
  short,
  json,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
}): Promise<boolean> {
  const startedAt = new Date();
  const python = findPyTorch();
  if (python === undefined) {
    console.error('PyTorch was not found, so there is nothing to compare with. Install it, for example:');
    console.error(
      '  apt-get install python3-torch libopenblas0-openmp     or     HELIOTROPE_PYTHON=/path/to/python npm run bench engine',
    );
    return false;
  }
  const rounds = short ? 5 : 9;
  const steps = short ? 4 : 8;
  const figures: Figure[] = [];
  for (const threads of [1, 2].filter((t) => t <= availableParallelism()))
    figures.push(...(await compare(python, threads, rounds, steps)));
  figures.push(...(await muonCost(rounds, steps)));
  publish('engine', startedAt, figures, json);
  return true;
}

async function compare(python: string, threads: number, rounds: number, steps: number): Promise<readonly Figure[]> {
  const sizes = [...MODEL, threads].map(String);
  const ours = await Contender.start(
    process.execPath,
    [path.join(import.meta.dirname, 'engine-worker.ts'), ...sizes],
    {},
  );
  const theirs = await Contender.start(
    python,
    [path.join(import.meta.dirname, 'engine_pytorch.py'), ...sizes],
    blasEnvironment(threads),
  );
  const [a, b] = await inTurn(ours, theirs, rounds, steps);
  const [speed, reference] = [median(a.map((r) => r.tokensPerS)), median(b.map((r) => r.tokensPerS))];
  const [memory, referenceMemory] = [a.at(-1)!.peakMemoryBytes, b.at(-1)!.peakMemoryBytes];
  const id = (what: string): string => `engine.${NAME}.${threads}-threads.${what}`;
  const note = `PyTorch ${theirs.version}, median of ${rounds} rounds of ${steps} steps, in turn`;
  const plain = { target: null, met: null, note: '' };
  return [
    { id: id('tokens-per-s'), value: speed, unit: 'tokens/s', ...plain },
    { id: id('pytorch-tokens-per-s'), value: reference, unit: 'tokens/s', ...plain },
    {
      id: id('ratio-to-pytorch'),
      value: speed / reference,
      unit: '×',
      target: '≥ 1.0 ×',
      met: speed >= reference,
      note,
    },
    { id: id('peak-memory'), value: memory / 1e6, unit: 'MB', ...plain },
    { id: id('pytorch-peak-memory'), value: referenceMemory / 1e6, unit: 'MB', ...plain },
    {
      id: id('memory-ratio-to-pytorch'),
      value: memory / referenceMemory,
      unit: '×',
      ...plain,
      note: 'peak resident memory of the whole process',
    },
  ];
}

/** What Muon costs over AdamW, in our own engine. */
async function muonCost(rounds: number, steps: number): Promise<readonly Figure[]> {
  const worker = path.join(import.meta.dirname, 'engine-worker.ts');
  const sizes = [...MODEL, 1].map(String);
  const adamw = await Contender.start(process.execPath, [worker, ...sizes, 'adamw'], {});
  const muon = await Contender.start(process.execPath, [worker, ...sizes, 'muon'], {});
  const [a, b] = await inTurn(adamw, muon, rounds, steps);
  const ratio = median(a.map((r) => r.tokensPerS)) / median(b.map((r) => r.tokensPerS));
  return [
    {
      id: `engine.${NAME}.1-threads.muon-step-time-over-adamw`,
      value: ratio,
      unit: '×',
      target: null,
      met: null,
      note: 'five Newton–Schulz steps in float32',
    },
  ];
}

/** Time for the other one's idle threads to fall asleep. */
const REST_MS = 500;

async function inTurn(a: Contender, b: Contender, rounds: number, steps: number) {
  const results: [Round[], Round[]] = [[], []];
  for (let i = 0; i < rounds; i++) {
    results[0].push(await a.go(steps));
    await setTimeout(REST_MS);
    results[1].push(await b.go(steps));
    await setTimeout(REST_MS);
  }
  a.end();
  b.end();
  return results;
}

/** A process that trains when it is told to, and rests while the other one does. */
class Contender {
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, version: string) {
    this.#child = child;
    this.#lines = lines;
    this.version = version;
  }

  static async start(command: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Contender> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const { version } = JSON.parse(await nextLine(lines, command)) as { version: string };
    return new Contender(child, lines, version);
  }

  async go(steps: number): Promise<Round> {
    this.#child.stdin!.write(`go ${steps}\n`);
    return JSON.parse(await nextLine(this.#lines, 'a contender')) as Round;
  }

  end(): void {
    this.#child.stdin!.end();
  }
}

async function nextLine(lines: AsyncIterator<string>, who: string): Promise<string> {
  const { value, done } = await lines.next();
  if (done === true) throw new Error(`${who} ended before it answered; its error is above`);
  return value;
}

function findPyTorch(): string | undefined {
  const candidates = [process.env.HELIOTROPE_PYTHON, '/usr/bin/python3', 'python3', 'python'];
  return candidates.find(
    (python) => python !== undefined && spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0,
  );
}

/** Debian's PyTorch takes whichever BLAS is there; OpenBLAS on OpenMP shares its threads, the pthread build fights them. */
function blasEnvironment(threads: number): NodeJS.ProcessEnv {
  const folder = ['x86_64', 'aarch64'].map((a) => `/usr/lib/${a}-linux-gnu/openblas-openmp`).find((f) => existsSync(f));
  const path = folder === undefined ? {} : { LD_LIBRARY_PATH: folder };
  return { OMP_NUM_THREADS: String(threads), ...path };
}
