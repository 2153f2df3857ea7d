import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { intTensor } from '../../../src/ml/engine/session.ts';
import { loadAdapter, mergeAdapters, saveAdapter } from '../../../src/ml/models/adapter.ts';
import { loadWeights, saveWeights, withoutLora } from '../../../src/ml/models/hugging-face.ts';
import type { LanguageConfig } from '../../../src/ml/models/model.ts';
import { decodeSafetensors } from '../../../src/ml/tensor/safetensors.ts';
import { encodeSafetensors } from '../../../src/ml/tensor/safetensors-layout.ts';
import { compute, disagreeing, FIXTURES, ids, models, relativeError, unpackFloats } from './reference.ts';

const temporary = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-models-'));
const tokens = () => intTensor(ids(models.tokens), [models.batch, models.context]);
const fixture = (name: string): string => path.join(FIXTURES, name);
const weightsOf = (folder: string, file = 'model.safetensors') =>
  decodeSafetensors(readFileSync(path.join(folder, file)), file).tensors;

/** A safetensors file whose tensor `name` says to be of another type: its last bytes are not its own any more. */
function retyped(file: Uint8Array, name: string, type: string): Uint8Array {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const { shape, data_offsets: place } = header[name];
  const bytes = shape.reduce((product: number, d: number) => product * d, 1) * (type === 'F32' ? 4 : 1);
  header[name] = { dtype: type, shape, data_offsets: [place[0], place[0] + bytes] };
  const json = new TextEncoder().encode(JSON.stringify(header).padEnd(length + 8, ' '));
  const whole = new Uint8Array(file.length + 8);
  new DataView(whole.buffer).setBigUint64(0, BigInt(json.length), true);
  whole.set(json, 8);
  whole.set(file.subarray(8 + length), 8 + json.length);
  return whole;
}

describe.each(['llama', 'gpt2'] as const)('a %s that transformers saved', (architecture) => {
  const folder = fixture(`transformers-${architecture}`);

  it('computes the logits, the loss and the gradients that transformers computes', async () => {
    const { model, parameters } = loadWeights(folder);
    const expected = models[architecture];
    const { logits, loss, gradient } = await compute(model, parameters, tokens(), models.targets);
    expect(relativeError(logits, unpackFloats(expected.logits))).toBeLessThan(1e-5);
    expect(loss).toBeCloseTo(expected.loss, 5);
    expect(Object.keys(expected.gradients).length).toBeGreaterThan(8);
    expect(disagreeing(gradient, expected.gradients)).toEqual([]);
  });

  it('is saved again with the same tensors and with every setting that decides what is computed', () => {
    const saved = temporary();
    saveWeights(saved, loadWeights(folder));
    expect(weightsOf(saved)).toEqual(weightsOf(folder));
    const config = (place: string) =>
      JSON.parse(readFileSync(path.join(place, 'config.json'), 'utf8')) as Record<string, unknown>;
    const [ours, theirs] = [config(saved), config(folder)];
    const incidental =
      /^(architectures|.*_token_id|dtype|initializer_range|transformers_version|use_cache|pretraining_tp|summary_.*|add_cross_attention|reorder_and_upcast_attn|scale_attn_.*|rope_parameters)$/;
    const different = Object.keys(theirs).filter(
      (key) => !incidental.test(key) && JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]),
    );
    expect(different).toEqual([]);
    if (architecture === 'llama') expect(ours.rope_theta).toBe(500);
  });
});

describe('a LoRA adapter that PEFT saved', () => {
  const base = loadWeights(fixture('transformers-gpt2'));
  const adapter = () => loadAdapter(fixture('peft-gpt2'), base.model as LanguageConfig);

  it('computes what PEFT computes, and only its own gradients', async () => {
    const { model, parameters } = adapter();
    const all = new Map([...base.parameters, ...parameters]);
    const { logits, loss, gradient } = await compute(model, all, tokens(), models.targets);
    expect(relativeError(logits, unpackFloats(models.lora.logits))).toBeLessThan(1e-5);
    expect(loss).toBeCloseTo(models.lora.loss, 5);
    expect(Object.keys(models.lora.gradients)).toHaveLength(8);
    expect(disagreeing(gradient, models.lora.gradients)).toEqual([]);
    expect(() => gradient('transformer.h.0.attn.c_attn.weight')).toThrow();
  });

  it('is saved again with the same tensors', () => {
    const saved = temporary();
    const { model, parameters } = adapter();
    saveAdapter(saved, model, parameters, 'the-base');
    expect(weightsOf(saved, 'adapter_model.safetensors')).toEqual(
      weightsOf(fixture('peft-gpt2'), 'adapter_model.safetensors'),
    );
  });

  it('computes the same when it is folded into its base', async () => {
    const { model, parameters } = adapter();
    const merged = mergeAdapters(model, new Map([...base.parameters, ...parameters]));
    const { logits } = await compute(withoutLora(model), merged, tokens(), models.targets);
    expect(relativeError(logits, unpackFloats(models.lora.logits))).toBeLessThan(1e-5);
  });

  it('is refused for a base of another width', () => {
    const wider = { ...(base.model as LanguageConfig), width: 32 };
    expect(() => loadAdapter(fixture('peft-gpt2'), wider)).toThrow(/lora_A\.weight is \[3, 16\].*base needs \[3, 32\]/);
  });
});

describe('a folder that does not fit', () => {
  const broken = (change: (folder: string) => void): (() => unknown) => {
    const folder = temporary();
    cpSync(fixture('transformers-gpt2'), folder, { recursive: true });
    change(folder);
    return () => loadWeights(folder);
  };
  const withConfig = (key: string, value: unknown) =>
    broken((folder) => {
      const file = path.join(folder, 'config.json');
      const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
      writeFileSync(file, JSON.stringify({ ...config, [key]: value }));
    });

  it('names every tensor that is missing, surplus or of another shape', () => {
    const load = broken((folder) => {
      const tensors = new Map(weightsOf(folder));
      const bias = tensors.get('transformer.ln_f.bias')!;
      tensors.delete('transformer.ln_f.bias');
      tensors.set('transformer.extra', bias);
      tensors.set('transformer.ln_f.weight', { shape: [4, 4], data: new Float32Array(16) });
      writeFileSync(path.join(folder, 'model.safetensors'), encodeSafetensors(tensors));
    });
    expect(load).toThrow(
      /transformer\.ln_f\.weight is \[4, 4\], and config\.json says \[16\]; transformer\.ln_f\.bias is missing; transformer\.extra is surplus/,
    );
  });

  it.each(['F32', 'U8', 'BOOL'])(
    'takes names without the prefix, and the masks of type %s that old checkpoints carry',
    (type) => {
      const load = broken((folder) => {
        const tensors = [...weightsOf(folder)].map(([name, t]) => [name.replace('transformer.', ''), t] as const);
        const mask = { shape: [1, 1, 2, 2], data: new Float32Array(4) };
        const file = encodeSafetensors(new Map([...tensors, ['h.0.attn.bias', mask] as const]));
        writeFileSync(path.join(folder, 'model.safetensors'), retyped(file, 'h.0.attn.bias', type));
      });
      expect(load).not.toThrow();
    },
  );

  it('refuses weights of a type that is no float', () => {
    const name = 'transformer.ln_f.bias';
    const load = broken((folder) => {
      const file = encodeSafetensors(weightsOf(folder));
      writeFileSync(path.join(folder, 'model.safetensors'), retyped(file, name, 'I8'));
    });
    expect(load).toThrow(/transformer\.ln_f\.bias is of type I8, and F32, F16, BF16, F64 are read/);
  });

  it.each([
    [
      'an unknown architecture',
      'model_type',
      'bert',
      /model_type is "bert", and llama, gpt2, mistral, qwen2, qwen3, heliotrope-mlp/,
    ],
    ['another activation', 'activation_function', 'relu', /activation_function is "relu", and "gelu_new"/],
    ['a size that is no size', 'n_layer', -3, /n_layer is -3, and a whole number from 1 to 1024/],
    ['an untied head that is not there', 'tie_word_embeddings', false, /lm_head\.weight is missing/],
    ['more layers than a list may have', 'n_layer', 2e9, /n_layer is 2000000000, and a whole number from 1 to 1024/],
    [
      'quantized weights',
      'quantization_config',
      { bits: 4 },
      /quantization_config is \{"bits":4\}, and what this changes/,
    ],
    ['a key that nobody knows', 'attention_sinks', true, /attention_sinks is true, .*Remove attention_sinks from it/],
    ['attention to another sequence', 'add_cross_attention', true, /add_cross_attention is true/],
  ])('refuses %s', (_, key, value, message) => {
    expect(withConfig(key, value)).toThrow(message);
  });

  it('says which file cannot be read', () => {
    expect(() => loadWeights('/nowhere')).toThrow(/\/nowhere\/config\.json .*cannot be read \(ENOENT\)/);
  });
});
