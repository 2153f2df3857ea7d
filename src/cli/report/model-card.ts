import type { Job } from '../../protocol/run-file.ts';
import { bytes, duration, integer } from '../live/format.ts';
import type { Summary } from '../records.ts';

/** `README.md` of a model folder, with the front matter that Hugging Face reads. */
export function modelCard(job: Job, s: Summary): string {
  const loss = (value: number | null): string => value?.toFixed(4) ?? 'not measured';
  return `---
library_name: transformers
pipeline_tag: text-generation
tags:
- heliotrope
- gpt2
- decentralized-training
co2_eq_emissions:
  emissions: ${s.gCO2e.toPrecision(4)}
  source: ${JSON.stringify(`Heliotrope, ${s.energyMethod}; ${s.carbonMethod}`)}
  training_type: pre-training
---
# ${s.name}

A GPT-2 language model of ${integer(s.parameters)} parameters (${job.model.layers} layers, width ${job.model.width}, ${job.model.heads} heads, context ${job.context}, vocabulary ${integer(s.vocabularySize)}), trained by ${s.islands} islands of compute that exchanged parameters every ${job.outer.innerSteps} steps (${job.outer.strategy}, outer rate ${job.outer.rate}, momentum ${job.outer.momentum}; inner optimizer ${job.inner.optimizer}).

| | before | after |
| --- | --- | --- |
| validation loss, nats a token | ${loss(s.validationLoss.before)} | ${loss(s.validationLoss.after)} |
| perplexity | ${s.perplexity.before?.toFixed(1) ?? '–'} | ${s.perplexity.after?.toFixed(2) ?? '–'} |

- Status: ${s.status}, ${integer(s.steps)} steps, ${integer(s.tokens)} tokens, ${duration(s.wallS)}.
- Exchanged: ${bytes(s.bytesPerIsland)} an island; per-step data-parallel would have taken ${bytes(s.bytesPerIslandDataParallel)}.
- Energy: ${s.energyWh.toPrecision(3)} Wh, ${s.energyMethod}; ${s.gCO2e.toPrecision(3)} gCO2e, ${s.carbonMethod}.
- Data: ${job.data.paths.map((p) => `\`${p}\``).join(', ')}; the last ${(100 * job.data.heldOut).toFixed(0)} % of each document held out.

\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
\`\`\`
`;
}
