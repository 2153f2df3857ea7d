import { totalProgress } from '../coordinator/membership.ts';
import { runStepOf } from '../coordinator/run.ts';
import type { Ending, RunServer } from '../coordinator/server/server.ts';
import type { RunState } from '../coordinator/state.ts';
import { estimateEnergy } from '../energy/accounting.ts';
import type { ParameterArrays } from '../ml/tensor/parameters.ts';
import { generate } from '../ml/training/generate.ts';
import { byName } from './live/format.ts';
import { initialParameters, type PreparedRun } from './prepare-run.ts';
import type { IslandDetail, Summary } from './records.ts';

/** The same prompt continued by the untrained and by the trained model. */
export async function sampleBoth(
  prepared: PreparedRun,
  after: ParameterArrays,
): Promise<NonNullable<Summary['samples']>> {
  const { model, tokenizer, job } = prepared;
  const options = { ...job.sample, seed: job.seed, threads: 1 };
  return {
    before: await generate(model, initialParameters(prepared), tokenizer, options),
    after: await generate(model, after, tokenizer, options),
  };
}

/** What a run achieved and cost, from the coordinator's state and the bytes that it counted. */
export function summarize(
  { job, model, parameterCount }: PreparedRun,
  server: RunServer,
  ending: Ending,
  samples: Summary['samples'],
  startedAt: Date,
  wallS: number,
): Summary {
  const state: RunState = server.state;
  const islands = Object.values(state.islands).toSorted((a, b) => byName(a.name, b.name));
  const details: readonly IslandDetail[] = islands.map((island) => {
    const total = totalProgress(island);
    return {
      island: island.name,
      steps: total?.step ?? 0,
      tokens: total?.tokens ?? 0,
      joins: island.joins,
      computeS: total?.computeS ?? 0,
      waitS: total?.waitS ?? 0,
      exchangeS: total?.exchangeS ?? 0,
      evaluateS: total?.evaluateS ?? 0,
      cpuS: total?.cpuS ?? 0,
      peakMemoryBytes: total?.peakMemoryBytes ?? 0,
      sentBytes: server.trafficOf(island.name).receivedBytes,
      receivedBytes: server.trafficOf(island.name).sentBytes,
    };
  });
  const sum = (value: (detail: IslandDetail) => number): number => details.reduce((total, d) => total + value(d), 0);
  const [computeS, waitS, exchangeS, evaluateS] = [
    sum((d) => d.computeS),
    sum((d) => d.waitS),
    sum((d) => d.exchangeS),
    sum((d) => d.evaluateS),
  ];
  const ownCpuS = (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
  const perplexity = (loss: number | null): number | null => (loss === null ? null : Math.exp(loss));
  const before = state.firstLoss;
  const after = state.lastLossMerges > 0 ? state.lastLoss : null;
  const steps = runStepOf(state);
  return {
    name: job.name,
    status: ending.status,
    reason: ending.reason,
    startedAt: startedAt.toISOString(),
    islands: details.length,
    parameters: parameterCount,
    vocabularySize: model.vocabularySize,
    steps,
    merges: state.merges,
    tokens: sum((d) => d.tokens),
    wallS,
    validationLoss: { before, after },
    perplexity: { before: perplexity(before), after: perplexity(after) },
    bytesPerIsland: Math.round(sum((d) => d.sentBytes + d.receivedBytes) / Math.max(1, details.length)),
    bytesPerIslandDataParallel: 2 * 4 * parameterCount * steps,
    bytesMethod:
      'sent plus received, measured; data-parallel: every float32 gradient up and every sum down at each step',
    computeS,
    waitS,
    exchangeS,
    evaluateS,
    computeShare: computeS / Math.max(1e-9, computeS + waitS + exchangeS + evaluateS),
    ...estimateEnergy(sum((d) => d.cpuS) + ownCpuS, job.energy.wattsPerCore, job.energy.intensityGPerKWh),
    samples,
    islandDetails: details,
  };
}
