import { readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { writePieces, writeWhole } from '../files.ts';
import { trustedFiles } from '../island/node/data-files.ts';
import { corpusOf } from '../island/node/job-data.ts';
import { stateFolder } from '../island/node/state-folder.ts';
import { namedData, withData } from '../island/own-data.ts';
import type { Passages } from '../ml/data/corpus.ts';
import type { Document } from '../ml/data/records.ts';
import { isLanguage } from '../ml/models/model.ts';
import type { Job } from '../protocol/run-file.ts';
import { runLocally } from './local-run.ts';
import type { PreparedRun } from './prepare-run.ts';
import { writeRunFile } from './run-file.ts';
import { scratchFolder } from './scratch-folder.ts';

/** What one island of a run, and its coordinator, really took in a few steps of it. */
export interface Rehearsed {
  readonly tokensPerS: number;
  readonly islandMemoryBytes: number;
  readonly coordinatorMemoryBytes: number;
  /** Seconds that an island waits for a merge and takes it, and of validating a token. */
  readonly mergeS: number;
  readonly validationS: number;
  /** On the disk at the end: a checkpoint of the island's own, and of the coordinator's. */
  readonly islandCheckpointBytes: number;
  readonly coordinatorCheckpointBytes: number;
  readonly modelBytes: number;
}

export interface RehearsalOptions {
  readonly threads: number;
  readonly device: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** So often every fragment is merged: memory grows over the first few merges, until what they let go is used again. */
const MERGES = { quick: 5, slow: 3 } as const;
/** Inner steps between two merges, where a step takes no time. */
const QUICK_STEPS = 5;
/** Floating-point operations of a step below which it takes no time. */
const QUICK_OPERATIONS = 1e11;
/** What a long text is represented by; up to so much is kept in an island's memory, and is taken as it is. */
const LONG_TEXT_BYTES = 64 * 2 ** 20;
const SAMPLE_BYTES = 4 * 2 ** 20;

/**
 * Runs a few steps of a run with one island, in processes like those that it will have, in a folder of its own that is deleted afterwards. Memory
 * is told by what happens, and not by a formula: training, merges, validation and checkpoints each hold more than parameters.
 */
export async function rehearse(prepared: PreparedRun, options: RehearsalOptions): Promise<Rehearsed> {
  const folder = scratchFolder(stateFolder(options.environment), 'rehearsal');
  try {
    const job = await shortened(prepared, folder);
    const file = path.join(folder, 'run.yaml');
    writeWhole(file, writeRunFile(job));
    return await play(file, job, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function play(file: string, job: Job, options: RehearsalOptions): Promise<Rehearsed> {
  const rates: number[] = [];
  let validated = 0;
  const { summary, folder } = await runLocally({
    serveArguments: [file, '--runs', path.join(path.dirname(file), 'runs')],
    device: options.device,
    threads: options.threads,
    onServing: () => {},
    onRecord: (record) => {
      if (record.kind === 'progress' && record.progress.tokensPerS > 0) rates.push(record.progress.tokensPerS);
      if (record.kind === 'evaluation') validated += record.tokens;
    },
    onNotice: () => {},
    signal: options.signal,
  });
  const [island] = summary.islandDetails;
  if (summary.status !== 'finished' || island === undefined) {
    throw new HelioError(
      'HELIO-5002',
      `A rehearsal of ${job.stop.steps} steps did not come to its end: ${summary.reason}.`,
      'Start it again; if that does not help, train with fewer steps and look at events.log in the folder of the run.',
    );
  }
  const { waitS, exchangeS, evaluateS, peakMemoryBytes } = island;
  return {
    tokensPerS: middle(rates) ?? island.tokens / island.computeS,
    islandMemoryBytes: peakMemoryBytes,
    coordinatorMemoryBytes: summary.coordinatorMemoryBytes ?? 0,
    mergeS: (waitS + exchangeS) / summary.merges,
    validationS: evaluateS / Math.max(1, validated),
    islandCheckpointBytes: bytesIn(path.join(folder, 'islands')),
    coordinatorCheckpointBytes: bytesIn(path.join(folder, 'blobs')),
    modelBytes: bytesIn(folder, /\.safetensors$/),
  };
}

/** The first step is slower: the engine makes its plans. */
function middle(rates: readonly number[]): number | undefined {
  const sorted = rates.slice(rates.length > 2 ? 1 : 0).toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** One island, few steps; what they hold in memory is as in the whole run. */
async function shortened(prepared: PreparedRun, folder: string): Promise<Job> {
  const { job, model, preparation, dataFolder, parameterCount } = prepared;
  const operations = 6 * parameterCount * job.batch * (isLanguage(model) ? job.context : 1);
  const { fragments, overlapSteps, quorum } = job.outer;
  const fewest = Math.max(fragments, overlapSteps > 0 ? 2 : 1);
  const pace = operations < QUICK_OPERATIONS ? 'quick' : 'slow';
  const innerSteps = Math.min(job.outer.innerSteps, pace === 'quick' ? Math.max(fewest, QUICK_STEPS) : fewest);
  const place = (named: string): string => path.resolve(dataFolder, named);
  const { base } = job.model;
  if (preparation.kind === 'text' && base === undefined)
    writeWhole(path.join(folder, 'tokenizer.json'), preparation.tokenizerJson);
  return {
    ...withData(job, namedData(job).map(place)),
    ...(await sampledData(prepared, folder)),
    name: 'rehearsal',
    islands: 1,
    model: base === undefined ? job.model : { ...job.model, base: place(base) },
    tokenizer: preparation.kind === 'text' && base === undefined ? { path: 'tokenizer.json' } : job.tokenizer,
    outer: {
      ...job.outer,
      innerSteps,
      startSteps: 0,
      overlapSteps: Math.min(overlapSteps, innerSteps - 1),
      quorum: quorum === 'all' ? quorum : 1,
    },
    stop: { steps: MERGES[pace] * innerSteps },
    evaluation: { everyMerges: 1, tokens: Math.min(job.evaluation.tokens, 2 * job.batch * job.context) },
    sample: { ...job.sample, tokens: 1 },
  };
}

/** A text that islands tokenize into files is represented by its beginning. */
async function sampledData({ job, dataFolder }: PreparedRun, folder: string): Promise<Partial<Job>> {
  if (!('paths' in job.data)) return {};
  const { training } = await corpusOf(job, trustedFiles(job, dataFolder));
  if (training.bytes <= LONG_TEXT_BYTES) return {};
  const file = path.join(folder, 'sample.jsonl');
  writePieces(file, linesOf(training));
  const { field: _, ...data } = job.data;
  return { data: { ...data, paths: [file] } };
}

function* linesOf(passages: Passages): Generator<Uint8Array> {
  let bytes = 0;
  for (const document of passages.documents()) {
    const line = new TextEncoder().encode(`${JSON.stringify(recordOf(document))}\n`);
    yield line;
    bytes += line.length;
    if (bytes > SAMPLE_BYTES) return;
  }
}

const recordOf = ({ text, prompt, conversation }: Document): object =>
  conversation ?? (prompt === undefined ? { text } : { prompt, completion: text });

function bytesIn(folder: string, name = /./): number {
  const files = readdirSync(folder, { recursive: name.source === '.', withFileTypes: true });
  return files
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
}
