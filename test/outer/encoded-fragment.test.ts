import { describe, expect, it } from 'vitest';
import { codecFor } from '../../src/outer/codecs/index.ts';
import { openContribution, openFragment, packUpdate, packWhole } from '../../src/outer/encoded-fragment.ts';
import type { CodecName } from '../../src/protocol/codec-names.ts';

const fragment = { index: 0, elements: 300, tensors: [{ name: 'w', elements: 300, rows: 15, role: 'other' as const }] };
const base = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i));
const parameters = base.map((x, i) => x + 0.01 * Math.cos(3 * i));
const nothing = new Float32Array(300);
const update = (name: CodecName, sign: 1 | -1) => {
  const codec = codecFor(name, fragment);
  const memory = new Float32Array(codec.memoryElements);
  return { codec, ...packUpdate(codec, { parameters, base, residual: nothing, sign, memory }) };
};

describe('a fragment on its way', () => {
  it.each(['f32', 'bf16', 'int4', 'top-1/16+int8', 'low-rank-2+f16'] as const)(
    'down: its reader has what its sender says (%s)',
    (name) => {
      const { codec, encoded, arrives } = update(name, 1);
      expect(openFragment(encoded, codec, base)).toEqual(arrives);
    },
  );

  it.each(['f32', 'e3m0', 'top-1/16+int8', 'low-rank-2+f16'] as const)(
    'up: it is the pseudo-gradient, measured (%s)',
    (name) => {
      const { codec, encoded, arrives } = update(name, -1);
      const contribution = openContribution(encoded, codec, base);
      const delta = new Float32Array(300);
      contribution.addTo(delta, 2);
      let squares = 0;
      for (let i = 0; i < 300; i++) {
        expect(delta[i]!).toBeCloseTo(2 * (base[i]! - arrives[i]!), 6);
        squares += (delta[i]! / 2) ** 2;
      }
      expect(contribution.squares).toBeCloseTo(squares, 6);
    },
  );

  it('may be the parameters themselves, exact', () => {
    const codec = codecFor('f32', fragment);
    const encoded = packWhole(parameters);
    expect(openFragment(encoded, codec, nothing)).toEqual(parameters);
    const delta = new Float32Array(300);
    openContribution(encoded, codec, base).addTo(delta, 1);
    expect(delta).toEqual(base.map((x, i) => x - parameters[i]!));
  });

  it('leaves over what a lossy codec did not carry', () => {
    const { arrives, residual } = update('int4', 1);
    for (let i = 0; i < 300; i++) expect(arrives[i]! + residual[i]!).toBeCloseTo(parameters[i]!, 5);
    expect(Math.max(...residual.map(Math.abs))).toBeGreaterThan(0);
  });

  it('is refused when its size is not the fragment’s, or a number is not finite', () => {
    const { encoded } = update('int8', 1);
    const shorter = codecFor('int8', { ...fragment, elements: 299 });
    expect(() => openFragment(encoded, shorter, base)).toThrow(/308 bytes where 299 elements in int8 take 307/);
    const poison = new Uint8Array(Float32Array.from(nothing).fill(Number.NaN, 5, 6).buffer);
    const f32 = codecFor('f32', fragment);
    const whole = { form: 'parameters', codec: 'f32', payload: poison } as const;
    expect(() => openFragment(whole, f32, nothing)).toThrow(/not finite/);
    expect(() => openContribution(whole, f32, nothing)).toThrow(/not finite/);
    const scale = encoded.payload.slice();
    new DataView(scale.buffer).setFloat32(0, Number.POSITIVE_INFINITY, true);
    expect(() => openFragment({ ...encoded, payload: scale }, codecFor('int8', fragment), base)).toThrow(/not finite/);
  });
});
