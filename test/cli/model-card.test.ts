import { expect, it } from 'vitest';
import { parse } from 'yaml';
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
