import { codecFor, decodeAll } from '../src/outer/codecs/index.ts';
import { encodedBytes, encodeInto, readNumbers } from '../src/outer/codecs/numbers.ts';
import type { Fragment } from '../src/outer/fragments.ts';
import { type CodecName, NUMBER_CODECS, type NumberCodecName } from '../src/protocol/codec-names.ts';
import { type Figure, median, publish } from './figures.ts';

/** Bytes of float32 numbers that codecs take and give a second, beside a plain copy of the same numbers in memory. */

const TARGETS: Readonly<Partial<Record<NumberCodecName, number>>> = {
  f32: 0.5,
  bf16: 0.5,
  int8: 0.5,
  e3m0: 0.25,
  int4: 0.25,
};
const COMPOUND: readonly CodecName[] = ['top-1/64+int4', 'low-rank-8+int4'];

export async function codecs({
  short,
  json,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
}): Promise<boolean> {
  const startedAt = new Date();
  const elements = 32 * 2 ** 20;
  const rounds = short ? 5 : 9;
  // Numbers of one deviation, as pseudo-gradients of a tensor are.
  const numbers = Float32Array.from({ length: elements }, (_, i) => Math.sin(i * 12.9898) * 0.01);
  const [copy, sum] = [new Float32Array(elements), new Float32Array(elements)];
  const rows = 2 ** 10;
  const fragment: Fragment = {
    index: 0,
    elements,
    tensors: Array.from({ length: elements / 2 ** 20 }, (_, i) => ({
      name: `w${i}`,
      elements: 2 ** 20,
      rows,
      role: 'other' as const,
    })),
  };
  const figures: Figure[] = [];
  const gigabytes = (seconds: readonly number[]): number => (4 * elements) / median(seconds) / 1e9;
  for (const name of NUMBER_CODECS) {
    const payload = new Uint8Array(encodedBytes(name, elements));
    const times = takeTurns(rounds, {
      copy: () => copy.set(numbers),
      encode: () => encodeInto(name, numbers, payload),
      decode: () => readNumbers(name, elements, payload, (chunk, offset) => copy.set(chunk, offset)),
    });
    const share = TARGETS[name] ?? null;
    for (const way of ['encode', 'decode'] as const) {
      const ratio = gigabytes(times[way]) / gigabytes(times.copy);
      figures.push({
        id: `codecs.${name}.${way}.ratio-to-copy`,
        value: ratio,
        unit: '×',
        target: share === null ? null : `≥ ${share} ×`,
        met: share === null ? null : ratio >= share,
        note: `${gigabytes(times[way]).toFixed(1)} GB/s beside ${gigabytes(times.copy).toFixed(1)} GB/s`,
      });
    }
  }
  const [base, residual] = [numbers.map((x) => 0.9 * x), new Float32Array(elements)];
  for (const name of ['int4', ...COMPOUND] as const) {
    const codec = codecFor(name, fragment);
    const memory = new Float32Array(codec.memoryElements);
    const update = { parameters: numbers, base, residual, sign: -1, memory } as const;
    const { payload } = codec.send(update);
    const times = takeTurns(short || name.startsWith('low') ? 3 : 5, {
      send: () => codec.send(update),
      read: () => sum.set(decodeAll(codec, payload)),
    });
    for (const way of ['send', 'read'] as const) {
      const note =
        way === 'send'
          ? `difference, error feedback and all; ${((8 * payload.length) / elements).toFixed(2)} bits a number`
          : '';
      figures.push({
        id: `codecs.${name}.${way}`,
        value: gigabytes(times[way]),
        unit: 'GB/s',
        target: null,
        met: null,
        note,
      });
    }
  }
  publish('codecs', startedAt, figures, json);
  return true;
}

/** Seconds of each, one after the other in every round, so that a noisy neighbour disturbs all alike. */
function takeTurns<K extends string>(rounds: number, work: Readonly<Record<K, () => void>>): Record<K, number[]> {
  const names = Object.keys(work) as K[];
  const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const startMs = performance.now();
      work[name]();
      // The first round compiles and touches memory.
      if (round >= 0) seconds[name].push((performance.now() - startMs) / 1000);
    }
  }
  return seconds;
}
