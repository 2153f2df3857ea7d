import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CostBook, countFromNow, earlierCosts } from '../../src/cli/costs.ts';
import { TrafficBook } from '../../src/coordinator/server/traffic-book.ts';

describe("what a run costs over all its host's processes", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'helio-costs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** One process: each island of `exchanged` sends and receives that much in it. */
  function hosted(exchanged: Readonly<Record<string, number>>) {
    const earlier = earlierCosts(folder);
    const open = new Map(Object.entries(exchanged).map(([name, n]) => [name, { sentBytes: n, receivedBytes: 2 * n }]));
    const book = new TrafficBook(
      (island) => open.get(island),
      () => open.keys(),
      earlier?.traffic,
    );
    const said: string[] = [];
    const costs = new CostBook(
      { folder, since: countFromNow(), traffic: () => book.byIsland(), say: (sentence) => said.push(sentence) },
      earlier,
    );
    return { costs: costs.close(), said };
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

  it('says once that nothing can be written down, and goes on', () => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    const said: string[] = [];
    const costs = new CostBook(
      { folder, since: countFromNow(), traffic: () => [], say: (sentence) => said.push(sentence) },
      undefined,
    );
    costs.close();
    costs.close();
    expect(said).toEqual([expect.stringContaining('could not be written down')]);
  });

  it('refuses a file that is damaged, and says what to do', () => {
    hosted({ a: 10 });
    const file = path.join(folder, 'costs.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"wallS":', '"wallS":-'));
    expect(() => earlierCosts(folder)).toThrow(/HELIO-3001|is damaged/);
  });
});
