import type { Job } from '../../protocol/run-file.ts';
import { bytes, duration, integer } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { qualityOf, risenSince } from './quality.ts';

/** `README.md` of a model folder, with the front matter that Hugging Face reads. */
export function modelCard(job: Job, s: Summary): string {
  const { lossUnit, unit, second } = qualityOf(s);
  const risen = risenSince(s);
  const loss = (value: number | null): string => value?.toFixed(4) ?? 'not measured';
  return `---
library_name: transformers
pipeline_tag: ${TASKS[job.model.architecture]}
tags:
- heliotrope
- ${job.model.architecture}
- decentralized-training
co2_eq_emissions:
  emissions: ${s.gCO2e.toPrecision(4)}
  source: ${JSON.stringify(`Heliotrope, ${s.energyMethod}; ${s.carbonMethod}`)}
  training_type: pre-training
---
# ${s.name}

${sentence(job, s)}

| | before | after |
| --- | --- | --- |
| validation loss, ${lossUnit} | ${loss(s.validationLoss.before)} | ${loss(s.validationLoss.after)} |
${second === null ? '' : `| ${second.name} | ${second.before} | ${second.after} |\n`}
${risen === null ? '' : `- Validation loss: ${risen}.\n`}- Status: ${s.status}, ${integer(s.steps)} steps, ${integer(s.tokens)} ${unit}, ${duration(s.wallS)}.
- Exchanged: ${bytes(s.bytesPerIsland)} an island; per-step data-parallel would have taken ${bytes(s.bytesPerIslandDataParallel)}.
- Energy: ${s.energyWh.toPrecision(3)} Wh, ${s.energyMethod}; ${s.gCO2e.toPrecision(3)} gCO2e, ${s.carbonMethod}.
- Data: ${filesOf(job)
    .map((p) => `\`${p}\``)
    .join(', ')}; ${(100 * job.data.heldOut).toFixed(0)} % held out.

${USE[job.model.architecture]}
`;
}

type Architecture = Job['model']['architecture'];

const TASKS: Readonly<Record<Architecture, string>> = {
  llama: 'text-generation',
  gpt2: 'text-generation',
  mlp: 'tabular-classification',
  cnn: 'image-classification',
};

const NAMES: Readonly<Record<Architecture, string>> = {
  llama: 'Llama language model',
  gpt2: 'GPT-2 language model',
  mlp: 'multilayer perceptron',
  cnn: 'convolutional network',
};

const IN_TRANSFORMERS = `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
\`\`\``;
const IN_PYTORCH = `The weights have the names of a plain PyTorch module; docs/models.md of Heliotrope shows it. \`preparation.json\` says
how examples become its input.`;
const USE: Readonly<Record<Architecture, string>> = {
  llama: IN_TRANSFORMERS,
  gpt2: IN_TRANSFORMERS,
  mlp: IN_PYTORCH,
  cnn: IN_PYTORCH,
};

function sentence({ model, context, outer, inner }: Job, s: Summary): string {
  const { layers, width, heads } = model;
  const sizes =
    s.vocabularySize === null
      ? ''
      : ` (${layers ?? 4} layers, width ${width ?? 128}, ${heads ?? 4} heads, context ${context}, vocabulary ${integer(s.vocabularySize)})`;
  const adapted =
    s.trainedParameters < s.parameters
      ? ` Only low-rank adapters of ${integer(s.trainedParameters)} parameters were trained, on the base \`${model.base}\`; they are folded in here, and by themselves in \`adapter/\`.`
      : '';
  return `A ${NAMES[model.architecture]} of ${integer(s.parameters)} parameters${sizes}, trained by ${s.islands} islands of compute that exchanged parameters every ${outer.innerSteps} steps (${outer.strategy}, outer rate ${outer.rate}, momentum ${outer.momentum}; inner optimizer ${inner.optimizer}).${adapted}`;
}

function filesOf({ data }: Job): readonly string[] {
  if ('paths' in data) return data.paths;
  return 'table' in data ? data.table : [data.images, data.labels];
}
