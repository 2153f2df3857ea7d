import { z } from 'zod';
import { count, positive } from './run-file-numbers.ts';

/** `model` of a run file: what is trained. */

/** `base` stands in a job whose architecture is what `model.config` says. */
const ARCHITECTURES = ['llama', 'gpt2', 'mlp', 'cnn', 'base'] as const;

/** Which keys of `model` belong to which architecture. */
const MODEL_KEYS: Readonly<Record<(typeof ARCHITECTURES)[number], readonly string[]>> = {
  llama: [
    'layers',
    'width',
    'heads',
    'keyValueHeads',
    'hiddenWidth',
    'tied',
    'ropeTheta',
    'normEpsilon',
    'base',
    'lora',
  ],
  gpt2: ['layers', 'width', 'heads', 'base', 'lora'],
  base: ['base', 'lora', 'config'],
  mlp: ['hidden', 'task'],
  cnn: ['stages'],
};

/** A base's config.json is some kilobytes. */
const MOST_CONFIG_CHARACTERS = 65_536;

const loraSchema = z.strictObject({
  rank: count(1_024).default(8),
  alpha: positive.max(10_000).default(16).describe('The adapter is multiplied by alpha / rank.'),
  targets: z
    .array(z.string().regex(/^[a-z0-9_]+$/))
    .min(1)
    .max(32)
    .optional()
    .describe("Last parts of layers' names, as in PEFT; default: every matrix of attention and MLP."),
});

export const modelSchema = z
  .strictObject({
    architecture: z
      .enum(ARCHITECTURES)
      .default('llama')
      .describe(
        'llama or gpt2 for text, mlp for tables, mlp or cnn for images; saved in the Hugging Face layout. With model.base it is the base’s.',
      ),
    layers: count(128).optional().describe('Default 4.'),
    width: count(16_384).optional().describe('Size of the residual stream; heads must divide it. Default 128.'),
    heads: count(256).optional().describe('Default 4.'),
    keyValueHeads: count(256).optional().describe('Heads of keys and values (grouped-query attention); default heads.'),
    hiddenWidth: count(65_536).optional().describe('Hidden width of the SwiGLU; default 8/3 of the width.'),
    tied: z.boolean().optional().describe("Whether the output layer shares the embedding's weights; default true."),
    ropeTheta: positive.max(1e9).optional().describe("Base of the rotary positions' angles; default 10,000."),
    normEpsilon: positive.max(0.1).optional().describe('Default 1e-5.'),
    hidden: z
      .array(count(65_536))
      .min(1)
      .max(64)
      .optional()
      .describe('mlp: widths of its hidden layers; default [128].'),
    task: z.enum(['classification', 'regression']).optional().describe('mlp: default classification.'),
    stages: z.array(count(4_096)).min(1).max(8).optional().describe('cnn: channels of its stages; default [32, 64].'),
    base: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Begin with these weights: a folder in Hugging Face layout, or of a run; sizes and tokenizer are its own.',
      ),
    lora: loraSchema.optional().describe('Train low-rank adapters (LoRA); the base stays frozen.'),
    config: z
      .record(z.string().max(100), z.json())
      .refine((config) => JSON.stringify(config).length <= MOST_CONFIG_CHARACTERS, 'is too long')
      .optional()
      .describe("The base's own config.json: filled in from it, so that islands know what they are to compute."),
  })
  .prefault({})
  .superRefine((model, context) => {
    for (const [key, value] of Object.entries(model)) {
      if (key === 'architecture' || value === undefined || MODEL_KEYS[model.architecture].includes(key)) continue;
      const message = `does not belong to ${model.architecture}, which takes ${MODEL_KEYS[model.architecture].join(', ')}`;
      context.addIssue({ code: 'custom', path: [key], message });
    }
    if (model.architecture === 'base' && model.base === undefined)
      context.addIssue({
        code: 'custom',
        path: ['architecture'],
        message: 'needs model.base, whose architecture it is',
      });
    if (model.config !== undefined && model.base === undefined)
      context.addIssue({ code: 'custom', path: ['config'], message: 'needs model.base, whose config it is' });
    if (model.lora !== undefined && model.base === undefined)
      context.addIssue({ code: 'custom', path: ['lora'], message: 'needs model.base, the weights that are adapted' });
  });
