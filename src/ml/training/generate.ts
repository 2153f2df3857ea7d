import { textStream } from '../data/text-stream.ts';
import type { Tokenizer } from '../data/tokenizer.ts';
import {
  type Feeds,
  fetchFloats,
  floatTensor,
  intTensor,
  type Runtime,
  type Session,
  type Tensor,
} from '../engine/session.ts';
import { type LanguageConfig, parametersOf } from '../models/model.ts';
import type { ParameterArrays } from '../tensor/parameters.ts';
import { seededRandom } from '../tensor/random.ts';
import { cacheNames, decodeGraph, nextCache, prefillGraph } from './generation-graph.ts';
import { draw, type SamplingOptions } from './sampling.ts';

export interface GenerateOptions extends SamplingOptions {
  readonly prompt: string;
  /** Tokens to add to the prompt. */
  readonly tokens: number;
  readonly seed: number;
  readonly threads: number;
}

const BLIND = -1e9;

/**
 * A model that writes token by token. The keys and values of what it has read are kept, so that a token costs one
 * position and not a whole context.
 */
export class Generator {
  readonly #model: LanguageConfig;
  readonly #weights: Feeds;
  readonly #prefill: Session;
  readonly #decode: Session;

  private constructor(model: LanguageConfig, weights: Feeds, prefill: Session, decode: Session) {
    this.#model = model;
    this.#weights = weights;
    this.#prefill = prefill;
    this.#decode = decode;
  }

  static async create(
    runtime: Runtime,
    model: LanguageConfig,
    parameters: ParameterArrays,
    threads: number,
  ): Promise<Generator> {
    const weights = Object.fromEntries(
      parametersOf(model).map(({ name, shape }) => [name, floatTensor(parameters.get(name)!, shape)]),
    );
    const prefill = await runtime.compile(prefillGraph(model), 'prefill', { threads });
    const decode = await runtime.compile(decodeGraph(model), 'decoding', { threads });
    return new Generator(model, weights, prefill, decode);
  }

  /**
   * Continues `ids`, without end. When the context is full, the newer half of it is read anew and it goes on.
   *
   * @param ids at least one
   */
  async *continue(ids: readonly number[], options: SamplingOptions, seed: number): AsyncGenerator<number> {
    const { contextLength } = this.#model;
    const random = seededRandom(seed);
    let window = ids.slice(-contextLength);
    let caches = await this.#read(window.slice(0, -1));
    for (;;) {
      const logits = await this.#step(window.at(-1)!, window.length - 1, caches);
      const next = draw(logits, options, random.uniform());
      yield next;
      window.push(next);
      if (window.length <= contextLength) continue;
      window = window.slice(-Math.max(1, Math.floor(contextLength / 2)));
      caches = await this.#read(window.slice(0, -1));
    }
  }

  async release(): Promise<void> {
    await this.#prefill.release();
    await this.#decode.release();
  }

  /** Keys and values of tokens at the first positions. */
  async #read(ids: readonly number[]): Promise<Record<string, Tensor>> {
    const tokens = new BigInt64Array(this.#model.contextLength);
    ids.forEach((id, place) => {
      tokens[place] = BigInt(id);
    });
    const results = await this.#prefill.run({ ...this.#weights, tokens: intTensor(tokens, [1, tokens.length]) });
    return Object.fromEntries(
      Array.from({ length: this.#model.layers }, (_, layer) => Object.values(cacheNames(layer)))
        .flat()
        .map((name) => [name, results[nextCache(name)]!]),
    );
  }

  /** Logits after one more token; its keys and values join the caches. */
  async #step(id: number, position: number, caches: Record<string, Tensor>): Promise<Float32Array> {
    const { contextLength } = this.#model;
    const visible = new Float32Array(contextLength).fill(BLIND, position + 1);
    const results = await this.#decode.run(
      {
        ...this.#weights,
        ...caches,
        tokens: intTensor(BigInt64Array.of(BigInt(id)), [1, 1]),
        position: intTensor(BigInt64Array.of(BigInt(position)), [1]),
        visible: floatTensor(visible, [1, 1, contextLength]),
      },
      Object.fromEntries(Object.entries(caches).map(([name, tensor]) => [nextCache(name), tensor])),
    );
    for (const name of Object.keys(caches)) caches[name] = results[nextCache(name)]!;
    return fetchFloats(results.logits!);
  }
}

/**
 * Continues a prompt piece by piece; stops early at an end-of-text token. The pieces together are the text of all tokens
 * together, and each is whole characters.
 */
export async function* generateText(
  generator: Generator,
  tokenizer: Tokenizer,
  options: GenerateOptions,
): AsyncGenerator<string> {
  const prompt = promptOf(tokenizer, options.prompt);
  const stream = textStream(tokenizer, prompt);
  const known = knownTo(tokenizer);
  let added = 0;
  for await (const id of generator.continue(prompt, { ...options, known }, options.seed)) {
    if (id === tokenizer.endOfTextId) break;
    const text = stream.push(id);
    if (text !== '') yield text;
    if (++added >= options.tokens) break;
  }
  const rest = stream.end();
  if (rest !== '') yield rest;
}

/** What a tokenizer puts before a text, and the text; at least one token. */
function promptOf(tokenizer: Tokenizer, text: string): readonly number[] {
  const ids = [...tokenizer.before, ...tokenizer.encode(text)];
  return ids.length > 0 ? ids : [tokenizer.endOfTextId];
}

/** Which rows of the logits are tokens: a vocabulary may be padded, and have gaps. */
const knownTo = (tokenizer: Tokenizer): Uint8Array =>
  Uint8Array.from({ length: tokenizer.vocabularySize }, (_, id) => (tokenizer.tokenOf(id) === undefined ? 0 : 1));

/** Continues a prompt. @returns prompt and continuation as text */
export async function generate(
  runtime: Runtime,
  model: LanguageConfig,
  parameters: ParameterArrays,
  tokenizer: Tokenizer,
  options: GenerateOptions,
): Promise<string> {
  const generator = await Generator.create(runtime, model, parameters, options.threads);
  let text = options.prompt;
  for await (const piece of generateText(generator, tokenizer, options)) text += piece;
  await generator.release();
  return text;
}
