import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PACKAGE_FOLDER } from '../../src/cli/context.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { objectReader } from '../../src/ml/models/config-reader.ts';
import { saveWeights } from '../../src/ml/models/hugging-face.ts';
import { parametersOf, readModelConfig } from '../../src/ml/models/model.ts';
import { initializeParameter } from '../../src/ml/tensor/parameters.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { LazyArrays, lazySources } from '../../src/ml/tensor/tensor-source.ts';

/** Bases of SmolLM2's sizes, with the keys of its config.json, random weights, and a tokenizer that is trained here. */

const VOCABULARY = 49_152;

const common = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 0,
  eos_token_id: 0,
  hidden_act: 'silu',
  is_llama_config: true,
  max_position_embeddings: 8192,
  model_type: 'llama',
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_interleaved: false,
  rope_scaling: null,
  rope_theta: 100_000,
  tie_word_embeddings: true,
  torch_dtype: 'float32',
  use_cache: true,
  vocab_size: VOCABULARY,
} as const;

/** As their config.json has it. */
export const SHAPES = {
  '135m': {
    ...common,
    hidden_size: 576,
    initializer_range: 1 / 24,
    intermediate_size: 1536,
    num_attention_heads: 9,
    num_hidden_layers: 30,
    num_key_value_heads: 3,
  },
  '360m': {
    ...common,
    hidden_size: 960,
    initializer_range: 0.02,
    intermediate_size: 2560,
    num_attention_heads: 15,
    num_hidden_layers: 32,
    num_key_value_heads: 5,
  },
} as const;

export type Shape = keyof typeof SHAPES;

const NOVELS = ['austen/emma', 'austen/mansfield-park', 'austen/pride-and-prejudice', 'moby-dick/moby-dick'];

/** Writes a base in Hugging Face layout. */
export function makeBase(folder: string, shape: Shape): void {
  mkdirSync(folder, { recursive: true });
  const config = SHAPES[shape];
  const model = readModelConfig(objectReader(config, shape));
  const lazy = lazySources();
  const sources = parametersOf(model).map(
    (spec, index) => [spec.name, lazy(spec.shape, () => initializeParameter(spec, index, 1))] as const,
  );
  saveWeights(folder, { model, parameters: new LazyArrays(new Map(sources)) });
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config, null, 2));
  writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(trainBpe(textsOf(), VOCABULARY)));
}

/** Some novels have words for 30,000 tokens; made-up words give the rest. */
function* textsOf(): Generator<string> {
  for (const novel of NOVELS) yield readFileSync(path.join(PACKAGE_FOLDER, 'data', `${novel}.txt`), 'utf8');
  const random = seededRandom(1);
  const letters = (from: string): string => from[random.integer(from.length)]!;
  const word = (): string =>
    Array.from({ length: 5 }, () => letters('bcdfghjklmnpqrstvwxyz') + letters('aeiou')).join('');
  const words = Array.from({ length: 30_000 }, word).join(' ');
  yield `${words} ${words}`;
}
