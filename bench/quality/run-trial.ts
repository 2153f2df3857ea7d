import { fragmentsOf } from '../../src/island/layout.ts';
import { nodeRuntime } from '../../src/ml/engine/node-runtime.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { countParameters, initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import type { InnerOptimizer } from '../../src/ml/training/optimizer.ts';
import { Trainer } from '../../src/ml/training/trainer.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';
import { heldOut, materialOf, sourcesOf } from './material.ts';
import { batchOf, SIZES, type Trial, type TrialResult } from './trial.ts';
import { runVirtually } from './virtual-run.ts';

/** Trains as the trial says, and measures the merged model. */
export async function runTrial(trial: Trial): Promise<TrialResult> {
  const startMs = performance.now();
  const { model } = materialOf(trial);
  const initial = initializeParameters(parametersOf(model), trial.seed);
  const trained = await train(trial, initial);
  const judge = trained.trainer;
  await judge.write(trained.parameters);
  const loss = async (half: 'validation' | 'test'): Promise<number> => {
    const { lossSum, tokens } = await judge.evaluate(heldOut(trial, half));
    return lossSum / tokens;
  };
  const [validation, test] = [await loss('validation'), await loss('test')];
  for (const trainer of trained.all) await trainer.release();
  const { trainer: _, all: __, parameters: ___, ...figures } = trained;
  return {
    validation,
    test,
    parameters: countParameters(parametersOf(model)),
    ...figures,
    wallS: (performance.now() - startMs) / 1000,
  };
}

function innerOf({ inner, outer }: Trial): InnerOptimizer {
  const { proximal = 0 } = outer;
  const adam = { betas: [0.9, 0.95] as const, epsilon: 1e-8, weightDecay: 0.1, proximal };
  return { ...inner, ...adam };
}

async function train(trial: Trial, initial: ReadonlyMap<string, Float32Array>) {
  const { who, islands, steps } = trial;
  const { model } = materialOf(trial);
  const sources = sourcesOf(trial);
  const alone = who !== 'islands';
  const totalSteps = who === 'longer' ? steps * islands : steps;
  const trainers: Trainer[] = [];
  for (let m = 0; m < (alone ? 1 : islands); m++) {
    const options = {
      runtime: nodeRuntime(),
      model,
      optimizer: innerOf(trial),
      schedule: { warmUpSteps: 20, totalSteps, finalShare: 0.05 },
      batchSize: batchOf(trial),
      microBatches: who === 'together' ? islands : 1,
      clipNorm: 1,
      threads: 1,
    };
    trainers.push(await Trainer.create(options, initial));
  }
  const [first] = trainers;
  const tokensPerStep = batchOf(trial) * SIZES[trial.model].context;
  const quiet = { merges: 0, goodput: 1, peakBytesPerS: 0, meanBytesPerS: 0, virtualS: totalSteps };
  if (alone) {
    for (let step = 0; step < (who === 'untrained' ? 0 : totalSteps); step++) {
      // One machine that trains longer takes the islands' batches in turn.
      const batches =
        who === 'together'
          ? sources.map((source) => source(step))
          : [sources[step % islands]!(Math.floor(step / islands))];
      await first!.step(...batches);
    }
    const bytesPerIsland = who === 'together' && islands > 1 ? 2 * 4 * countParameters(parametersOf(model)) * steps : 0;
    const parameters = await first!.read(first!.specs.map(({ name }) => name));
    return {
      trainer: first!,
      all: trainers,
      parameters,
      bytesPerIsland,
      tokensPerIsland: steps * tokensPerStep,
      ...quiet,
    };
  }
  const outer = { ...STRATEGIES.fedavg({ islands, steps, inner: trial.inner.kind }), ...trial.outer };
  const outcome = await runVirtually({
    outer,
    steps,
    fragments: fragmentsOf(model, outer),
    initial,
    trainers,
    sources,
    speeds: trial.speeds,
    latencyS: trial.latencyS,
    lost: trial.lost,
    attack: trial.attack,
    random: seededRandom(trial.seed, 77),
  });
  requireValid(trial, outcome.merges, outcome.mergedTokens, tokensPerStep);
  // At the last step all fragments are merged at once: the peak is that of the run before it.
  const up = [...outcome.upBySecond].flatMap(([second, bytes]) => (second < steps - 1 ? bytes : []));
  return {
    trainer: first!,
    all: trainers,
    parameters: outcome.parameters,
    bytesPerIsland: outcome.bytes / islands,
    tokensPerIsland: outcome.trainedTokens / islands,
    merges: outcome.merges,
    goodput: outcome.mergedTokens / outcome.possibleTokens,
    peakBytesPerS: Math.max(...up),
    meanBytesPerS: up.reduce((sum, b) => sum + b, 0) / outcome.virtualS,
    virtualS: outcome.virtualS,
  };
}

/** A run in which islands took no part is invalid, and no result. */
function requireValid(trial: Trial, merges: number, mergedTokens: number, tokensPerStep: number): void {
  if (merges === 0) throw new Error('invalid: nothing was merged');
  const expected = trial.islands * trial.steps * tokensPerStep;
  const even = trial.lost === 0 && trial.speeds.length === 1;
  if (even && mergedTokens < 0.9 * expected)
    throw new Error(`invalid: ${Math.round((100 * mergedTokens) / expected)} % of the tokens were merged`);
}
