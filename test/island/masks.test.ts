import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { fragmentsOf, modelOf } from '../../src/island/layout.ts';
import { prepareData } from '../../src/island/node/job-data.ts';
import { LocalTrainer } from '../../src/island/node/local-trainer.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { initializeParameters } from '../../src/ml/tensor/parameters.ts';
import { pack } from '../../src/outer/fragments.ts';

const home = mkdtempSync(path.join(tmpdir(), 'heliotrope-masks-'));
afterAll(() => rmSync(home, { recursive: true }));

/** The losses of an island's first steps, each on all rows: their order is nothing then. */
async function losses(island: string, dropout: number): Promise<readonly number[]> {
  const file = path.join(home, 'rows.csv');
  writeFileSync(file, `x,y\n${Array.from({ length: 40 }, (_, i) => `${i * i},${i % 3}`).join('\n')}\n`);
  const run = {
    data: { table: file, target: 'y', heldOut: 0.2 },
    model: { architecture: 'mlp', hidden: [16] },
    inner: { optimizer: 'sgd', dropout },
    islands: 1,
    batch: 32,
  };
  const job = resolveJob(parseRunFile(JSON.stringify(run), 'rows.yaml'), 'rows');
  const { preparation } = await prepareData(job, home);
  if (preparation.kind === 'text') throw new TypeError('a table');
  const model = modelOf(job, { kind: 'examples', shape: preparation.shape, outputs: preparation.outputs });
  const fragments = fragmentsOf(model, job.outer);
  const parameters = initializeParameters(parametersOf(model), 1);
  const trainer = new LocalTrainer();
  const assignment = {
    run: 'rows',
    island,
    job,
    fragments,
    shard: { index: 0, count: 1 },
    data: { kind: 'inside', folders: [home] },
    preparation: JSON.stringify(preparation),
    base: null,
    threads: 1,
    device: 'cpu',
    stateFolder: home,
  } as const;
  await trainer.prepare(
    assignment,
    fragments.map((fragment) => pack(fragment, parameters)),
  );
  const found = [await trainer.step(), await trainer.step()].map(({ loss }) => loss);
  await trainer.release();
  return found;
}
const apart = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

it('islands with the same shard drop units of their own, the same each time', async () => {
  expect(apart(await losses('island-1', 0), await losses('island-2', 0))).toBeLessThan(1e-5);
  const [one, again, other] = [
    await losses('island-1', 0.5),
    await losses('island-1', 0.5),
    await losses('island-2', 0.5),
  ];
  expect(again).toEqual(one);
  expect(apart(one, other)).toBeGreaterThan(1e-3);
});
