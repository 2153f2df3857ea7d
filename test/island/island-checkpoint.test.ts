import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FragmentClock } from '../../src/island/fragment-clock.ts';
import {
  type IslandCheckpoint,
  openIslandCheckpoint,
  saveIslandCheckpoint,
} from '../../src/island/node/island-checkpoint.ts';
import { decodeSafetensors } from '../../src/ml/tensor/safetensors.ts';
import { encodeSafetensors } from '../../src/ml/tensor/safetensors-layout.ts';

const folder = (): string => mkdtempSync(path.join(tmpdir(), 'heliotrope-island-'));
const numbers = fc
  .array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 9 })
  .map((list) => Float32Array.from(list));
const arrays = fc
  .array(numbers, { minLength: 1, maxLength: 4 })
  .map((all) => new Map(all.map((data, i) => [`layer.${i}`, data])));

const checkpoint = fc
  .record({ parameters: arrays, moments: arrays, residuals: fc.array(numbers, { maxLength: 3 }) })
  .map(
    ({ parameters, moments, residuals }): IslandCheckpoint => ({
      run: 'a-run',
      checkpoint: '000001',
      trainer: { step: 12, age: 11, lossScale: 2, goodSteps: 3, parameters, moments },
      clocks: [{ version: 3 } as FragmentClock],
      exchange: { residuals, memories: [] },
    }),
  );

const read = (place: string, run = 'a-run'): IslandCheckpoint => {
  const opened = openIslandCheckpoint(place, run, null)!;
  const { parameters, moments } = opened.trainer;
  const trainer = { ...opened.trainer, parameters: new Map(parameters), moments: new Map(moments) };
  opened.close();
  const { close: _, ...rest } = opened;
  return { ...rest, trainer };
};

describe('an island’s checkpoint', () => {
  it('is read tensor by tensor as it was written, and is one safetensors file that was written whole', () => {
    fc.assert(
      fc.property(checkpoint, (saved) => {
        const place = folder();
        saveIslandCheckpoint(place, saved);
        expect(read(place)).toEqual(saved);
        const [name] = readdirSync(place);
        const file = readFileSync(path.join(place, name!));
        const { tensors, metadata } = decodeSafetensors(file, name!);
        expect(Buffer.from(encodeSafetensors(tensors, metadata))).toEqual(file);
        rmSync(place, { recursive: true });
      }),
      { numRuns: 30 },
    );
  });

  it('is refused when it was cut off, and says what to do', () => {
    const [saved] = fc.sample(checkpoint, 1);
    const place = folder();
    saveIslandCheckpoint(place, saved!);
    const file = path.join(place, readdirSync(place)[0]!);
    truncateSync(file, readFileSync(file).length - 1);
    expect(() => read(place)).toThrow(
      expect.objectContaining({ code: 'HELIO-3001', remedy: expect.stringMatching(/delete it/) }),
    );
    writeFileSync(file, 'x');
    expect(() => read(place)).toThrow(/not a whole safetensors file/);
  });

  it('is refused when it is another run’s', () => {
    const [saved] = fc.sample(checkpoint, 1);
    const place = folder();
    saveIslandCheckpoint(place, saved!);
    expect(() => read(place, 'another')).toThrow(/belongs to run a-run, not to another/);
  });
});
