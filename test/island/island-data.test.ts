import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { helloOf } from '../../src/island/hello.ts';
import { islandFiles } from '../../src/island/node/data-files.ts';
import { type IslandData, openIslandData, seedOf } from '../../src/island/node/island-data.ts';
import { prepareData, tokenizerOf } from '../../src/island/node/job-data.ts';
import type { DataAccess } from '../../src/island/own-data.ts';
import type { Batch } from '../../src/ml/data/batches.ts';
import type { Job } from '../../src/protocol/run-file.ts';
import { fakeHost } from './fakes.ts';

/** What an island trains on and validates with, from a job and its owner's word to batches. */

const home = mkdtempSync(path.join(tmpdir(), 'heliotrope-island-data-'));
afterAll(() => rmSync(home, { recursive: true }));
const file = (name: string, content: string): string => {
  writeFileSync(path.join(home, name), content);
  return path.join(home, name);
};
const jobOf = (data: object, more: object = {}): Job =>
  resolveJob(
    parseRunFile(
      JSON.stringify({ data, batch: 1, context: 8, tokenizer: { vocabularySize: 257 }, ...more }),
      'data.yaml',
    ),
    'data',
  );
const INSIDE: DataAccess = { kind: 'inside', folders: [home] };

async function opened(
  job: Job,
  access: DataAccess = INSIDE,
  index = 0,
  name = `island-${index + 1}`,
): Promise<IslandData> {
  const { preparation } = await prepareData(job, home);
  const shard = { index, count: job.islands };
  const files = islandFiles(job, access);
  return openIslandData(job, preparation, shard, files, seedOf(job, name), path.join(home, 'cache'), () => {});
}
/** All that `steps` batches show, as text. */
async function textOf(job: Job, batches: Iterable<Batch>): Promise<string> {
  const { preparation } = await prepareData(job, home);
  if (preparation.kind !== 'text') throw new TypeError('no text');
  const { decode } = tokenizerOf(preparation);
  return Array.from(batches, (batch) => decode([...(batch.input as BigInt64Array)].map(Number))).join('|');
}
const firstOf = ({ batches }: IslandData, steps: number): readonly Batch[] =>
  Array.from({ length: steps }, (_, step) => batches(step));

describe('data of an owner', () => {
  const run = file('run.txt', 'the text of the run, line upon line\n'.repeat(40));
  const mine = file('mine.txt', Array.from({ length: 40 }, (_, i) => `${i} zebras `).join(''));
  const job = jobOf({ paths: [run] }, { islands: 4 });
  const own: DataAccess = { kind: 'own', paths: [mine], folders: [] };

  it('are trained on whole, whatever the shard, in an order of its own', async () => {
    for (const index of [0, 3]) {
      const data = await opened(job, own, index);
      const seen = await textOf(job, firstOf(data, 1_000));
      for (let i = 1; i < 39; i++) expect(seen).toContain(`${i} zeb`.slice(0, 4));
    }
    const orders = await Promise.all([0, 1].map(async (i) => textOf(job, firstOf(await opened(job, own, i), 10))));
    expect(orders[0]).not.toBe(orders[1]);
  });

  it("are never validated on: the run's held-out text is, or nothing", async () => {
    expect((await opened(job, own)).heldOut).toHaveLength(0);
    const both = await opened(job, { ...own, folders: [home] });
    const alone = await opened(job);
    expect([...both.heldOut]).toEqual([...alone.heldOut]);
    expect(await textOf(job, firstOf(both, 20))).toContain('zebras');
    expect(await textOf(job, both.heldOut)).not.toContain('zebra');
  });

  it('of a table are all its rows, and the run’s are validated on', async () => {
    const table = (rows: readonly number[]): string => `x,y\n${rows.map((x) => `${x},${x % 2}`).join('\n')}\n`;
    const given = file('run.csv', table(Array.from({ length: 40 }, (_, i) => i)));
    const ours = file('mine.csv', table(Array.from({ length: 20 }, (_, i) => 1_000 + i)));
    const tabular = jobOf({ table: given, target: 'y' }, { model: { architecture: 'mlp' }, islands: 4 });
    const data = await opened(tabular, { kind: 'own', paths: [ours], folders: [home] }, 2);
    const drawn = firstOf(data, 20).map(({ input }) => Number(input[0]));
    expect(new Set(drawn).size).toBe(20);
    expect([...data.heldOut]).toEqual([...(await opened(tabular)).heldOut]);
  });

  it('make an island say that it does not validate, unless it reads the run’s too', async () => {
    const says = async (data: DataAccess) => (await helloOf(fakeHost({ data }), 'nonce', 'run')).evaluates;
    expect(await says(own)).toBe(false);
    expect(await says({ ...own, folders: [home] })).toBe(true);
    expect(await says(INSIDE)).toBe(true);
  });
});

describe('an island beyond those that were expected', () => {
  it('has the shard of another and an order of its own, the same each time', async () => {
    const lines = Array.from({ length: 400 }, (_, i) => `${(i * 7_919 + 13) ** 2}`).join('\n');
    const job = jobOf({ paths: [file('shared.txt', lines)] }, { islands: 2 });
    const inputs = async (name: string) =>
      firstOf(await opened(job, INSIDE, 0, name), 20).map(({ input }) => `${input}`);
    const [first, third] = [await inputs('island-1'), await inputs('island-3')];
    expect(first.filter((input, step) => input === third[step])).toEqual([]);
    expect(await inputs('island-3')).toEqual(third);
    expect(seedOf({ ...job, seed: 2 }, 'island-1')).not.toBe(seedOf(job, 'island-1'));
  });
});

describe('packed data', () => {
  it('are trained on and validated as the plain ones are', async () => {
    vi.stubEnv('HELIOTROPE_HOME', path.join(home, 'state'));
    const lines = Array.from({ length: 50 }, (_, i) => `{"body": "the text of line ${i}"}`).join('\n');
    const job = (name: string) => jobOf({ paths: [name], field: 'body' }, { islands: 2 });
    const plain = await opened(job(file('plain.jsonl', lines)), INSIDE, 1);
    writeFileSync(path.join(home, 'packed.jsonl.gz'), gzipSync(lines));
    const packed = await opened(job('packed.jsonl.gz'), INSIDE, 1);
    vi.unstubAllEnvs();
    expect([...packed.heldOut]).toEqual([...plain.heldOut]);
    expect(firstOf(packed, 5)).toEqual(firstOf(plain, 5));
  });
});

describe('little data', () => {
  it('is enough for every island: a shard with nothing in it is the whole', async () => {
    const long = file('line.txt', `${'no end of a line '.repeat(40)}\n${'the end of it. '.repeat(6)}`);
    const rows = file('rows.csv', `x,y\n${Array.from({ length: 6 }, (_, i) => `${i},${i % 2}`).join('\n')}\n`);
    const jobs = [
      jobOf({ paths: [long] }, { islands: 6 }),
      jobOf({ table: rows, target: 'y', heldOut: 0.2 }, { model: { architecture: 'mlp' }, islands: 9 }),
    ];
    for (const job of jobs) {
      for (let index = 0; index < job.islands; index++) {
        const { batches, heldOut } = await opened(job, INSIDE, index);
        expect(batches(0).count).toBeGreaterThan(0);
        expect(heldOut.at(0)!.count).toBeGreaterThan(0);
      }
    }
  });

  it('of short documents needs no whole context of held-out tokens where each has a row of its own', async () => {
    const lines = Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: 'q', completion: `number ${i}` }));
    const job = jobOf({ paths: [file('short.jsonl', lines.join('\n'))], packing: false }, { context: 64, islands: 2 });
    const { batches, heldOut } = await opened(job);
    expect([batches(0).count > 0, heldOut.length, heldOut.at(0)!.count > 0]).toEqual([true, 2, true]);
    await expect(opened(jobOf({ ...job.data, packing: true }, { context: 64 }))).rejects.toThrow(
      /held-out text has \d+ tokens, and one context needs 65\..*packing: false/s,
    );
  });

  it('is dealt out for any number of documents and islands', async () => {
    let number = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 2, maxLength: 12 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        async (lengths, islands, packing) => {
          const lines = lengths.map((length) =>
            JSON.stringify({ text: `${'word '.repeat(length)}end of it all here` }),
          );
          const job = jobOf(
            { paths: [file(`p${number++}.jsonl`, lines.join('\n'))], packing },
            { islands, context: 4 },
          );
          const { preparation } = await prepareData(job, home);
          for (let index = 0; index < islands; index++) {
            const shard = { index, count: islands };
            const data = await openIslandData(job, preparation, shard, islandFiles(job, INSIDE), index, home, () => {});
            expect(data.batches(0).count).toBeGreaterThan(0);
            expect(data.heldOut.at(0)!.count).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});
