import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { IslandEffect } from '../../src/island/state.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { STRATEGIES } from '../../src/outer/settings.ts';
import { Numbers } from './numbers.ts';
import { SHAPE, settingsFor, World } from './world.ts';

/** The table in docs/protocol.md of when a fragment is read and written, held against islands that are merged. */

interface Row {
  readonly overlapSteps: number;
  readonly localShare: number;
  /** Of each fragment `[read, written]`, in order. */
  readonly fragments: readonly (readonly (readonly [number, number])[])[];
  readonly after: string;
}

const protocol = readFileSync(path.resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8');
const rows = protocol
  .slice(protocol.indexOf('### When a fragment is read and written'))
  .split('\n')
  .filter((line) => /^\| \d+ \| [\d.]+ \|/.test(line))
  .map((line): Row => {
    const [, tau, alpha, first, second, after] = line.split('|').map((cell) => cell.trim());
    const pairs = (cell: string) =>
      cell.split(', ').map((pair) => pair.split(' → ').map(Number) as unknown as readonly [number, number]);
    return {
      overlapSteps: Number(tau),
      localShare: Number(alpha),
      fragments: [pairs(first!), pairs(second!)],
      after: after!,
    };
  });

const KEPT: Readonly<Record<number, string>> = { 0: 'θ_global', 0.5: '½ θ_m + ½ θ_global', 1: 'θ_m' };

function seen({ overlapSteps, localShare }: Row, seed: number) {
  const outer = { ...STRATEGIES.streaming(SHAPE), innerSteps: 6, fragments: 2, overlapSteps, localShare };
  const settings = settingsFor({ ...outer, graceS: 60 }, { steps: 60 });
  const random = seededRandom(seed, 3);
  // A merge takes up to some ten steps of the fastest, so that islands hold, or is there long before it is written.
  const stepMs = (name: string): number => [40, 300, 1_500][Number(name.at(-1)) - 1]! + random.integer(20);
  const world = new World({ settings, islands: 3, random, stepMs, numbers: new Numbers(settings, random) });
  const found = world.islands.map(() => [[], []] as [number, number][][]);
  let kept = Number.NaN;
  const reads = world.islands.map(() => [0, 0]);
  world.watch = ({ name, steps }, effect: IslandEffect) => {
    const island = Number(name.at(-1)) - 1;
    if (effect.kind === 'read') reads[island]![effect.fragment] = steps;
    // On arrival it is only measured; writing is what the counters begin anew with.
    if (effect.kind === 'take' && effect.keep.kind === 'share') {
      expect(effect.place, 'schedule and data go on with the steps').toBe(steps);
      kept = effect.keep.share;
    }
    // On arrival it is only measured; what it has written is what its next contribution differs from.
    if (effect.kind !== 'rebase') return;
    expect(kept).toBe(localShare);
    found[island]![effect.fragment]!.push([reads[island]![effect.fragment]!, steps]);
  };
  world.run();
  expect(world.end?.status).toBe('finished');
  return found;
}

describe('a fragment of streaming is read and written as docs/protocol.md says', () => {
  it('for τ 0, 1 and more, and α 0, ½ and 1', () => {
    expect(rows.map(({ overlapSteps, localShare }) => [overlapSteps, localShare])).toEqual(
      [0, 1, 4].flatMap((tau) => [0, 0.5, 1].map((alpha) => [tau, alpha])),
    );
    for (const { localShare, after } of rows) expect(after).toBe(KEPT[localShare]);
  });

  it.each(rows)('τ $overlapSteps, α $localShare', (row) => {
    for (const seed of [1, 2, 3])
      for (const island of seen(row, seed)) expect(island.map((pairs) => pairs.slice(0, 3))).toEqual(row.fragments);
  });
});
