import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { HelioError } from '../../../src/errors.ts';
import { objectReader } from '../../../src/ml/models/config-reader.ts';
import { readModelConfig } from '../../../src/ml/models/model.ts';
import { folderOf } from './bases.ts';

type Config = Readonly<Record<string, unknown>>;
const read = (config: Config) => readModelConfig(objectReader(config, 'config.json')) as unknown as Config;

/** Another value of the same kind, or of none. */
function other(value: unknown): unknown {
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') return value === 0 ? 1 : value * 2;
  return typeof value === 'string' ? 'other' : 3;
}

/** What another value of a key does: the model is another, it is refused, or nothing changes but what is noted. */
function effectOf(config: Config, key: string): 'honoured' | 'refused' | 'noted' {
  try {
    const { notes: _, ...before } = read(config);
    const { notes: __, ...after } = read({ ...config, [key]: other(config[key]) });
    return JSON.stringify(before) === JSON.stringify(after) ? 'noted' : 'honoured';
  } catch (error) {
    if (error instanceof HelioError) return 'refused';
    throw error;
  }
}

/** Every key that transformers 5.24 writes for a family and that may say what it likes. */
const EVERYWHERE = ['architectures', 'bos_token_id', 'dtype', 'eos_token_id', 'initializer_range', 'pad_token_id'];
const NOTED: Readonly<Record<string, readonly string[]>> = {
  gpt2: [
    ...['attn_pdrop', 'embd_pdrop', 'resid_pdrop', 'reorder_and_upcast_attn', 'summary_activation'],
    ...['summary_first_dropout', 'summary_proj_to_labels', 'summary_type', 'summary_use_proj'],
  ],
  llama: ['attention_dropout', 'pretraining_tp'],
  mistral: ['attention_dropout'],
  // A window that is off may be of any width; these models have fewer layers than would use one.
  qwen2: ['attention_dropout', 'max_window_layers', 'sliding_window', 'use_sliding_window'],
  qwen3: ['attention_dropout', 'max_window_layers', 'sliding_window', 'use_sliding_window'],
};

describe.each(Object.keys(NOTED))('every key of the config of a %s', (family) => {
  const config = JSON.parse(readFileSync(path.join(folderOf(family), 'config.json'), 'utf8')) as Config;
  const of = (effect: string) => Object.keys(config).filter((key) => effectOf(config, key) === effect);

  it('is honoured or refused, but for those that decide nothing', () => {
    const noted = [...EVERYWHERE, 'transformers_version', 'use_cache', ...NOTED[family]!];
    expect(of('noted').toSorted()).toEqual(noted.toSorted());
    expect(of('refused')).toContain('model_type');
    expect(of('honoured').length).toBeGreaterThan(6);
  });

  it('is refused where nobody knows it', () => {
    expect(() => read({ ...config, attention_sinks: true })).toThrow(/attention_sinks is true, and what this changes/);
    expect(() => read({ ...config, attention_sinks: null, _name_or_path: '/elsewhere' })).not.toThrow();
  });
});

describe('rotary positions', () => {
  const config = JSON.parse(readFileSync(path.join(folderOf('llama'), 'config.json'), 'utf8')) as Config;
  const stretched = (rope: object) => () => read({ ...config, rope_parameters: { rope_theta: 100, ...rope } });

  it.each([
    ['longrope', { rope_type: 'longrope', factor: 4 }, /rope_type is "longrope", and default or linear or dynamic/],
    ['no factor', { rope_type: 'linear' }, /factor is missing, and a number is needed/],
    ['a factor of nothing', { rope_type: 'linear', factor: 0 }, /factor is 0, and a number above 0/],
    ['a part of a head', { rope_type: 'default', partial_rotary_factor: 0.5 }, /partial_rotary_factor is 0.5/],
    ['one for each kind of layer', { full_attention: { rope_type: 'default' } }, /full_attention is .*not known/],
    [
      'bounds in the wrong order',
      { rope_type: 'llama3', factor: 2, low_freq_factor: 4, high_freq_factor: 1 },
      /high_freq_factor is 1, and a number above low_freq_factor 4/,
    ],
  ])('are refused with %s', (_, rope, message) => {
    expect(stretched(rope)).toThrow(message);
  });

  it('count from where the first training ended, inside or beside the scaling', () => {
    const rope = { rope_type: 'llama3', factor: 2, low_freq_factor: 1, high_freq_factor: 4 };
    expect(stretched(rope)().ropeScaling).toMatchObject({ originalContext: 16 });
    expect(stretched({ ...rope, original_max_position_embeddings: 8 })().ropeScaling).toMatchObject({
      originalContext: 8,
    });
    const beside = { ...config, rope_parameters: null, rope_theta: 100, rope_scaling: rope };
    expect(read({ ...beside, original_max_position_embeddings: 4 }).ropeScaling).toMatchObject({ originalContext: 4 });
  });
});
