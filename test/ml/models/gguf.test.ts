import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GGMLQuantizationType, gguf } from '@huggingface/gguf';
import { describe, expect, it } from 'vitest';
import { writePieces } from '../../../src/files.ts';
import { trainBpe } from '../../../src/ml/data/bpe-training.ts';
import { loadTokenizer } from '../../../src/ml/data/tokenizer.ts';
import { encodeGguf, type GgufType, quantize } from '../../../src/ml/models/gguf.ts';
import { loadWeights } from '../../../src/ml/models/hugging-face.ts';
import type { LanguageConfig } from '../../../src/ml/models/model.ts';
import { loadFolderTokenizer } from '../../../src/ml/models/tokenizer-files.ts';
import { FIXTURES } from './reference.ts';

const tokenizerJson = JSON.stringify(trainBpe(['to be or not to be'], 258));
const tokenizer = { tokenizer: loadTokenizer(tokenizerJson, 'test'), tokenizerJson, beside: {} };
const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-gguf-'));

/** Encodes a fixture (with a vocabulary of 258, so that the tokenizer fits) and reads it with Hugging Face's parser. */
async function roundTrip(architecture: 'llama' | 'gpt2', type: GgufType) {
  const { model, parameters } = loadWeights(`${FIXTURES}/transformers-${architecture}`);
  const language = { ...(model as LanguageConfig), vocabularySize: 258 };
  const grown = new Map(parameters);
  for (const name of ['model.embed_tokens.weight', 'transformer.wte.weight', 'lm_head.weight']) {
    if (grown.has(name))
      grown.set(
        name,
        Float32Array.from({ length: 258 * language.width }, (_, i) => Math.sin(i)),
      );
  }
  const file = path.join(folder, `${architecture}-${type}.gguf`);
  writePieces(file, encodeGguf(language, grown, tokenizer, 'tiny', type));
  const parsed = await gguf(file, { allowLocalFile: true });
  const bytes = readFileSync(file);
  const floats = (name: string): Float32Array => {
    const info = parsed.tensorInfos.find((t) => t.name === name)!;
    const begin = Number(parsed.tensorDataOffset) + Number(info.offset);
    const count = info.shape.reduce((product, d) => product * Number(d), 1);
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + begin + 4 * count));
  };
  return {
    language,
    parameters: grown,
    metadata: parsed.metadata as Record<string, unknown>,
    tensors: parsed.tensorInfos,
    floats,
  };
}

describe('GGUF, read by @huggingface/gguf', () => {
  it('has a Llama’s sizes, tokenizer and tensors under llama.cpp’s names', async () => {
    const { metadata, tensors, floats, parameters, language } = await roundTrip('llama', 'f32');
    expect(metadata).toMatchObject({
      version: 3,
      'general.architecture': 'llama',
      'llama.block_count': 2,
      'llama.context_length': 12,
      'llama.embedding_length': 24,
      'llama.feed_forward_length': 40,
      'llama.attention.head_count': 4,
      'llama.attention.head_count_kv': 2,
      'llama.rope.freq_base': 500,
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.eos_token_id': 257,
    });
    expect(metadata['tokenizer.ggml.tokens'] as readonly string[]).toHaveLength(258);
    expect(metadata['tokenizer.ggml.merges'] as readonly string[]).toHaveLength(1);
    expect(tensors).toHaveLength(2 * 9 + 3);
    expect(tensors.find((t) => t.name === 'blk.1.ffn_gate.weight')!.shape.map(Number)).toEqual([24, 40]);
    expect(floats('blk.0.ffn_down.weight')).toEqual(parameters.get('model.layers.0.mlp.down_proj.weight'));
    // Rows of q: pairs half a head apart come to lie side by side. A head is 6 rows of 24.
    const [q, ours] = [floats('blk.0.attn_q.weight'), parameters.get('model.layers.0.self_attn.q_proj.weight')!];
    const row = (data: Float32Array, i: number) => data.slice(i * language.width, (i + 1) * language.width);
    expect([0, 1, 2, 3, 4, 5].map((i) => row(q, 6 + i))).toEqual([0, 3, 1, 4, 2, 5].map((i) => row(ours, 6 + i)));
  });

  it('has a GPT-2’s matrices turned, as llama.cpp keeps them [out, in]', async () => {
    const { metadata, tensors, floats, parameters } = await roundTrip('gpt2', 'f32');
    expect(metadata).toMatchObject({ 'general.architecture': 'gpt2', 'gpt2.feed_forward_length': 64 });
    expect(tensors.map((t) => t.name)).toContain('position_embd.weight');
    expect(tensors.find((t) => t.name === 'blk.0.attn_qkv.weight')!.shape.map(Number)).toEqual([16, 48]);
    const [turned, own] = [floats('blk.0.attn_qkv.weight'), parameters.get('transformer.h.0.attn.c_attn.weight')!];
    expect(turned[5 * 16 + 3]).toBe(own[3 * 48 + 5]);
    expect(floats('blk.0.attn_qkv.bias')).toEqual(parameters.get('transformer.h.0.attn.c_attn.bias'));
  });

  it.each([
    ['f16', GGMLQuantizationType.F16],
    ['q8_0', GGMLQuantizationType.Q8_0],
  ] as const)('keeps matrices as %s and vectors as float32', async (type, dtype) => {
    const { tensors } = await roundTrip('gpt2', type);
    const of = (name: string) => tensors.find((t) => t.name === name)!.dtype;
    expect(of('blk.0.ffn_down.weight')).toBe(dtype);
    expect(of('blk.0.attn_norm.weight')).toBe(GGMLQuantizationType.F32);
    // Rows of 16 do not divide into blocks of 32.
    expect(of('blk.0.ffn_up.weight')).toBe(GGMLQuantizationType.F16);
  });

  it('quantizes to within half a step of each block', () => {
    const data = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) * (i < 32 ? 1 : 100));
    const bytes = quantize(data);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 64; i++) {
      const block = Math.floor(i / 32);
      const scale = view.getFloat16(block * 34, true);
      const value = scale * view.getInt8(block * 34 + 2 + (i % 32));
      expect(Math.abs(value - data[i]!)).toBeLessThan(scale * 0.6);
    }
    expect(new Set(quantize(new Float32Array(32)))).toEqual(new Set([0]));
  });

  it('refuses a tokenizer that it cannot express', () => {
    const { model, parameters } = loadWeights(`${FIXTURES}/transformers-gpt2`);
    const wordPiece = loadFolderTokenizer(`${FIXTURES}/tokenizers/bert`);
    expect(() => encodeGguf(model as LanguageConfig, parameters, wordPiece, 'x', 'f32')).toThrow(
      /tokenizer is WordPiece .*byte-level BPE/,
    );
  });
});
