import { totalProgress } from '../coordinator/membership.ts';
import { allIslands } from '../coordinator/roster.ts';
import { runStepOf } from '../coordinator/run.ts';
import { islandShare, type RunEnergy } from '../coordinator/run-energy.ts';
import type { Machine } from '../coordinator/server/peer.ts';
import type { Ending } from '../coordinator/server/server.ts';
import type { RunState } from '../coordinator/state.ts';
import { nodeRuntime } from '../ml/engine/node-runtime.ts';
import { isLanguage } from '../ml/models/model.ts';
import type { ParameterArrays } from '../ml/tensor/parameters.ts';
import { generate } from '../ml/training/generate.ts';
import type { Costs } from './costs.ts';
import { energySummary } from './energy-words.ts';
import { byName, count } from './live/format.ts';
import { initialParameters, type PreparedRun } from './prepare-run.ts';
import type { IslandDetail, Summary } from './records.ts';
import type { Curves } from './report/metrics.ts';

/** The same prompt continued by the untrained and by the trained model; null where it writes no text. */
export async function sampleBoth(prepared: PreparedRun, after: ParameterArrays): Promise<Summary['samples']> {
  const { model, tokenizer, job } = prepared;
  if (!isLanguage(model) || tokenizer === undefined) return null;
  const runtime = nodeRuntime();
  const options = { ...job.sample, prompt: job.sample.prompt ?? '', seed: job.seed, threads: 1 };
  return {
    before: await generate(runtime, model, initialParameters(prepared), tokenizer, options),
    after: await generate(runtime, model, after, tokenizer, options),
  };
}

/** What a run achieved and cost: from the coordinator's state, and what hosting it has cost over all its processes. */
export function summarize(
  { job, model, parameterCount, trainedCount }: PreparedRun,
  { state, energy }: { readonly state: RunState; readonly energy: RunEnergy },
  ending: Ending,
  samples: Summary['samples'],
  costs: Costs,
  validation: Curves['validation'],
): Summary {
  const islands = allIslands(state.islands).toSorted((a, b) => byName(a.name, b.name));
  const details: readonly IslandDetail[] = islands.map((island) => {
    const total = totalProgress(island);
    const traffic = costs.traffic.get(island.name);
    return {
      island: island.name,
      steps: total?.step ?? 0,
      tokens: total?.tokens ?? 0,
      skippedSteps: total?.skippedSteps ?? 0,
      joins: island.joins,
      computeS: total?.computeS ?? 0,
      waitS: total?.waitS ?? 0,
      exchangeS: total?.exchangeS ?? 0,
      evaluateS: total?.evaluateS ?? 0,
      cpuS: total?.cpuS ?? 0,
      peakMemoryBytes: total?.peakMemoryBytes ?? 0,
      sentBytes: traffic?.receivedBytes ?? 0,
      receivedBytes: traffic?.sentBytes ?? 0,
      energy: islandShare(island, job.energy),
    };
  });
  const trained = details.filter(({ tokens }) => tokens > 0);
  const mostTokens = trained.reduce((most, { tokens }) => Math.max(most, tokens), 0);
  // Who joined late, or left early, has exchanged less, and would have in data-parallel training.
  const share = trained.reduce((sum, { tokens }) => sum + tokens / mostTokens, 0) / Math.max(1, trained.length);
  const sum = (value: (detail: IslandDetail) => number): number => details.reduce((total, d) => total + value(d), 0);
  const [computeS, waitS, exchangeS, evaluateS] = [
    sum((d) => d.computeS),
    sum((d) => d.waitS),
    sum((d) => d.exchangeS),
    sum((d) => d.evaluateS),
  ];
  const perplexity = (loss: number | null): number | null => (loss === null ? null : Math.exp(loss));
  const before = state.firstLoss;
  const after = state.lastLossMerges > 0 ? state.lastLoss : null;
  const steps = runStepOf(state);
  return {
    name: job.name,
    status: ending.status,
    reason: ending.reason,
    startedAt: costs.startedAt,
    islands: trained.length,
    parameters: parameterCount,
    trainedParameters: trainedCount,
    vocabularySize: isLanguage(model) ? model.vocabularySize : null,
    steps,
    merges: state.merges,
    tokens: sum((d) => d.tokens),
    wallS: costs.wallS,
    validationLoss: { before, after },
    lowestLoss: lowestOf(validation),
    perplexity: isLanguage(model) ? { before: perplexity(before), after: perplexity(after) } : null,
    accuracy:
      state.firstAccuracy === null
        ? null
        : { before: state.firstAccuracy, after: state.lastLossMerges > 0 ? state.lastAccuracy : null },
    skippedSteps: sum((d) => d.skippedSteps),
    bytesPerIsland: Math.round(sum((d) => d.sentBytes + d.receivedBytes) / Math.max(1, trained.length)),
    bytesPerIslandDataParallel: Math.round(2 * 4 * trainedCount * steps * share),
    bytesMethod:
      'sent plus received, measured; data-parallel: every float32 gradient up and every sum down at each step',
    computeS,
    waitS,
    exchangeS,
    evaluateS,
    computeShare: computeS / Math.max(1e-9, computeS + waitS + exchangeS + evaluateS),
    ...energySummary(energy, sum((d) => d.cpuS) + costs.cpuS, job.energy),
    energy,
    hardware: hardwareOf(trained.flatMap(({ island }) => costs.machines.get(island) ?? [])),
    ...(job.energy.location === undefined ? {} : { location: job.energy.location }),
    coordinatorMemoryBytes: process.resourceUsage().maxRSS * 1024,
    samples,
    islandDetails: details,
  };
}

const HOSTS = { process: '', tab: ' in a browser tab', cluster: ' of a cluster' } as const;

/** Machines that are alike once, with their number: "3 × cpu with 2 threads". */
export function hardwareOf(machines: readonly Machine[]): string {
  const counts = new Map<string, number>();
  for (const { host, device, threads } of machines) {
    const words = `${device} with ${count(threads, 'thread')}${HOSTS[host]}`;
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return [...counts].map(([words, n]) => `${n} × ${words}`).join(', ');
}

type Lowest = NonNullable<Summary['lowestLoss']> | null;

const lowestOf = (validation: Curves['validation']): Lowest =>
  validation.reduce<Lowest>(
    (lowest, [step, loss]) => (lowest === null || loss < lowest.loss ? { loss, step } : lowest),
    null,
  );
