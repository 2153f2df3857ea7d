import { describe, expect, it } from 'vitest';
import { FragmentExchange } from '../../src/island/fragment-exchange.ts';
import { codecFor, decodeAll } from '../../src/outer/codecs/index.ts';
import { packUpdate, packWhole } from '../../src/outer/encoded-fragment.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import type { CodecName } from '../../src/protocol/codec-names.ts';

const fragment: Fragment = {
  index: 0,
  elements: 600,
  tensors: [{ name: 'w', elements: 600, rows: 20, role: 'other' }],
};
const at = (seed: number): Float32Array => Float32Array.from({ length: 600 }, (_, i) => Math.sin(seed * (i + 1)));
const exchangeOf = (upCodec: CodecName, maxStaleness = 0) =>
  new FragmentExchange([fragment], { upCodec, maxStaleness }, [at(1)]);
/** A merged fragment as the coordinator sends it: the way from where islands are to `next`. */
const merged = (base: Float32Array, next: Float32Array) => {
  const codec = codecFor('int8', fragment);
  const nothing = new Float32Array(600);
  const memory = new Float32Array(codec.memoryElements);
  return packUpdate(codec, { parameters: next, base, residual: nothing, sign: 1, memory });
};

describe("an island's side of the exchange", () => {
  it('goes on from its checkpoint to the same bytes, with every kind of codec', () => {
    for (const codec of ['int4', 'top-1/8+int4', 'low-rank-3+int4'] as const) {
      const straight = exchangeOf(codec);
      let base = at(1);
      for (let round = 0; round < 3; round++) {
        straight.contribute(0, at(2 + round), round + 1);
        const { encoded, arrives } = merged(base, at(0.5 + round));
        straight.receive(0, round + 1, encoded, round + 1);
        straight.rebase(0, round + 1);
        base = arrives as Float32Array<ArrayBuffer>;
      }
      const resumed = new FragmentExchange([fragment], { upCodec: codec, maxStaleness: 0 }, [base]);
      resumed.load(structuredClone(straight.save()));
      expect([codec, resumed.contribute(0, at(9), 4).payload]).toEqual([
        codec,
        straight.contribute(0, at(9), 4).payload,
      ]);
      const fresh = new FragmentExchange([fragment], { upCodec: codec, maxStaleness: 0 }, [base]);
      expect(fresh.contribute(0, at(9), 4).payload).not.toEqual(straight.contribute(0, at(9), 4).payload);
    }
  });

  it('starts from the same residual when it is asked again, or its contribution was lost', () => {
    const exchange = exchangeOf('int4');
    const once = exchange.contribute(0, at(2), 1);
    expect(exchange.contribute(0, at(2), 1).payload).toEqual(once.payload);
    exchange.receive(0, 1, merged(at(1), at(3)).encoded, 0);
    expect(exchange.contribute(0, at(2), 1).payload).toEqual(once.payload);
    exchange.receive(0, 2, merged(at(1), at(3)).encoded, 1);
    expect(exchange.contribute(0, at(2), 2).payload).not.toEqual(once.payload);
  });

  it('knows after a reconnection, too, whether its contribution was merged', () => {
    for (const [round, same] of [
      [0, true],
      [1, false],
    ] as const) {
      const exchange = exchangeOf('int4');
      const once = exchange.contribute(0, at(2), 1);
      exchange.reset(0, at(1), round);
      expect(Buffer.compare(exchange.contribute(0, at(2), 2).payload, once.payload) === 0).toBe(same);
    }
    expect(() => exchangeOf('int4').reset(0, new Float32Array(3), 0)).toThrow(/3 numbers instead of 600/);
  });

  it('contributes the parameters themselves in full precision, and a difference where bases may lie behind', () => {
    expect(exchangeOf('f32').contribute(0, at(2), 1)).toEqual(packWhole(at(2)));
    const { form, payload } = exchangeOf('f32', 1).contribute(0, at(2), 1);
    expect(form).toBe('update');
    expect(decodeAll(codecFor('f32', fragment), payload)).toEqual(at(1).map((x, i) => x - at(2)[i]!));
  });

  it('goes on from the version that it is told, also when a newer one has come meanwhile', () => {
    const exchange = exchangeOf('f32', 4);
    const first = merged(at(1), at(3));
    exchange.receive(0, 1, first.encoded, 0);
    exchange.receive(0, 2, merged(first.arrives as Float32Array, at(4)).encoded, 0);
    exchange.rebase(0, 1);
    const codec = codecFor('f32', fragment);
    const { payload } = exchange.contribute(0, at(2), 1);
    expect(decodeAll(codec, payload)).toEqual(first.arrives.map((x, i) => x - at(2)[i]!));
    // One that came whole takes the place of what came before, and is gone on from when that is said.
    exchange.show(0, 5, at(6), 0);
    expect(exchange.contribute(0, at(2), 1).payload).toEqual(payload);
    exchange.rebase(0, 2);
    expect(exchange.contribute(0, at(2), 1).payload).toEqual(payload);
    exchange.rebase(0, 5);
    expect(decodeAll(codec, exchange.contribute(0, at(2), 1).payload)).toEqual(at(6).map((x, i) => x - at(2)[i]!));
  });

  it('differs from its base, and not from what has come since, until it takes that', () => {
    const exchange = exchangeOf('f32', 1);
    const { encoded, arrives } = merged(at(1), at(3));
    exchange.receive(0, 1, encoded, 0);
    const before = exchange.contribute(0, at(2), 1);
    exchange.rebase(0, 1);
    const after = exchange.contribute(0, at(2), 1);
    const codec = codecFor('f32', fragment);
    expect(decodeAll(codec, before.payload)).toEqual(at(1).map((x, i) => x - at(2)[i]!));
    expect(decodeAll(codec, after.payload)).toEqual(arrives.map((x, i) => x - at(2)[i]!));
  });
});
