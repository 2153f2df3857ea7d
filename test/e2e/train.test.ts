import { cpSync, existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LiveRecord, Summary } from '../../src/cli/records.ts';
import { decodeSafetensors } from '../../src/ml/tensor/safetensors.ts';
import { processesWith, ROOT, run, scratch, start, tinyRun } from './command.ts';

/**
 * Validation loss after 100 steps. Measured over seeds 1 and 2: four islands that merge 3.85 and 3.85; one island
 * alone, with the same steps and all the text, 4.12 and 4.08; untrained 6.25.
 */
const BOUND = 4;

const summaryIn = (folder: string): Summary =>
  JSON.parse(readFileSync(path.join(folder, 'summary.json'), 'utf8')) as Summary;
const metricsIn = (folder: string): readonly LiveRecord[] =>
  readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LiveRecord);

/** Of a run that is being trained: its last line may not be whole yet, nor its file be there. */
function mergesSoFar(folder: string): readonly (LiveRecord & { readonly kind: 'merge' })[] {
  const file = path.join(folder, 'metrics.jsonl');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  return lines.map((line) => JSON.parse(line) as LiveRecord).filter((record) => record.kind === 'merge');
}

describe('heliotrope train', { timeout: 300_000 }, () => {
  it('brings four islands below a loss that one alone does not reach, and leaves a complete folder', async () => {
    const folder = scratch();
    const { status, stdout } = await run(['train', tinyRun(folder, 'four'), '--json'], folder);
    expect(status).toBe(0);
    const summary = JSON.parse(stdout) as Summary;
    expect(summary).toMatchObject({ status: 'finished', islands: 4, steps: 100, tokens: 4 * 100 * 4 * 64 });
    expect(summary.validationLoss.before).toBeGreaterThan(6);
    expect(summary.validationLoss.after).toBeLessThan(BOUND);
    const alone = await run(
      ['train', tinyRun(folder, 'alone', { islands: 1, outer: { strategy: 'fedavg', innerSteps: 50 } }), '--json'],
      folder,
    );
    expect((JSON.parse(alone.stdout) as Summary).validationLoss.after).toBeGreaterThan(BOUND);

    const made = path.join(folder, 'runs/four');
    for (const file of [
      'model.safetensors',
      'config.json',
      'tokenizer.json',
      'generation_config.json',
      'README.md',
      'metrics.jsonl',
      'run.yaml',
      'summary.json',
      'report.html',
      'events.log',
      'blobs',
    ]) {
      expect([file, existsSync(path.join(made, file))]).toEqual([file, true]);
    }
    expect(readlinkSync(path.join(folder, 'runs/latest'))).toBe('alone');
    const trace = JSON.parse(readFileSync(path.join(made, 'trace.json'), 'utf8')) as readonly {
      ph?: string;
      name?: string;
    }[];
    for (const name of ['step', 'copy', 'pack', 'contribution', 'merged', 'open', 'take'])
      expect([name, trace.some((span) => span.ph === 'X' && span.name === name)]).toEqual([name, true]);
    expect(readFileSync(path.join(made, 'report.html'), 'utf8')).toMatch(/<svg[\s\S]*Validation loss/);
    expect(summary.bytesPerIsland).toBeLessThan(summary.bytesPerIslandDataParallel / 5);
    expect(summary).toMatchObject({ energyQuality: 'assumed', hardware: expect.stringMatching(/^4 × cpu with \d/) });
    expect(readFileSync(path.join(made, 'README.md'), 'utf8')).toMatch(
      /co2_eq_emissions:\n {2}emissions: [\d.e+-]+\n {2}source: .*\n {2}training_type: pre-training\n {2}hardware_used: "4 × cpu/,
    );
    expect(
      summaryIn(made)
        .islandDetails.map((d) => d.island)
        .sort(),
    ).toEqual(['island-1', 'island-2', 'island-3', 'island-4']);
    expect(processesWith(made)).toEqual([]);

    const evaluated = JSON.parse((await run(['eval', 'four', '--json'], folder)).stdout) as { loss: number };
    expect(evaluated.loss).toBeCloseTo(summary.validationLoss.after!, 2);
    const unreadable = path.join(folder, 'runs/unreadable');
    cpSync(made, unreadable, { recursive: true });
    writeFileSync(path.join(unreadable, 'tokenizer.json'), '{}');
    expect((await run(['eval', 'unreadable'], folder)).stderr).toMatch(/HELIO-1004/);
    expect(readdirSync(path.join(folder, 'home')).filter((name) => name.startsWith('eval'))).toEqual([]);
    rmSync(unreadable, { recursive: true });
    const sampled = await run(['sample', 'four', '--prompt', 'Anne', '--tokens', '10', '--temperature', '0'], folder);
    expect(sampled.stdout.startsWith('Anne')).toBe(true);
    expect((await run(['sample', 'latest', '--tokens', '5'], folder)).status).toBe(0);
    const listed = JSON.parse((await run(['runs', '--json'], folder)).stdout) as { name: string; latest: boolean }[];
    expect(listed.map((r) => [r.name, r.latest])).toEqual([
      ['alone', true],
      ['four', false],
    ]);
  });

  it('goes on after Ctrl-C to the same bits as without it', async () => {
    const folder = scratch();
    // Lossy codecs both ways: what they left over has to be resumed as well.
    const outer = { innerSteps: 10, upCodec: 'int4', downCodec: 'int8' };
    // Long enough that the signal comes in the middle of it, whatever else the machine does.
    const setting = { islands: 2, seed: 7, stop: { steps: 250 }, outer };
    const straight = start(['train', tinyRun(folder, 'straight', { name: 'straight', ...setting })], folder);
    expect((await straight.done).status).toBe(0);
    const broken = start(['train', tinyRun(folder, 'broken', { name: 'broken', ...setting })], folder);
    await broken.said(/step +[4-9]\d/);
    broken.child.kill('SIGINT');
    const stopped = await broken.done;
    expect(stopped.status).toBe(130);
    expect(stopped.stderr).toContain('heliotrope train --resume broken');
    const made = path.join(folder, 'runs/broken');
    const first = summaryIn(made);
    expect(first.status).toBe('interrupted');
    expect(processesWith(made)).toEqual([]);
    const before = metricsIn(made).filter((r) => r.kind === 'merge').length;
    expect(before).toBeLessThan(25);

    const resumed = await run(['train', '--resume', 'broken'], folder);
    expect(resumed.status).toBe(0);
    expect(metricsIn(made).flatMap((r) => (r.kind === 'merge' ? [r.version] : []))).toEqual(
      Array.from({ length: 25 }, (_, i) => i + 1),
    );
    const weights = (name: string) => {
      const file = path.join(folder, 'runs', name, 'model.safetensors');
      return decodeSafetensors(readFileSync(file), file).tensors;
    };
    expect(weights('broken')).toEqual(weights('straight'));
    expect(summaryIn(made).validationLoss.after).toBe(
      summaryIn(path.join(folder, 'runs/straight')).validationLoss.after,
    );
    // What it cost is what both processes did: a report of the last one alone would praise whoever stops often.
    const both = summaryIn(made);
    expect(both.startedAt).toBe(first.startedAt);
    expect(both.wallS).toBeGreaterThan(first.wallS);
    expect(both.energyWh).toBeGreaterThan(first.energyWh);
    expect(both.bytesPerIsland).toBeGreaterThanOrEqual(summaryIn(path.join(folder, 'runs/straight')).bytesPerIsland);
    const again = await run(['train', '--resume', 'broken'], folder);
    expect([again.status, again.stderr]).toEqual([2, expect.stringContaining('raise stop.steps')]);
    const file = path.join(made, 'run.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('steps: 250', 'steps: 260'));
    const yaml = readFileSync(file, 'utf8');
    writeFileSync(file, yaml.replace('fragments: 1', 'fragments: 2'));
    const cut = await run(['train', '--resume', 'broken'], folder);
    expect([cut.status, cut.stderr]).toEqual([2, expect.stringContaining('this run was begun with 1')]);
    writeFileSync(file, yaml);
    const longer = await run(['train', '--resume', 'broken', '--json'], folder);
    expect([longer.status, (JSON.parse(longer.stdout) as Summary).steps]).toEqual([0, 260]);
    expect((JSON.parse(longer.stdout) as Summary).wallS).toBeGreaterThan(both.wallS);
  });

  it('goes on when an island crashes, says so, and takes it back at the next merge', async () => {
    const folder = scratch();
    // It trains for as long as this takes.
    const training = start(['train', tinyRun(folder, 'crash', { islands: 3, stop: { steps: 100_000 } })], folder);
    /** The islands of each merge. */
    const merges = (): readonly string[] =>
      mergesSoFar(path.join(folder, 'runs/crash')).map((merge) => merge.contributions.map((c) => c.island).join(' '));
    const merged = (islands: string): Promise<void> =>
      expect.poll(merges, { timeout: 120_000, interval: 100 }).toContain(islands);
    await merged('island-1 island-2 island-3');
    const [victim] = processesWith(path.join(folder, 'runs/crash'), '--name island-2');
    process.kill(victim!, 'SIGKILL');
    await merged('island-1 island-3');
    await expect.poll(() => merges().at(-1), { timeout: 120_000 }).toBe('island-1 island-2 island-3');
    training.child.kill('SIGINT');
    const { status, stderr } = await training.done;
    expect(status).toBe(130);
    expect(stderr).toContain('island-2 crashed (signal SIGKILL); the run goes on without it; starting it again');
    expect(summaryIn(path.join(folder, 'runs/crash')).islandDetails.find((d) => d.island === 'island-2')?.joins).toBe(
      2,
    );
  });

  it('goes on when the coordinator is killed, from every merge that was committed, to the same bits', async () => {
    const folder = scratch();
    const model = (name: string): Buffer => readFileSync(path.join(folder, 'runs', name, 'model.safetensors'));
    // The last checkpoint of an undisturbed run is far behind when the coordinator is killed.
    const settings = { islands: 2, stop: { steps: 250 }, checkpoints: { everyMerges: 1_000 }, outer: { graceS: 60 } };
    expect((await run(['train', tinyRun(folder, 'undisturbed', settings)], folder)).status).toBe(0);
    const training = start(['train', tinyRun(folder, 'killed', settings)], folder);
    for (const [times, step] of [/step +[2-9]\d/, /step +([6-9]\d|[1-3]\d\d)/].entries()) {
      await training.said(step);
      const [coordinator] = processesWith('serve', 'killed');
      process.kill(coordinator!, 'SIGKILL');
      await training.said(new RegExp(`(starting it again[^]*){${times + 1}}`));
    }
    const { status, stderr } = await training.done;
    expect([status, stderr]).toEqual([0, expect.stringContaining('the coordinator ended (signal SIGKILL)')]);
    expect(processesWith(path.join(folder, 'runs/killed'))).toEqual([]);
    expect(Buffer.compare(model('killed'), model('undisturbed'))).toBe(0);
  });

  it('keeps an earlier run of the same name under a number', async () => {
    const folder = scratch();
    const file = tinyRun(folder, 'again', { islands: 1, stop: { steps: 10 } });
    for (let i = 0; i < 3; i++) expect((await run(['train', file], folder)).status).toBe(0);
    expect(readdirSync(path.join(folder, 'runs')).sort()).toEqual(['again', 'again-1', 'again-2', 'latest']);
    expect(readlinkSync(path.join(folder, 'runs/latest'))).toBe('again');
  });

  it('does not touch a run that is being trained', async () => {
    const folder = scratch();
    const file = tinyRun(folder, 'busy', { islands: 1, stop: { steps: 100_000 } });
    const first = start(['train', file], folder);
    await first.said('training: 1 island trains');
    for (const args of [
      ['train', file],
      ['train', '--resume', 'busy'],
    ]) {
      const second = await run(args, folder);
      expect([second.status, second.stderr]).toEqual([
        2,
        expect.stringMatching(/HELIO-1005.*is being trained right now, by process \d+/s),
      ]);
    }
    first.child.kill('SIGINT');
    expect((await first.done).status).toBe(130);
    expect(existsSync(path.join(folder, 'runs/busy/run.lock'))).toBe(false);
  });

  it('loses nothing measurable with four bits a number, for a fifth of the bytes', async () => {
    const folder = scratch();
    const outer = { innerSteps: 10, upCodec: 'int4', downCodec: 'int4' };
    const { stdout } = await run(['train', tinyRun(folder, 'bits', { outer }), '--json'], folder);
    const summary = JSON.parse(stdout) as Summary;
    expect(summary.validationLoss.after).toBeLessThan(BOUND);
    expect(summary.bytesPerIsland).toBeLessThan(summary.bytesPerIslandDataParallel / 45);
  });

  it('trains in fragments that are merged while the islands go on', async () => {
    const folder = scratch();
    const outer = {
      strategy: 'decoupled',
      innerSteps: 10,
      fragments: 3,
      overlapSteps: 3,
      upCodec: 'e3m0',
      downCodec: 'int8',
    };
    const { status, stdout } = await run(['train', tinyRun(folder, 'fragments', { outer }), '--json'], folder);
    const summary = JSON.parse(stdout) as Summary;
    expect([status, summary.steps]).toEqual([0, 100]);
    expect(summary.validationLoss.after).toBeLessThan(BOUND);
    const merged = metricsIn(path.join(folder, 'runs/fragments')).flatMap((r) =>
      r.kind === 'merge' ? [r.fragment] : [],
    );
    expect(new Set(merged)).toEqual(new Set([0, 1, 2]));
  });

  it('trains on JSON Lines with a tokenizer that another run has made', async () => {
    const folder = scratch();
    const novel = readFileSync(path.join(ROOT, 'data/austen/persuasion.txt'), 'utf8');
    const lines = novel.split('\n\n').map((text) => JSON.stringify({ text }));
    writeFileSync(path.join(folder, 'paragraphs.jsonl'), `${lines.join('\n')}\n`);
    const short = { islands: 1, stop: { steps: 20 }, data: 'paragraphs.jsonl' };
    expect((await run(['train', tinyRun(folder, 'first', short)], folder)).status).toBe(0);
    const tokenizer = { path: 'runs/first/tokenizer.json' };
    const { stdout } = await run(['train', tinyRun(folder, 'second', { ...short, tokenizer }), '--json'], folder);
    expect(JSON.parse(stdout) as Summary).toMatchObject({ status: 'finished', vocabularySize: 512, steps: 20 });
  });

  it('does not take the checkpoints of an earlier run of the same name for its own', async () => {
    const folder = scratch();
    const file = tinyRun(folder, 'same', { islands: 1, stop: { steps: 20 }, checkpoints: { everyMerges: 1 } });
    const losses: (number | null)[] = [];
    for (let i = 0; i < 2; i++) {
      const serving = start(['serve', file, '--port', '0', '--json'], folder);
      await serving.said(/heliotrope join '(http:[^']+)'/);
      const url = /heliotrope join '(http:[^']+)'/.exec(serving.stderr())![1]!;
      // Without --state the island keeps its checkpoints in its home, where the first run's still are.
      expect((await run(['join', url, '--name', 'attic', '--threads', '1'], folder)).status).toBe(0);
      losses.push((JSON.parse((await serving.done).stdout) as Summary).validationLoss.after);
    }
    expect(losses[1]).toBe(losses[0]);
  });

  it('serves a run that islands of other names and data join', async () => {
    const folder = scratch();
    const serving = start(
      ['serve', tinyRun(folder, 'open', { islands: 2, stop: { steps: 20 } }), '--port', '0', '--json'],
      folder,
    );
    await serving.said(/heliotrope join '(http:[^']+)'/);
    const url = /heliotrope join '(http:[^']+)'/.exec(serving.stderr())![1]!;
    // A use more than the invitation has.
    const forged = url.replace(/invitation=[^.]+/, `invitation=${Buffer.from('{"uses":9}').toString('base64url')}`);
    const refused = await run(['join', forged, '--name', 'thief'], folder);
    expect([refused.status, refused.stderr]).toEqual([4, expect.stringContaining("not signed by this run's host")]);
    const [attic, lab] = [
      start(['join', url, '--name', 'attic', '--threads', '1'], folder),
      start(
        ['join', url, '--name', 'lab', '--threads', '1', '--data', path.join(folder, '../does-not-exist.txt')],
        folder,
      ),
    ];
    expect((await lab.done).stderr).toContain('does-not-exist.txt');
    const own = path.join(folder, 'own.txt');
    writeFileSync(own, 'Data of its own, which nobody else sees. '.repeat(40));
    const second = start(['join', url, '--name', 'lab', '--threads', '1', '--data', own, '--json'], folder, {
      HELIOTROPE_DATA_ROOT: undefined,
    });
    const outcome = await second.done;
    expect(outcome.stdout).toContain('"ending": "finished"');
    expect(outcome.stderr).toContain("it trains on all of its own data; others validate, on the run's held-out data");
    expect((await attic.done).status).toBe(0);
    const { status, stdout } = await serving.done;
    expect(status).toBe(0);
    const { islandDetails, validationLoss } = JSON.parse(stdout) as Summary;
    expect(islandDetails.map((d) => d.island).sort()).toEqual(['attic', 'lab']);
    expect(validationLoss.after).not.toBeNull();
    const validated = islandDetails.filter(({ evaluateS }) => evaluateS > 0);
    expect(validated.map(({ island }) => island)).toEqual(['attic']);
  });
});
