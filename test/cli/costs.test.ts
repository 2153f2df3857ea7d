import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CostCounter, countFromNow, earlierCosts } from '../../src/cli/costs.ts';
import type { Machine } from '../../src/coordinator/server/peer.ts';
import { TrafficCounter } from '../../src/coordinator/server/traffic-counter.ts';

describe("what a run costs over all its host's processes", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'helio-costs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** One process: each island of `exchanged` sends and receives that much in it. */
  function hosted(
    exchanged: Readonly<Record<string, number>>,
    isIsland = (_: string) => true,
    machines: readonly (readonly [string, Machine])[] = [],
  ) {
    const said: string[] = [];
    const earlier = earlierCosts(folder, (sentence) => said.push(sentence));
    const open = new Map(Object.entries(exchanged).map(([name, n]) => [name, { sentBytes: n, receivedBytes: 2 * n }]));
    const traffic = new TrafficCounter(
      (island) => open.get(island),
      () => open.keys(),
      isIsland,
      earlier?.traffic,
    );
    const costs = new CostCounter(
      {
        folder,
        since: countFromNow(),
        traffic: () => traffic.byIsland(),
        machines: () => [...(earlier?.machines ?? []), ...machines],
        say: (sentence) => said.push(sentence),
      },
      earlier,
    );
    return { costs: costs.close(), said, traffic };
  }

  it('adds up, islands that came later and names of every kind included', () => {
    const first = hosted({ a: 10, constructor: 1 });
    const second = hosted({ a: 5, b: 7 });
    expect(second.costs.startedAt).toBe(first.costs.startedAt);
    expect(second.costs.wallS).toBeGreaterThan(first.costs.wallS);
    expect(second.costs.cpuS).toBeGreaterThanOrEqual(first.costs.cpuS);
    expect([...second.costs.traffic].toSorted()).toEqual([
      ['a', { sentBytes: 15, receivedBytes: 30 }],
      ['b', { sentBytes: 7, receivedBytes: 14 }],
      ['constructor', { sentBytes: 1, receivedBytes: 2 }],
    ]);
  });

  it('remembers what the islands computed with, also those that do not come again', () => {
    const cpu = { host: 'process', device: 'cpu', threads: 4 } as const;
    const tab = { host: 'tab', device: 'webgpu', threads: 8 } as const;
    hosted({}, undefined, [['a', cpu]]);
    const { costs } = hosted({}, undefined, [['b', tab]]);
    expect([...costs.machines]).toEqual([
      ['a', cpu],
      ['b', tab],
    ]);
  });

  it('says once that nothing can be written down, and goes on', () => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    const said: string[] = [];
    const costs = new CostCounter(
      { folder, since: countFromNow(), traffic: () => [], machines: () => [], say: (sentence) => said.push(sentence) },
      undefined,
    );
    costs.close();
    costs.close();
    expect(said).toEqual([expect.stringContaining('could not be written down')]);
  });

  it('keeps no names that are no island’s, also of what was written down before', () => {
    hosted({ a: 10, 'n-0': 1, 'n-1': 1 });
    const { costs, traffic } = hosted({ a: 5, 'n-2': 3 }, (name) => name === 'a');
    traffic.keep('n-2');
    expect([...costs.traffic.keys()]).toEqual(['a']);
    expect([...traffic.byIsland().keys()]).toEqual(['a']);
    // The sum has them all: once what was kept, and once what is open still.
    expect(traffic.all().sentBytes).toBe(15 + 1 + 1 + 3 + 3);
  });

  it.each([
    ['a sum below zero', (text: string) => text.replace('"wallS":', '"wallS":-')],
    ['half of it', (text: string) => text.slice(0, 20)],
    ['nothing', () => ''],
  ])('sets a file aside that is damaged, says so, and counts anew: %s', (_, damage) => {
    hosted({ a: 10 });
    const file = path.join(folder, 'costs.json');
    const damaged = damage(readFileSync(file, 'utf8'));
    writeFileSync(file, damaged);
    const { costs, said } = hosted({ a: 5 });
    expect(said).toEqual([expect.stringMatching(/costs\.json is damaged, and is kept as costs\.json\.damaged/)]);
    expect(readFileSync(`${file}.damaged`, 'utf8')).toBe(damaged);
    expect(costs.traffic.get('a')).toEqual({ sentBytes: 5, receivedBytes: 10 });
    expect(existsSync(file)).toBe(true);
    expect(hosted({}).said).toEqual([]);
  });
});
