import { globSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { findChromium } from '../scripts/chromium.mjs';
import { benchmarkTrainer, randomBatch } from '../src/cli/benchmark.ts';
import { Graph } from '../src/ml/engine/graph.ts';
import { nodeRuntime } from '../src/ml/engine/node-runtime.ts';
import { floatTensor } from '../src/ml/engine/session.ts';
import { isLanguage } from '../src/ml/models/model.ts';
import { evaluationGraph, gradientGraph } from '../src/ml/training/training-graph.ts';
import { browserFigures } from './browser.ts';
import { Contender, inTurn, type Round } from './contender.ts';
import { WORKS, type Work } from './engine-models.ts';
import { type Figure, median, publish } from './figures.ts';
import { Kept } from './kept.ts';
import { describeMachine, thisMachine } from './machine.ts';
import { blasEnvironment, compiles, findPyTorch } from './pytorch.ts';

/** Speed, memory and start-up of the engine beside PyTorch's, in turn, on the same machine, threads and optimizer. */

export interface EngineOptions {
  readonly short: boolean;
  readonly json: string | undefined;
  /** Print where the time of a step goes, and nothing else. */
  readonly profile: boolean;
  /** Names of models, when not all are wanted. */
  readonly only: readonly string[];
}

export async function engine({ short, json, profile, only }: EngineOptions): Promise<boolean> {
  const startedAt = new Date();
  const works = WORKS.filter(({ name }) => only.length === 0 || only.includes(name));
  if (profile) {
    for (const work of works) await printProfile(work);
    return true;
  }
  const python = findPyTorch();
  if (python === undefined) {
    console.error('PyTorch was not found, so there is nothing to compare with. Install it: npm run pytorch');
    console.error('or name a Python that has it: HELIOTROPE_PYTHON=/path/to/python npm run bench engine');
    return false;
  }
  const withCompiler = !short && compiles(python);
  const threadCounts = [1, 2].filter((t) => t <= availableParallelism());
  const kept = new Kept(path.join(import.meta.dirname, `../runs/bench/engine${short ? '-short' : ''}.jsonl`));
  const figures: Figure[] = [];
  const part = async (name: string, measure: () => Promise<readonly Figure[]>): Promise<void> => {
    console.error(`${name} …`);
    figures.push(...(await kept.of(name, measure)));
  };
  console.error(describeMachine(thisMachine()));
  for (const work of works) {
    const { name } = work;
    for (const threads of short ? threadCounts.slice(-1) : threadCounts)
      await part(`${name}, ${threads} threads`, () => compare(python, withCompiler, work, threads));
    if (!isLanguage(work.model)) continue;
    await part(`${name}, muon`, () => muonCost(work));
    await part(`${name}, memory`, () => memory(python, work));
  }
  const [smallest] = works;
  // Four times the tokens: what orthogonalizing costs does not grow with them.
  if (smallest !== undefined && isLanguage(smallest.model))
    await part(`${smallest.name}, muon, larger batches`, () =>
      muonCost({ ...smallest, batch: 4 * smallest.batch, steps: 2 }),
    );
  await part('start-up', startUp);
  if (findChromium() === undefined)
    console.error('No Chromium: the browser was not measured (node scripts/chromium.mjs).');
  else await part('browser', () => browserFigures(short ? 3 : 5));
  publish('engine', startedAt, figures, json);
  return true;
}

/** The fewest from which a median is taken (DESIGN, section 9). */
const rounds = 5;

const worker = path.join(import.meta.dirname, 'engine-worker.ts');
const script = path.join(import.meta.dirname, 'engine_pytorch.py');
const plain = { target: null, met: null, note: '' };

const ours = (work: Work, threads: number, optimizer: string, options: object = {}): Promise<Contender> =>
  Contender.start(process.execPath, [worker, JSON.stringify({ ...work, threads, optimizer }), JSON.stringify(options)]);
const theirs = (python: string, work: Work, threads: number, mode: 'eager' | 'compile'): Promise<Contender> =>
  Contender.start(
    python,
    ['-W', 'ignore', script, JSON.stringify({ ...work, threads, optimizer: 'adamw' }), mode],
    blasEnvironment(threads),
  );

const speed = (rounds: readonly Round[]): number => median(rounds.map((round) => round.perS));

async function compare(python: string, withCompiler: boolean, work: Work, threads: number): Promise<readonly Figure[]> {
  const modes = withCompiler ? (['eager', 'compile'] as const) : (['eager'] as const);
  const contenders = [await ours(work, threads, 'adamw')];
  for (const mode of modes) contenders.push(await theirs(python, work, threads, mode));
  const { version } = contenders[1]!;
  const results = await inTurn(contenders, rounds, work.steps);
  const [mine, ...others] = results.map(speed) as [number, ...number[]];
  const best = Math.max(...others);
  const [memory, otherMemory] = [results[0]!.at(-1)!.peakMemoryBytes, results[1]!.at(-1)!.peakMemoryBytes];
  const peak = await gemmPeak(threads);
  const flops = flopsOf(gradientGraphOf(work));
  const perStep = randomBatch(work.model, work.batch).count;
  const share = (flops * mine) / perStep / peak;
  const unit = isLanguage(work.model) ? 'tokens/s' : 'examples/s';
  const id = (what: string): string => `engine.${work.name}.${threads}-threads.${what}`;
  const fastest = modes[others.indexOf(best)];
  const note = `PyTorch ${version}, the faster of ${modes.join(' and ')} (${fastest}); medians of ${rounds} rounds of ${work.steps} steps, in turn`;
  return [
    { id: id('per-s'), value: mine, unit, ...plain },
    ...modes.map((mode, i) => ({ id: id(`pytorch-${mode}-per-s`), value: others[i]!, unit, ...plain })),
    {
      id: id('ratio-to-pytorch'),
      value: mine / best,
      unit: '×',
      target: `≥ ${work.target.toFixed(1)} ×`,
      met: mine / best >= work.target,
      note,
    },
    {
      id: id('share-of-gemm-peak'),
      value: share,
      unit: '',
      ...plain,
      note: `${(flops / 1e9).toFixed(1)} GFLOP of products a step; a large product alone runs at ${(peak / 1e9).toFixed(0)} GFLOP/s here`,
    },
    { id: id('peak-memory'), value: memory / 1e6, unit: 'MB', ...plain },
    { id: id('pytorch-peak-memory'), value: otherMemory / 1e6, unit: 'MB', ...plain },
    {
      id: id('memory-ratio-to-pytorch'),
      value: memory / otherMemory,
      unit: '×',
      target: '≤ 1.0 ×',
      met: memory <= otherMemory,
      note: 'peak resident memory of the whole process, PyTorch eager',
    },
  ];
}

/** What Muon costs over AdamW, in our own engine. */
async function muonCost(work: Work): Promise<readonly Figure[]> {
  const threads = availableParallelism() > 1 ? 2 : 1;
  const [adamw, muon] = (
    await inTurn([await ours(work, threads, 'adamw'), await ours(work, threads, 'muon')], rounds, work.steps)
  ).map(speed) as [number, number];
  const tokens = randomBatch(work.model, work.batch).count;
  return [
    {
      id: `engine.${work.name}.${threads}-threads.${tokens}-tokens.muon-step-time-over-adamw`,
      value: adamw / muon,
      unit: '×',
      target: '≤ 1.1 ×',
      met: adamw / muon <= 1.1,
      note: `three Newton–Schulz steps on every matrix, once a step of ${tokens} tokens`,
    },
  ];
}

/** Peak memory with activations computed again, beside keeping them and beside PyTorch, each in a process of its own. */
async function memory(python: string, work: Work): Promise<readonly Figure[]> {
  const threads = availableParallelism() > 1 ? 2 : 1;
  const measure = async (contender: Contender): Promise<Round> => {
    await contender.go(work.steps);
    const round = await contender.go(work.steps);
    await contender.end();
    return round;
  };
  const kept = await measure(await ours(work, threads, 'adamw'));
  const again = await measure(await ours(work, threads, 'adamw', { recompute: true }));
  const other = await measure(await theirs(python, work, threads, 'eager'));
  const megabytes = ({ peakMemoryBytes }: Round): string => `${(peakMemoryBytes / 1e6).toFixed(0)} MB`;
  const id = (what: string): string => `engine.${work.name}.recompute.${what}`;
  const ratio = again.peakMemoryBytes / other.peakMemoryBytes;
  return [
    {
      id: id('peak-memory'),
      value: again.peakMemoryBytes / 1e6,
      unit: 'MB',
      ...plain,
      note: `${megabytes(kept)} without`,
    },
    {
      id: id('memory-ratio-to-pytorch'),
      value: ratio,
      unit: '×',
      target: '≤ 0.6 ×',
      met: ratio <= 0.6,
      note: `PyTorch eager keeps its activations: ${megabytes(other)}`,
    },
    {
      id: id('speed-ratio'),
      value: again.perS / kept.perS,
      unit: '×',
      ...plain,
      note: 'what computing them again costs',
    },
  ];
}

/** From nothing to graphs that can run, and once more for the same model. */
async function startUp(): Promise<readonly Figure[]> {
  const work = WORKS.find(({ name }) => name === 'gpt2-29m')!;
  const threads = availableParallelism();
  const seconds: number[] = [];
  for (let i = 0; i < 5; i++) {
    const startMs = performance.now();
    const sessions = [
      await nodeRuntime().compile(gradientGraphOf(work), 'loss and gradients', { threads }),
      await nodeRuntime().compile(evaluationGraph(work.model, work.batch), 'evaluation', { threads }),
    ];
    seconds.push((performance.now() - startMs) / 1000);
    for (const session of sessions) await session.release();
  }
  return [
    {
      id: 'engine.gpt2-29m.start-up-s',
      value: seconds[0]!,
      unit: 's',
      target: '≤ 2 s',
      met: seconds[0]! <= 2,
      note: `graphs built, written and compiled; again in the same process ${median(seconds.slice(1)).toFixed(2)} s, so nothing is cached`,
    },
  ];
}

const gradientGraphOf = ({ model, batch }: Work): Graph =>
  gradientGraph(model, {
    batchSize: batch,
    precision: 'float32',
    recompute: false,
    dropout: 0,
    labelSmoothing: 0,
    accumulate: false,
  }).graph;

/** Multiplications and additions of all products and convolutions that a step needs. */
function flopsOf(graph: Graph): number {
  let flops = 0;
  for (const { op, inputs, outputs, attributes } of graph.nodes) {
    const size = outputs[0]!.shape.reduce((product, d) => product * d, 1);
    const [a, b] = inputs;
    if (op === 'MatMul') flops += 2 * size * a!.shape.at(-1)!;
    if (op === 'Gemm') flops += 2 * size * (attributes.transA === 1 ? a!.shape[0]! : a!.shape[1]!);
    if (op === 'Conv') flops += 2 * size * b!.shape[1]! * b!.shape[2]! ** 2;
  }
  return flops;
}

/** Speed of one large product in ONNX Runtime, in FLOP/s: the best of several. */
async function gemmPeak(threads: number): Promise<number> {
  const side = 1024;
  const graph = new Graph();
  const [a, b] = ['a', 'b'].map((name) => graph.input(name, 'float32', [side, side]));
  graph.output('y', graph.one('Gemm', [a!, b!]));
  const session = await nodeRuntime().compile(graph, 'peak', { threads });
  const ones = floatTensor(new Float32Array(side * side).fill(1), [side, side]);
  let best = 0;
  for (let i = 0; i < 20; i++) {
    const startMs = performance.now();
    await session.run({ a: ones, b: ones });
    best = Math.max(best, (2 * side ** 3) / ((performance.now() - startMs) / 1000));
  }
  await session.release();
  return best;
}

interface TraceEvent {
  readonly cat?: string;
  readonly dur?: number;
  readonly name?: string;
  readonly args?: { readonly op_name?: string };
}

/** Where the time of a step goes: ONNX Runtime's own profile of the gradient graph, by operator, and the update. */
async function printProfile({ name, model, batch }: Work): Promise<void> {
  const threads = availableParallelism();
  const prefix = path.join(tmpdir(), `heliotrope-profile-${process.pid}`);
  const optimizer = { kind: 'adamw', rate: 1e-3, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
  const trainer = await benchmarkTrainer(model, optimizer, batch, threads, { profile: prefix });
  const data = randomBatch(model, batch);
  const steps = 5;
  for (let i = 0; i < steps; i++) await trainer.step(data);
  await trainer.release();
  const [file] = globSync(`${prefix}*.json`);
  const events = JSON.parse(readFileSync(file!, 'utf8')) as readonly TraceEvent[];
  rmSync(file!);
  const byOp = new Map<string, { ms: number; count: number }>();
  for (const { cat, dur = 0, name: label = '', args } of events) {
    if (cat !== 'Node' || !label.endsWith('_kernel_time')) continue;
    const op = args?.op_name ?? '?';
    const before = byOp.get(op) ?? { ms: 0, count: 0 };
    byOp.set(op, { ms: before.ms + dur / 1000 / steps, count: before.count + 1 / steps });
  }
  const rows = [...byOp].toSorted(([, a], [, b]) => b.ms - a.ms);
  const total = rows.reduce((sum, [, { ms }]) => sum + ms, 0);
  console.log(`\n${name}: loss and gradients, ${threads} threads, ${total.toFixed(1)} ms in kernels a step`);
  for (const [op, { ms, count }] of rows.filter(([, { ms: m }]) => m > total / 500))
    console.log(
      `  ${op.padEnd(28)}${ms.toFixed(2).padStart(9)} ms${((100 * ms) / total).toFixed(1).padStart(7)} %${count.toFixed(0).padStart(6)} nodes`,
    );
}
