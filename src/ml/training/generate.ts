import type { Tokenizer } from '../data/tokenizer.ts';
import { createSession, floatsOf, floatTensor, intTensor } from '../engine/session.ts';
import { type Gpt2Config, gpt2Parameters } from '../models/gpt2.ts';
import type { ParameterArrays } from '../tensor/parameters.ts';
import { seededRandom } from '../tensor/random.ts';
import { logitsGraph } from './training-graph.ts';

export interface SampleOptions {
  readonly prompt: string;
  /** Tokens to add to the prompt. */
  readonly tokens: number;
  /** 0 always takes the likeliest token. */
  readonly temperature: number;
  readonly seed: number;
  readonly threads: number;
}

/** Continues a prompt; stops early at an end-of-text token. @returns prompt and continuation as text */
export async function generate(
  model: Gpt2Config,
  parameters: ParameterArrays,
  tokenizer: Tokenizer,
  options: SampleOptions,
): Promise<string> {
  const session = await createSession(logitsGraph(model, 1), 'sampling', options);
  const weights = Object.fromEntries(
    gpt2Parameters(model).map(({ name, shape }) => [name, floatTensor(parameters.get(name)!, shape)]),
  );
  const random = seededRandom(options.seed);
  const { contextLength, vocabularySize } = model;
  const ids = options.prompt === '' ? [tokenizer.endOfTextId] : [...tokenizer.encode(options.prompt)];
  for (let i = 0; i < options.tokens; i++) {
    const visible = ids.slice(-contextLength);
    // What stands after the last token is never looked at: the mask is causal.
    const window = new BigInt64Array(contextLength);
    visible.forEach((id, place) => {
      window[place] = BigInt(id);
    });
    const { logits } = await session.run({ ...weights, tokens: intTensor(window, [1, contextLength]) });
    const row = floatsOf(logits!).subarray((visible.length - 1) * vocabularySize, visible.length * vocabularySize);
    const next = draw(row, options.temperature, random.uniform());
    if (next === tokenizer.endOfTextId) break;
    ids.push(next);
  }
  await session.release();
  return tokenizer.decode(ids);
}

/** Draws an index from softmax(logits / temperature) by inverting its cumulative sum at `u` in [0, 1). */
export function draw(logits: Float32Array, temperature: number, u: number): number {
  const highest = logits.reduce((max, x) => Math.max(max, x), Number.NEGATIVE_INFINITY);
  if (temperature === 0) return logits.indexOf(highest);
  const weights = Float64Array.from(logits, (x) => Math.exp((x - highest) / temperature));
  const target = u * weights.reduce((sum, w) => sum + w, 0);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    sum += weights[i]!;
    if (sum > target) return i;
  }
  return weights.length - 1;
}
