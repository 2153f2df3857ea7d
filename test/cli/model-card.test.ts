import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { energySummary } from '../../src/cli/energy-words.ts';
import type { Summary } from '../../src/cli/records.ts';
import { modelCard } from '../../src/cli/report/model-card.ts';
import { hardwareOf } from '../../src/cli/summarize.ts';
import type { ModelConfig } from '../../src/ml/models/model.ts';
import type { Job } from '../../src/protocol/run-file.ts';

const MODEL = { architecture: 'mlp', inputs: 4, hidden: [8], outputs: 2 } as unknown as ModelConfig;
const SUMMARY = {
  name: 'iris',
  status: 'finished',
  validationLoss: { before: 1.1, after: 0.4 },
  accuracy: null,
  perplexity: null,
  lowestLoss: null,
  islands: 2,
  parameters: 58,
  trainedParameters: 58,
  steps: 10,
  tokens: 100,
  wallS: 5,
  bytesPerIsland: 1,
  bytesPerIslandDataParallel: 2,
  energyWh: 0.5,
  energyMethod: 'estimated: 180 CPU seconds × 10 W for each busy core',
  gCO2e: 0.00000023756,
  carbonMethod: 'location-based: 475 g/kWh (assumed)',
  energyQuality: 'assumed',
  hardware: '2 × cpu with 1 thread',
  location: 'Freiburg: "im Breisgau", Germany',
} as unknown as Summary;

const jobOf = (model: object): Job =>
  ({
    model,
    context: 1,
    outer: { innerSteps: 5, strategy: 'diloco', rate: 0.7, momentum: 0.9 },
    inner: { optimizer: 'adamw' },
    data: { table: ['iris.csv'], heldOut: 0.2 },
  }) as unknown as Job;

const frontMatterOf = (card: string): { co2_eq_emissions: unknown } => parse(card.split('---\n')[1]!);

/** https://huggingface.co/docs/hub/model-cards-co2 names these five keys. */
it('the model card says emissions as Hugging Face reads them', () => {
  const card = modelCard(jobOf({}), MODEL, SUMMARY);
  expect(frontMatterOf(card).co2_eq_emissions).toEqual({
    emissions: 2.376e-7,
    source: 'Heliotrope, estimated: 180 CPU seconds × 10 W for each busy core; location-based: 475 g/kWh (assumed)',
    training_type: 'pre-training',
    geographical_location: 'Freiburg: "im Breisgau", Germany',
    hardware_used: '2 × cpu with 1 thread',
  });
  expect(card).toContain('Both together are assumed.');
  expect(card).toContain('Software Carbon Intensity (ISO/IEC 21031): 2.38 gCO2e for 10⁹ training'); // 0.00000023756 g over 100
});

it('books of homes stand beside each other, and the making of the machines is in the rate', () => {
  const energy = {
    totalWh: 200,
    estimatedWh: 50,
    computeWh: { pv: 100, battery: 0, grid: 50, unallocated: 50 },
    qualityWh: { measured: 150, modelled: 0, assumed: 50 },
    attributionalG: 40,
    counterfactualG: 90,
    marginal: { extraImportWh: 80, g: 50, lostExportG: 0 },
    market: { wh: 0, g: 0 },
    cost: [{ currency: 'EUR', wh: 50, amount: 0.015 }],
    embodiedG: 60,
    storedDebtWh: 12,
    parts: { islandsWh: 160, coordinatorWh: 10, networkWh: 30 },
    islands: 2,
    withBooks: 1,
    withEmbodied: 1,
  };
  const summary = { ...SUMMARY, ...energySummary(energy, 100, { wattsPerCore: 10, intensityGPerKWh: 475 }), energy };
  const card = modelCard(jobOf({}), MODEL, summary);
  expect(frontMatterOf(card).co2_eq_emissions).toMatchObject({
    emissions: 40,
    source: expect.stringContaining('books of 1 of 2 islands, as they claim'),
  });
  for (const words of [
    'by source: sun 50 %, grid 25 %, unallocated 25 %',
    'by method: measured 75 %, assumed 25 %',
    'counterfactual, what training caused: 90 gCO2e; batteries hold 12 Wh less than they would',
    'marginal intensity, where it is known: 50 gCO2e for 80 Wh of import',
    'where a tariff is known: 0.015 EUR',
    'the network 30 Wh (assumed: 59 Wh/GB',
    // 40 + 60 g over 100 tokens.
    '1.00e+9 gCO2e for 10⁹ training examples of this run; with 60 gCO2e for the making of 1 of 2 machines',
  ])
    expect(card).toContain(words);
  expect(card).not.toMatch(/zero|neutral|free/i);
});

it('a base makes it fine-tuning, and what nobody knows is left out', () => {
  const { location: _, hardware: __, ...rest } = SUMMARY;
  const { co2_eq_emissions: said } = frontMatterOf(modelCard(jobOf({ base: 'smollm' }), MODEL, rest));
  expect(said).toMatchObject({ training_type: 'fine-tuning' });
  expect(Object.keys(said as object)).toEqual(['emissions', 'source', 'training_type']);
});

it('machines that are alike are named once', () => {
  const cpu = { host: 'process', device: 'cpu', threads: 4 } as const;
  expect(hardwareOf([cpu, { host: 'tab', device: 'webgpu', threads: 1 }, cpu])).toBe(
    '2 × cpu with 4 threads, 1 × webgpu with 1 thread in a browser tab',
  );
});
