import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Checkpointed, openCheckpoint, saveCheckpoint } from '../../src/cli/run-checkpoint.ts';
import { Aggregation, type AggregationSettings } from '../../src/coordinator/aggregation.ts';
import { WorkerAggregation } from '../../src/coordinator/server/worker-aggregation.ts';
import {
  type AggregationState,
  PlacedPieces,
  piecesOf,
  STATE_PARTS,
  type StatePieces,
} from '../../src/coordinator/state-pieces.ts';
import { hashOf } from '../../src/coordinator/store/blobs.ts';
import { FileBlobs } from '../../src/coordinator/store/file-blobs.ts';
import { decodeSafetensors } from '../../src/ml/tensor/safetensors.ts';
import { encodeSafetensors } from '../../src/ml/tensor/safetensors-layout.ts';
import { packUpdate } from '../../src/outer/encoded-fragment.ts';
import { type Fragment, shapeOf, type TensorLayout } from '../../src/outer/fragments.ts';
import { STRATEGIES, type Strategy } from '../../src/outer/settings.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));
const blobs = new FileBlobs(path.join(folder, 'blobs'));

const tensor = (name: string, ...shape: readonly number[]): TensorLayout => ({
  name,
  shape: [...shape],
  elements: shape.reduce((a, b) => a * b, 1),
  role: 'other',
  ...(shape.length > 1 ? { rows: shape[0]! } : {}),
});
const fragmentsOf = (...all: readonly (readonly TensorLayout[])[]): readonly Fragment[] =>
  all.map((tensors, index) => ({ index, tensors, elements: tensors.reduce((sum, t) => sum + t.elements, 0) }));
const FRAGMENTS = fragmentsOf([tensor('a', 3, 7), tensor('b#1', 5)], [tensor('c', 64, 2)]);

const settingsOf = (strategy: Strategy): AggregationSettings =>
  STRATEGIES[strategy]({ islands: 1, steps: 100, inner: 'adamw' });

/** After a few merges, so that nothing is zero any more. */
function trained(fragments: readonly Fragment[], settings: AggregationSettings, rounds = 3): Aggregation {
  const aggregation = new Aggregation(fragments, settings, {});
  for (let round = 0; round < rounds; round++) {
    for (const [fragment, { elements }] of fragments.entries()) {
      const codec = aggregation.codec(fragment);
      const { encoded } = packUpdate(codec, {
        parameters: Float32Array.from({ length: elements }, (_, i) => Math.sin(1 + i + 10 * round)),
        base: new Float32Array(elements),
        residual: new Float32Array(elements),
        sign: -1,
        memory: new Float32Array(codec.memoryElements),
      });
      aggregation.contribute(fragment, 'one', encoded);
      aggregation.merge(fragment, [{ island: 'one', weight: 1 }]);
    }
  }
  return aggregation;
}

const faceOf = (aggregation: Aggregation): Checkpointed => ({
  fragments: aggregation.fragments,
  elements: async (part, fragment) => aggregation.array(part, fragment).length,
  read: async (part, fragment, begin, end) => aggregation.array(part, fragment).slice(begin, end),
  steps: async () => aggregation.fragments.map((_, fragment) => aggregation.version(fragment)),
});

async function begun(fragments: readonly Fragment[], settings: AggregationSettings, { steps, pieces }: StatePieces) {
  const aggregation = new Aggregation(fragments, settings, { steps });
  const placed = new PlacedPieces(fragments, (part, fragment) => aggregation.array(part, fragment));
  for await (const piece of pieces) placed.put(piece);
  placed.requireAll();
  return aggregation;
}

/** As checkpoints were until version 0.3: one file a part, tensors in the model's order. */
async function savedWhole(state: AggregationState, fragments: readonly Fragment[]) {
  const named: Record<string, string> = {};
  const put = async (part: string, bytes: Uint8Array): Promise<void> => {
    named[part] = hashOf(bytes);
    await blobs.put(named[part], bytes);
  };
  const tensors = fragments.flatMap((fragment) => fragment.tensors);
  for (const part of ['parameters', 'velocity', 'second', 'residual'] as const) {
    if (state[part].size === 0) continue;
    const stored = tensors.map((t) => [t.name, { shape: shapeOf(t), data: state[part].get(t.name)! }] as const);
    await put(part, encodeSafetensors(new Map(stored)));
  }
  const memories = state.memories.map((data, i) => [String(i), { shape: [data.length], data }] as const);
  await put('fragments', encodeSafetensors(new Map(memories), { steps: JSON.stringify(state.steps) }));
  return named;
}

describe('the tensors of a run’s checkpoint', () => {
  it.each(Object.keys(STRATEGIES) as Strategy[])(
    'are the same bits again, in blobs of any size: %s',
    async (strategy) => {
      const settings = settingsOf(strategy);
      const saved = trained(FRAGMENTS, settings);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 200 }), async (elements) => {
          const named = await saveCheckpoint(blobs, faceOf(saved), 4 * elements);
          for (const hash of Object.values(named)) {
            const { tensors } = decodeSafetensors(await blobs.get(hash), hash);
            const held = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
            expect(held).toBeLessThanOrEqual(elements);
          }
          const resumed = await begun(FRAGMENTS, settings, await openCheckpoint(blobs, named, FRAGMENTS));
          expect(resumed.state()).toEqual(saved.state());
        }),
        { numRuns: 6 },
      );
    },
  );

  it('are one file a part where they fit, with the bytes of one that is made whole', async () => {
    const settings = settingsOf('diloco');
    const saved = trained(FRAGMENTS, settings);
    expect(await saveCheckpoint(blobs, faceOf(saved))).toMatchObject(
      Object.fromEntries(
        Object.entries(await savedWhole(saved.state(), FRAGMENTS)).filter(([part]) => part !== 'fragments'),
      ),
    );
  });

  it.each(Object.keys(STRATEGIES) as Strategy[])('are read as earlier versions saved them: %s', async (strategy) => {
    const settings = settingsOf(strategy);
    const saved = trained(FRAGMENTS, settings);
    const named = await savedWhole(saved.state(), FRAGMENTS);
    const resumed = await begun(FRAGMENTS, settings, await openCheckpoint(blobs, named, FRAGMENTS));
    expect(resumed.state()).toEqual(saved.state());
  });

  it('go through a thread of its own, and are handed over at the end', async () => {
    const settings = settingsOf('diloco');
    const saved = trained(FRAGMENTS, settings);
    const named = await saveCheckpoint(blobs, faceOf(saved), 40);
    const worker = await WorkerAggregation.begin(FRAGMENTS, settings, await openCheckpoint(blobs, named, FRAGMENTS));
    expect(await saveCheckpoint(blobs, worker, 40)).toEqual(named);
    expect(await worker.takeParameters()).toEqual(saved.state().parameters);
    await worker.close();
    const whole = await WorkerAggregation.begin(FRAGMENTS, settings, saved.state());
    expect(await saveCheckpoint(blobs, whole, 40)).toEqual(named);
    await whole.close();
  });

  it('are refused when a blob of them is not there, or they are another model’s', async () => {
    const settings = settingsOf('diloco');
    const saved = trained(FRAGMENTS, settings);
    const { 'parameters.0': _, ...rest } = await saveCheckpoint(blobs, faceOf(saved), 40);
    const other = fragmentsOf([tensor('a', 3, 8), tensor('b#1', 5)], [tensor('c', 64, 2)]);
    await expect(async () => begun(FRAGMENTS, settings, await openCheckpoint(blobs, rest, FRAGMENTS))).rejects.toThrow(
      /Tensor parameters 0 has 16 elements where 26 belong/,
    );
    const named = await saveCheckpoint(blobs, faceOf(saved));
    await expect(async () => begun(other, settings, await openCheckpoint(blobs, named, other))).rejects.toThrow(
      /Tensor a has 21 elements where 24 belong/,
    );
    const gone = { ...named, velocity: '0'.repeat(64) };
    await expect(async () => begun(FRAGMENTS, settings, await openCheckpoint(blobs, gone, FRAGMENTS))).rejects.toThrow(
      /is missing, which the run's checkpoint needs/,
    );
  });

  it('lose what settings that have changed since do not keep', async () => {
    const saved = trained(FRAGMENTS, settingsOf('diloco'));
    const named = await saveCheckpoint(blobs, faceOf(saved));
    const adam = { ...settingsOf('diloco'), optimizer: 'adam' as const };
    const resumed = await begun(FRAGMENTS, adam, await openCheckpoint(blobs, named, FRAGMENTS));
    expect(resumed.state().parameters).toEqual(saved.state().parameters);
    expect(
      resumed
        .state()
        .second.get('a')!
        .every((x) => x > 0),
    ).toBe(true);
  });

  it('begin a run as arrays by name, each asked for once', () => {
    const asked: string[] = [];
    const arrays = new Map(
      FRAGMENTS.flatMap((f) => f.tensors.map((t) => [t.name, new Float32Array(t.elements)] as const)),
    );
    const get = arrays.get.bind(arrays);
    arrays.get = (name) => {
      asked.push(name);
      return get(name);
    };
    expect([...piecesOf(FRAGMENTS, { parameters: arrays })].map(({ data }) => data.length)).toEqual([21, 5, 128]);
    expect(asked).toEqual(['a', 'b#1', 'c']);
    expect(STATE_PARTS).toContain('parameters');
    arrays.delete('c');
    expect(() => [...piecesOf(FRAGMENTS, { parameters: arrays })]).toThrow(/Tensor c has no elements where 128 belong/);
  });
});
