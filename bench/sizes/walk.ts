import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PACKAGE_FOLDER } from '../../src/cli/context.ts';
import type { Plan } from '../../src/cli/plan.ts';
import type { Summary } from '../../src/cli/records.ts';
import type { Figure } from '../figures.ts';
import { ask, begin } from './command.ts';
import { readByOthers } from './others.ts';

/** What is set of a run besides its base. */
export interface Road {
  readonly model: object;
  readonly inner: object;
}

/** Four rounds of one step: each part of the road is walked, and memory has come to its height. */
const JOB = {
  data: path.join(PACKAGE_FOLDER, 'data/austen/persuasion.txt'),
  context: 256,
  batch: 1,
  islands: 2,
  outer: { innerSteps: 1 },
  stop: { steps: 4 },
  evaluation: { tokens: 2048 },
  sample: { tokens: 16 },
};
/** Tokens that are sampled, to tell what one takes from what loading takes. */
const SAMPLED = [8, 40] as const;

/** @param folder has the base, in `base` */
export async function walk(folder: string, name: string, road: Road): Promise<readonly Figure[]> {
  const say = (what: string): void => console.error(`${name}: ${what} …`);
  const figure = (id: string, value: number, unit: string, note: string): Figure => ({
    ...{ id: `sizes.${name}.${id}`, value, unit, target: null, met: null, note },
  });
  const aim = (of: Figure, target: string, met: boolean): Figure => ({ ...of, target, met });
  const within = (of: Figure): Figure => aim(of, '0.9 to 1.1', of.value >= 0.9 && of.value <= 1.1);
  const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  const file = (of: string): string => {
    const place = path.join(folder, `${of}.yaml`);
    // JSON is YAML as well.
    const job = { ...JOB, name: of, model: { base: path.join(folder, 'base'), ...road.model }, inner: road.inner };
    writeFileSync(place, JSON.stringify(job));
    return place;
  };

  say('dry run');
  const planned = await ask<Plan>(['train', file('straight'), '--dry-run'], folder);
  say('four steps on two islands');
  const trained = await ask<Summary>(['train', file('straight')], folder);
  const { before, after } = trained.result.validationLoss;
  const had = Math.max(...trained.result.islandDetails.map(({ peakMemoryBytes }) => peakMemoryBytes));
  const told = planned.result;
  const parameters = `${(told.parameters / 1e6).toFixed(0)} M parameters`;

  say('stopped after a merge, and resumed');
  await stopAfterMerge(file('broken'), folder);
  await ask<Summary>(['train', '--resume', 'broken'], folder);
  const model = (of: string): string => path.join(folder, 'runs', of, 'model.safetensors');
  const same = (await hashOf(model('straight'))) === (await hashOf(model('broken')));

  say('exports');
  const exported = await ask<{ readonly out: string }>(['export', 'straight', '--format', 'gguf'], folder);
  const layout = await ask<{ readonly out: string }>(['export', 'straight', '--format', 'transformers'], folder);
  say('sampling');
  const [few, many] = [
    await ask(['sample', 'straight', '--tokens', String(SAMPLED[0]), '--temperature', '5'], folder),
    await ask(['sample', 'straight', '--tokens', String(SAMPLED[1]), '--temperature', '5'], folder),
  ];
  say('what others read');
  const others = await readByOthers(path.join(folder, 'runs/straight'), exported.result.out, layout.result.out);

  const { coordinatorMemoryBytes: coordinator = 0, wallS } = trained.result;
  return [
    within(figure('memory-told', told.memoryPerIslandBytes / had, '× had', `${parameters}; ${gb(had)} an island`)),
    within(figure('coordinator-memory-told', told.coordinatorMemoryBytes / coordinator, '× had', gb(coordinator))),
    figure('dry-run', planned.wallS, 's', ''),
    figure('time-told', told.timeS / wallS, '× had', `${wallS.toFixed(0)} s, starting and saving included`),
    figure(
      'disk',
      bytesIn(path.join(folder, 'runs/straight')) / 1e9,
      'GB',
      `of a run; told, of a long one: ${gb(told.diskBytes)}`,
    ),
    aim(
      figure('loss', after! - before!, 'nats/token', `${before!.toFixed(4)} → ${after!.toFixed(4)} in four steps`),
      '< 0',
      after! < before!,
    ),
    aim(figure('resumed', same ? 1 : 0, '', 'whether stopped and resumed gives the same bits'), '1', same),
    figure('export-gguf', exported.wallS, 's', gb(statSync(exported.result.out).size)),
    figure('sampling', (1000 * (many.wallS - few.wallS)) / (SAMPLED[1] - SAMPLED[0]), 'ms/token', ''),
    ...others.map(({ reader, furthest, most, note }) =>
      aim(figure(reader, furthest, 'nats', note), `≤ ${most}`, furthest <= most),
    ),
  ];
}

async function stopAfterMerge(file: string, folder: string): Promise<void> {
  const { child, done } = begin(['train', file], folder);
  const metrics = path.join(folder, 'runs/broken/metrics.jsonl');
  while (child.exitCode === null && !(existsSync(metrics) && readFileSync(metrics, 'utf8').includes('"kind":"merge"')))
    await sleep(200);
  child.kill('SIGINT');
  const { status, stderr } = await done;
  // Interrupted, with a checkpoint.
  if (status !== 130) throw new Error(`the run that was to be stopped ended with ${status}:\n${stderr}`);
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file)) hash.update(piece as Buffer);
  return hash.digest('hex');
}

const bytesIn = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(path.join(parentPath, name)).size, 0);
