import { availableParallelism, totalmem } from 'node:os';
import { estimateEnergy } from '../energy/accounting/index.ts';
import { KEPT_CHECKPOINTS } from '../island/node/island-checkpoint.ts';
import { isLanguage } from '../ml/models/model.ts';
import { codecFor } from '../outer/codecs/index.ts';
import { sendsWhole } from '../outer/settings.ts';
import type { Job } from '../protocol/run-file.ts';
import { energyPlanNotices } from './energy-plan-checks.ts';
import { bytes, count, gramsCO2e, integer, watthours } from './live/format.ts';
import { outerNotices } from './outer-checks.ts';
import { type PreparedRun, prepareRun } from './prepare-run.ts';
import { type RehearsalOptions, rehearse } from './rehearsal.ts';
import { readRunFile } from './run-file.ts';

/** What a run would do, need and cost, before it is begun. */
export interface Plan {
  readonly name: string;
  readonly islands: number;
  readonly parameters: number;
  readonly trainedParameters: number;
  readonly vocabularySize: number | null;
  readonly tokens: number;
  readonly trainingTextTokens: number;
  /** Measured now: the most that the process of an island had in a few steps, merges and a checkpoint. */
  readonly memoryPerIslandBytes: number;
  /** The same of the coordinator's process, and for each further island the contribution that waits to be merged. */
  readonly coordinatorMemoryBytes: number;
  /** Checkpoints of all islands on this machine, those of the coordinator, and the model. */
  readonly diskBytes: number;
  readonly merges: number;
  readonly bytesPerMerge: number;
  readonly bytesPerIsland: number;
  readonly bytesPerIslandDataParallel: number;
  /** Measured now, one island on its share of the threads, alone: the others' share of memory and caches is not missed. */
  readonly tokensPerS: number;
  readonly threadsPerIsland: number;
  readonly timeS: number;
  readonly energyWh: number;
  readonly energyMethod: string;
  readonly gCO2e: number;
  readonly warnings: readonly string[];
}

export async function planRun(
  file: string,
  islands: number | undefined,
  options: Omit<RehearsalOptions, 'threads'>,
): Promise<Plan> {
  const { job: read, folder } = readRunFile(file);
  const prepared = await prepareRun({ ...read, islands: islands ?? read.islands }, folder);
  const { job, model, trainedCount, parameterCount, trainingTokens } = prepared;
  const cores = availableParallelism();
  const threadsPerIsland = Math.max(1, Math.floor(cores / job.islands));
  const measured = await rehearse(prepared, { ...options, threads: threadsPerIsland });
  const tokens = job.stop.steps * job.batch * (isLanguage(model) ? job.context : 1) * job.islands;
  const atOnce = Math.min(job.islands, Math.max(1, Math.floor(cores / threadsPerIsland)));
  const startSteps = Math.min(job.outer.startSteps, job.stop.steps);
  const rounds = startSteps + Math.ceil((job.stop.steps - startSteps) / job.outer.innerSteps);
  const merges = rounds * job.outer.fragments;
  const { upCodec } = job.outer;
  const downCodec = sendsWhole(job.outer) ? 'f32' : job.outer.downCodec;
  const bothWays = prepared.fragments.reduce(
    (sum, fragment) => sum + codecFor(upCodec, fragment).mostBytes + codecFor(downCodec, fragment).mostBytes,
    0,
  );
  const bytesPerMerge = Math.round(bothWays / job.outer.fragments);
  const validated = Math.min(prepared.heldOutTokens, job.evaluation.tokens);
  const timeS =
    tokens / (measured.tokensPerS * atOnce) +
    mergingS(job, merges, measured.mergeS) +
    (measured.validationS * validated * (1 + Math.ceil(rounds / job.evaluation.everyMerges))) / atOnce;
  const waiting =
    (job.islands - 1) *
    prepared.fragments.reduce((most, fragment) => Math.max(most, codecFor(upCodec, fragment).mostBytes), 0);
  const memoryPerIslandBytes = measured.islandMemoryBytes;
  const coordinatorMemoryBytes = measured.coordinatorMemoryBytes + waiting;
  const energy = estimateEnergy(
    timeS * Math.min(cores, job.islands * threadsPerIsland),
    job.energy.wattsPerCore,
    job.energy.intensityGPerKWh,
  );
  return {
    name: job.name,
    islands: job.islands,
    parameters: parameterCount,
    trainedParameters: trainedCount,
    vocabularySize: isLanguage(model) ? model.vocabularySize : null,
    tokens,
    trainingTextTokens: trainingTokens,
    memoryPerIslandBytes,
    coordinatorMemoryBytes,
    diskBytes:
      job.islands * KEPT_CHECKPOINTS * measured.islandCheckpointBytes +
      (job.checkpoints.keep + 1) * measured.coordinatorCheckpointBytes +
      measured.modelBytes,
    merges,
    bytesPerMerge,
    bytesPerIsland: merges * bytesPerMerge,
    bytesPerIslandDataParallel: 2 * 4 * trainedCount * job.stop.steps,
    tokensPerS: measured.tokensPerS,
    threadsPerIsland,
    timeS,
    energyWh: energy.energyWh,
    energyMethod: energy.energyMethod,
    gCO2e: energy.gCO2e,
    warnings: warningsOf(prepared, tokens, job.islands * memoryPerIslandBytes + coordinatorMemoryBytes, cores),
  };
}

/** What merges take of an island's time; what is trained on during them costs none. */
const mergingS = ({ outer }: Job, merges: number, mergeS: number): number =>
  outer.overlapSteps > 0 || outer.oneStepDelay ? 0 : merges * mergeS;

function warningsOf(
  { job, model, trainingTokens, heldOutTokens, notices }: PreparedRun,
  tokens: number,
  memoryBytes: number,
  cores: number,
): readonly string[] {
  const { steps } = job.stop;
  const epochs = tokens / trainingTokens;
  const when = (condition: boolean, sentence: string): readonly string[] => (condition ? [sentence] : []);
  return [
    ...notices,
    ...outerNotices(job),
    ...energyPlanNotices(job, Date.now()),
    ...when(job.islands > 8, `${job.islands} islands: beyond 8, each further one adds less.`),
    ...when(job.islands > cores, `${job.islands} islands share ${cores} cores: they take turns.`),
    ...when(epochs > 4, `The data are read ${epochs.toFixed(1)} times over: expect overfitting.`),
    ...when(
      memoryBytes > 0.8 * totalmem(),
      `Islands and coordinator need about ${bytes(memoryBytes)}; this machine has ${bytes(totalmem())}.`,
    ),
    ...when(
      heldOutTokens < job.evaluation.tokens,
      `${integer(heldOutTokens)} ${isLanguage(model) ? 'tokens' : 'examples'} are held out, fewer than evaluation.tokens ${integer(job.evaluation.tokens)}: all of them are used.`,
    ),
    ...when(
      job.inner.warmUpSteps >= steps,
      `inner.warmUpSteps ${job.inner.warmUpSteps} is no less than stop.steps ${steps}: the rate never reaches its maximum.`,
    ),
  ];
}

export function planLines(plan: Plan, duration: (seconds: number) => string): readonly string[] {
  const fact = (name: string, text: string): string => `  ${name.padEnd(18)}${text}`;
  const unit = plan.vocabularySize === null ? 'examples' : 'tokens';
  return [
    `${plan.name}: estimate, nothing is trained`,
    fact(
      'model',
      `${integer(plan.parameters)} parameters${plan.trainedParameters < plan.parameters ? `, ${integer(plan.trainedParameters)} of them trained` : ''}${plan.vocabularySize === null ? '' : `, vocabulary ${integer(plan.vocabularySize)}`}`,
    ),
    fact(
      'training',
      `${integer(plan.tokens)} ${unit} on ${count(plan.islands, 'island')}; the data have about ${integer(plan.trainingTextTokens)} ${unit}`,
    ),
    fact(
      'memory',
      `${bytes(plan.memoryPerIslandBytes)} an island (measured), ${bytes(plan.coordinatorMemoryBytes)} the coordinator`,
    ),
    fact('disk', `${bytes(plan.diskBytes)}, if all islands are on this machine: checkpoints and the model`),
    fact(
      'exchange',
      `${count(plan.merges, 'merge')} of ${bytes(plan.bytesPerMerge)} an island, up and down: ${bytes(plan.bytesPerIsland)} in all`,
    ),
    fact('', `per-step data-parallel: ${bytes(plan.bytesPerIslandDataParallel)}`),
    fact(
      'speed',
      `${integer(plan.tokensPerS)} ${unit}/s an island on ${count(plan.threadsPerIsland, 'thread')} (measured)`,
    ),
    fact('time', `about ${duration(plan.timeS)}`),
    fact('energy', `about ${watthours(plan.energyWh)}, ${gramsCO2e(plan.gCO2e)} (${plan.energyMethod})`),
    ...plan.warnings.map((warning) => `  warning: ${warning}`),
  ];
}
