import { describe, expect, it } from 'vitest';
import { openParcel, packParcel } from '../../src/outer/parcel.ts';
import { CODEC_NAMES } from '../../src/protocol/codec-names.ts';

const base = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i));
const parameters = base.map((x, i) => x + 0.01 * Math.cos(3 * i));
const nothing = new Float32Array(300);

describe('a fragment on its way', () => {
  it.each(CODEC_NAMES)('is for its reader what its sender says, to the bit (%s)', (codec) => {
    for (const sign of [1, -1] as const) {
      const { parcel, arrives } = packParcel(codec, parameters, base, nothing, sign);
      expect(openParcel(parcel, base, sign)).toEqual(arrives);
    }
  });

  it('is whole and exact in float32', () => {
    const { parcel, residual } = packParcel('f32', parameters, base, nothing, -1);
    expect(parcel.form).toBe('parameters');
    expect(openParcel(parcel, nothing, -1)).toEqual(parameters);
    expect(residual).toBe(nothing);
  });

  it('leaves over what a lossy codec did not carry', () => {
    const { arrives, residual } = packParcel('int4', parameters, base, nothing, 1);
    for (let i = 0; i < 300; i++) expect(arrives[i]! + residual[i]!).toBeCloseTo(parameters[i]!, 5);
    expect(Math.max(...residual.map(Math.abs))).toBeGreaterThan(0);
  });

  it('is refused when its size is not the fragment’s, or a number is not finite', () => {
    const { parcel } = packParcel('int8', parameters, base, nothing, 1);
    expect(() => openParcel(parcel, new Float32Array(299), 1)).toThrow(/308 bytes where 299 elements in int8 take 307/);
    const poison = new Uint8Array(Float32Array.of(1, Number.NaN).buffer);
    expect(() => openParcel({ form: 'parameters', codec: 'f32', payload: poison }, new Float32Array(2), 1)).toThrow(
      /not finite/,
    );
    const scale = parcel.payload.slice();
    new DataView(scale.buffer).setFloat32(0, Number.POSITIVE_INFINITY, true);
    expect(() => openParcel({ ...parcel, payload: scale }, base, 1)).toThrow(/not finite/);
  });
});
