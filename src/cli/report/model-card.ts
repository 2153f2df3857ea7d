import { softwareCarbonIntensity } from '../../energy/accounting/index.ts';
import { isLanguage, type ModelConfig, titleOf } from '../../ml/models/model.ts';
import type { Job } from '../../protocol/run-file.ts';
import { bookLines } from '../energy-words.ts';
import { bytes, count, duration, gramsCO2e, integer, watthours } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { qualityOf, risenSince } from './quality.ts';

/** `README.md` of a model folder, with the front matter that Hugging Face reads. */
export function modelCard(job: Job, model: ModelConfig, s: Summary): string {
  const { lossUnit, unit, second } = qualityOf(s);
  const risen = risenSince(s);
  const loss = (value: number | null): string => value?.toFixed(4) ?? 'not measured';
  return `---
library_name: transformers
pipeline_tag: ${isLanguage(model) ? 'text-generation' : TASKS[model.architecture]}
tags:
- heliotrope
- ${model.architecture}
- decentralized-training
co2_eq_emissions:
  emissions: ${s.gCO2e.toPrecision(4)}
  source: ${JSON.stringify(`Heliotrope, ${s.energyMethod}; ${s.carbonMethod}`)}
  training_type: ${job.model.base === undefined ? 'pre-training' : 'fine-tuning'}
${s.location === undefined ? '' : `  geographical_location: ${JSON.stringify(s.location)}\n`}${s.hardware === undefined || s.hardware === '' ? '' : `  hardware_used: ${JSON.stringify(s.hardware)}\n`}---
# ${s.name}

${sentence(job, model, s)}

| | before | after |
| --- | --- | --- |
| validation loss, ${lossUnit}, on held-out data of the run | ${loss(s.validationLoss.before)} | ${loss(s.validationLoss.after)} |
${second === null ? '' : `| ${second.name} | ${second.before} | ${second.after} |\n`}
${risen === null ? '' : `- Validation loss: ${risen}.\n`}- Status: ${s.status}, ${integer(s.steps)} steps, ${integer(s.tokens)} ${unit}, ${duration(s.wallS)}.
- Exchanged: ${bytes(s.bytesPerIsland)} an island; per-step data-parallel would have taken ${bytes(s.bytesPerIslandDataParallel)}.
- Energy: ${watthours(s.energyWh)}, ${s.energyMethod}; ${gramsCO2e(s.gCO2e)}, ${s.carbonMethod}.${s.energyQuality === undefined ? '' : ` Both together are ${s.energyQuality}.`}
${
  s.energy === undefined
    ? ''
    : bookLines(s.energy)
        .map((line) => `  - ${line}\n`)
        .join('')
}${carbonRate(s, unit)}- Data: ${filesOf(job)
    .map((p) => `\`${p}\``)
    .join(', ')}; ${(100 * job.data.heldOut).toFixed(0)} % held out.

${isLanguage(model) ? IN_TRANSFORMERS : IN_PYTORCH}
`;
}

/** ISO/IEC 21031 with a training token as its unit, of this run alone: who published others on the way to the model adds theirs. */
function carbonRate({ gCO2e, tokens, energy }: Summary, unit: string): string {
  if (tokens === 0) return '';
  const embodiedG = energy?.embodiedG ?? null;
  const { gPerUnit } = softwareCarbonIntensity(gCO2e, embodiedG ?? 0, tokens, unit);
  const made =
    embodiedG === null
      ? 'without the making of the machines'
      : `with ${gramsCO2e(embodiedG)} for the making of ${energy!.withEmbodied} of ${energy!.islands} machines`;
  return `- Software Carbon Intensity (ISO/IEC 21031): ${(gPerUnit * 1e9).toPrecision(3)} gCO2e for 10⁹ training ${unit} of this run; ${made}.\n`;
}

const TASKS = { mlp: 'tabular-classification', cnn: 'image-classification' } as const;

const IN_TRANSFORMERS = `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
\`\`\``;
const IN_PYTORCH = `The weights have the names of a plain PyTorch module; docs/models.md of Heliotrope shows it. \`preparation.json\` says
how examples become its input.`;
function sentence({ model: { base }, context, outer, inner }: Job, model: ModelConfig, s: Summary): string {
  const sizes = isLanguage(model)
    ? ` (${model.layers} layers, width ${model.width}, ${model.heads} heads, context ${context}, vocabulary ${integer(model.vocabularySize)})`
    : '';
  const adapted =
    s.trainedParameters < s.parameters
      ? ` Only low-rank adapters of ${integer(s.trainedParameters)} parameters were trained, on the base \`${base}\`; they are folded in here, and by themselves in \`adapter/\`.`
      : '';
  return `A ${titleOf(model)} of ${integer(s.parameters)} parameters${sizes}, trained by ${count(s.islands, 'island')} of compute that exchanged parameters every ${outer.innerSteps} steps (${outer.strategy}, outer rate ${outer.rate}, momentum ${outer.momentum}; inner optimizer ${inner.optimizer}).${adapted}`;
}

function filesOf({ data }: Job): readonly string[] {
  if ('paths' in data) return data.paths;
  return 'table' in data ? data.table : [data.images, data.labels];
}
