import { cnn } from './cnn.ts';
import { gpt2 } from './gpt2.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { mlp } from './mlp.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

/** Every kind of model, under the name that run files and reports call it by. A new one is a file of its own and a line here. */
export const FAMILIES = { llama, gpt2, mistral, qwen2, qwen3, mlp, cnn } as const;
