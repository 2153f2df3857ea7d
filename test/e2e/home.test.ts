import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { LiveRecord, Summary } from '../../src/cli/records.ts';
import type { IslandShare } from '../../src/coordinator/run-energy.ts';
import { drawnWh, type EnergyInterval, readInterval, reportOf } from '../../src/energy/accounting/index.ts';
import type { EnergyHandIn } from '../../src/protocol/energy.ts';
import { run, scratch, start, tinyRun } from './command.ts';

/** An island in a home: its owner's rules, and what the host sees of them. */

interface Status {
  readonly phase: string;
  readonly merges: number;
  readonly islands: readonly {
    readonly island: string;
    readonly status: string;
    readonly tokens: number;
    readonly standing: {
      readonly reason: string;
      readonly next: { readonly what: string; readonly atS: number | null } | null;
    };
  }[];
}

interface Counted {
  readonly islands: readonly { readonly island: string; readonly tokens: number; readonly energy: IslandShare }[];
}

const siteFile = (folder: string, more: string): string => {
  const file = path.join(folder, 'site.yaml');
  writeFileSync(file, `location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }\n${more}`);
  return file;
};

/** Every record of energy below a folder. */
const booksIn = (folder: string): readonly EnergyInterval[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /energy[/\\][\d-]+\.jsonl$/.test(file))
    .flatMap((file) => readFileSync(path.join(folder, file), 'utf8').trim().split('\n'))
    .map((line) => readInterval(line, 'here'));

describe('an island in a home', { timeout: 180_000 }, () => {
  it('is paused and resumed by its owner; the host sees it away, and the run goes on', async () => {
    const folder = scratch();
    const site = siteFile(folder, 'policy: { mode: always }\n');
    const file = tinyRun(folder, 'sunny', { islands: 2, stop: { steps: 5_000 }, outer: { quorum: 1 } });
    const serving = start(['serve', file, '--port', '0'], folder);
    const link = /heliotrope join '(https?:[^']+)'/;
    await serving.said(link);
    const url = link.exec(serving.stderr())![1]!;
    const lab = start(['join', url, '--name', 'lab', '--threads', '1', '--state', path.join(folder, 'lab')], folder);
    const home = start(
      ['join', url, '--name', 'attic', '--threads', '1', '--site', site, '--state', path.join(folder, 'attic')],
      folder,
    );
    const status = async (): Promise<Status> =>
      JSON.parse((await run(['status', 'sunny', '--json'], folder)).stdout) as Status;
    const attic = async () => (await status()).islands.find(({ island }) => island === 'attic');
    await serving.said('attic is training');
    await expect.poll(async () => (await attic())?.tokens, { timeout: 30_000, interval: 500 }).toBeGreaterThan(0);
    const paused = await run(['pause', '--for', '2h'], folder);
    expect([paused.status, paused.stdout]).toEqual([
      0,
      expect.stringMatching(/^Paused until \w+ \d\d:\d\d; sooner with heliotrope resume/),
    ]);
    await home.said('does not train: Paused by you until');
    await expect.poll(async () => (await attic())?.status, { timeout: 20_000, interval: 300 }).toBe('away');
    const away = (await attic())!;
    expect(away.standing).toMatchObject({
      reason: 'paused-by-owner',
      next: { what: expect.stringMatching(/^Paused by you until \d\d:\d\d\.$/) },
    });
    expect(away.standing.next!.atS! - Date.now() / 1000).toBeGreaterThan(7_000);
    const merges = (await status()).merges;
    await expect
      .poll(async () => (await status()).merges, { timeout: 30_000, interval: 500 })
      .toBeGreaterThan(merges + 1);
    const later = (await attic())!;
    expect(later.status).toBe('away');
    const resumed = await run(['resume'], folder);
    expect(resumed.stdout).toBe('The policy decides again.\n');
    await expect.poll(async () => (await attic())?.status, { timeout: 30_000, interval: 300 }).toBe('training');
    await expect
      .poll(async () => (await attic())?.tokens, { timeout: 30_000, interval: 500 })
      .toBeGreaterThan(later.tokens);
    for (const each of [home, lab, serving]) each.child.kill('SIGINT');
    await Promise.all([home.done, lab.done, serving.done]);
    // It has kept its books: 200 W while it trained, by site.yaml, and nothing while it was paused.
    const { totalWh, fromMs, toMs, quality } = reportOf(booksIn(path.join(folder, 'home')));
    expect(totalWh).toBeGreaterThan(0);
    expect(totalWh).toBeLessThan((200 * (toMs - fromMs)) / 3_600_000);
    expect(quality).toBe('assumed');
  });

  it('a run says what its home used, as the home’s own books say, also when its process was killed on the way', async () => {
    const folder = scratch();
    const site = siteFile(
      folder,
      `solar: { arrays: [{ peakW: 8000, tiltDeg: 30, azimuthDeg: 180 }] }
grid: { zone: DE, intensity: { kind: constant, gPerKWh: 380 }, tariff: { kind: constant, perKWh: 0.32 } }
machine: { idleW: 30, trainW: 150, embodiedKg: 300 }
policy: { mode: always }
`,
    );
    const file = tinyRun(folder, 'counted', { islands: 2, stop: { steps: 100_000 }, outer: { quorum: 1 } });
    const serving = start(['serve', file, '--port', '0'], folder);
    const link = /heliotrope join '(https?:[^']+)'/;
    await serving.said(link);
    const url = link.exec(serving.stderr())![1]!;
    const join = (name: string, more: readonly string[] = []) =>
      start(['join', url, '--name', name, '--threads', '1', '--state', path.join(folder, name), ...more], folder);
    const lab = join('lab');
    const first = join('attic', ['--site', site]);
    await serving.said('attic is training');
    const status = async (): Promise<Counted> =>
      JSON.parse((await run(['status', 'counted', '--json'], folder)).stdout) as Counted;
    const attic = async () => (await status()).islands.find(({ island }) => island === 'attic')!;
    await expect.poll(async () => (await attic()).tokens, { timeout: 30_000, interval: 500 }).toBeGreaterThan(0);
    first.child.kill('SIGKILL');
    await first.done;
    await serving.said('attic is gone');
    const trained = (await attic()).tokens;
    const home = join('attic', ['--site', site]);
    await expect.poll(async () => (await attic()).tokens, { timeout: 60_000, interval: 500 }).toBeGreaterThan(trained);
    // Until something is let out to the host, its work counts by its CPU seconds.
    expect((await attic()).energy).toMatchObject({ coveredS: 0, qualityWh: { measured: 0, modelled: 0 } });
    // The owner leaves in good order, and comes again: what he let out stays.
    home.child.kill('SIGINT');
    await home.done;
    const { energy: letOut } = await attic();
    expect(letOut.coveredS).toBeGreaterThan(0);
    const shown = await run(['status', 'counted'], folder);
    expect(shown.stdout).toMatch(/\n {2}\S+ k?Wh, \S+ gCO2e by source, \S+ gCO2e counterfactual \(.*assumed/);
    expect(shown.stdout).toMatch(/\n +\S+ k?Wh in [\d.]+ m?s: .*(sun|unallocated|grid)/);
    const again = join('attic', ['--site', site]);
    const tokens = (await attic()).tokens;
    await expect.poll(async () => (await attic()).tokens, { timeout: 60_000, interval: 500 }).toBeGreaterThan(tokens);
    serving.child.kill('SIGINT');
    await Promise.all([serving.done, again.done]);
    lab.child.kill('SIGINT');
    await lab.done;

    const of = (name: string): string => readFileSync(path.join(folder, 'runs/counted', name), 'utf8');
    const summary = JSON.parse(of('summary.json')) as Summary;
    const energy = summary.energy!;
    const share = summary.islandDetails.find(({ island }) => island === 'attic')!.energy!;
    // What the host counts is what the home’s own files say, to the last digit.
    const accounts = readdirSync(path.join(folder, 'home/site/energy/runs'));
    expect(accounts).toEqual([expect.stringMatching(/^counted-[0-9a-f]{8}-attic\.json$/)]);
    const { totals } = JSON.parse(
      readFileSync(path.join(folder, 'home/site/energy/runs', accounts[0]!), 'utf8'),
    ) as EnergyHandIn;
    expect(share).toMatchObject({
      coveredS: totals.coveredS,
      cost: totals.cost,
      embodiedG: totals.embodiedG,
      market: totals.market,
      refused: null,
    });
    expect(share.totalWh - share.estimatedWh).toBeCloseTo(drawnWh(totals), 9);
    for (const source of ['pv', 'battery', 'grid'] as const)
      expect(share.computeWh[source]).toBe(totals.computeWh[source]);
    // And those are the records of the time in which it took part: all that trained anything is in them.
    const records = booksIn(path.join(folder, 'home'));
    const trainedIn = reportOf(records.filter((record) => record.tokens! > 0));
    expect(totals.tokens).toBe(reportOf(records).tokens);
    expect(totals.tokens).toBeGreaterThan(0);
    expect(drawnWh(totals)).toBeGreaterThanOrEqual(trainedIn.totalWh - 1e-9);
    expect(drawnWh(totals)).toBeLessThanOrEqual(reportOf(records).totalWh + 1e-9);
    // 150 W by site.yaml.
    expect(drawnWh(totals)).toBeCloseTo((150 * totals.coveredS) / 3600, 6);
    // Sums of the run: laboratory, coordinator, and what the killed process took with it, are estimated.
    expect(energy).toMatchObject({ islands: 2, withBooks: 1, withEmbodied: 1 });
    expect(energy.estimatedWh).toBeGreaterThan(0);
    expect(energy.parts.coordinatorWh).toBeGreaterThan(0);
    expect(energy.totalWh).toBeCloseTo(drawnWh(totals) + energy.estimatedWh, 9);
    expect([summary.energyWh, summary.gCO2e]).toEqual([energy.totalWh, energy.attributionalG]);
    expect(summary.energyMethod).toMatch(/^books of 1 of 2 islands, as they claim; the rest, .*CPU seconds × 10 W/);
    // metrics.jsonl, the report and the model card say the same.
    const handedIn = of('metrics.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LiveRecord);
    expect(handedIn.findLast((record) => record.kind === 'energy')).toMatchObject({ island: 'attic', totals });
    expect(handedIn.filter((record) => record.kind === 'energy-refused')).toEqual([]);
    for (const name of ['report.html', 'README.md']) expect(of(name)).toContain('counterfactual, what training caused');
    expect(of('README.md')).toContain('for the making of 1 of 2 machines');
    expect(parse(of('README.md').split('---\n')[1]!)).toMatchObject({
      co2_eq_emissions: { emissions: Number(energy.attributionalG.toPrecision(4)) },
    });
  });

  it('obeys a signal from outside, and loses nothing', async () => {
    const folder = scratch();
    const site = siteFile(folder, 'signals: { port: 0 }\npolicy: { mode: always }\n');
    const file = tinyRun(folder, 'dimmed', { islands: 1, stop: { steps: 5_000 } });
    const serving = start(['serve', file, '--port', '0'], folder);
    const link = /heliotrope join '(https?:[^']+)'/;
    await serving.said(link);
    const home = start(
      [
        'join',
        link.exec(serving.stderr())![1]!,
        '--name',
        'attic',
        '--threads',
        '1',
        '--site',
        site,
        '--state',
        path.join(folder, 'attic'),
      ],
      folder,
    );
    await home.said(/signals are heard at http:\S+/);
    const url = /signals are heard at (http:\S+)/.exec(home.stderr())![1]!;
    await serving.said('attic is training');
    const status = async (): Promise<Status['islands'][number]> =>
      (JSON.parse((await run(['status', 'dimmed', '--json'], folder)).stdout) as Status).islands[0]!;
    await expect.poll(async () => (await status()).tokens, { timeout: 30_000, interval: 500 }).toBeGreaterThan(0);
    const answer = await fetch(`${url}/v1/limit`, {
      method: 'PUT',
      body: '{"limitW": 0, "from": "The grid operator"}',
    });
    expect(answer.status).toBe(200);
    await home.said('The grid operator allows 0 W');
    await expect.poll(async () => (await status()).status, { timeout: 15_000, interval: 300 }).toBe('away');
    const { tokens, standing } = await status();
    expect(standing.reason).toBe('grid-signal');
    // Everything that it trained is merged: the run has its tokens, and it takes no step more.
    await expect
      .poll(
        async () =>
          (JSON.parse((await run(['status', 'dimmed', '--json'], folder)).stdout) as { mergedTokens: number })
            .mergedTokens,
        { timeout: 15_000, interval: 300 },
      )
      .toBe(tokens);
    await fetch(`${url}/v1/limit`, { method: 'DELETE' });
    await expect.poll(async () => (await status()).tokens, { timeout: 30_000, interval: 500 }).toBeGreaterThan(tokens);
    for (const each of [home, serving]) each.child.kill('SIGINT');
    await Promise.all([home.done, serving.done]);
  });

  it('keeps to what the run plans: off a grid that will be cleaner, and back at its owner’s word', async () => {
    const folder = scratch();
    const startMs = Math.floor(Date.now() / 3_600_000) * 3_600_000;
    const rows = Array.from({ length: 48 }, (_, hour) => {
      const grams = hour < 3 ? 700 : 50;
      return `${new Date(startMs + hour * 3_600_000).toISOString()},${grams}`;
    });
    writeFileSync(path.join(folder, 'intensity.csv'), `time,gPerKWh\n${rows.join('\n')}\n`);
    const site = siteFile(
      folder,
      'grid: { intensity: { kind: file, path: intensity.csv, value: gPerKWh, unit: g/kWh } }\npolicy: { mode: always }\n',
    );
    const deadline = new Date(startMs + 40 * 3_600_000).toISOString();
    const file = tinyRun(folder, 'planned', {
      islands: 1,
      stop: { steps: 100_000, tokens: 20_000_000 },
      energy: { plan: { deadline } },
    });
    const serving = start(['serve', file, '--port', '0'], folder);
    const link = /heliotrope join '(https?:[^']+)'/;
    await serving.said(link);
    const home = start(
      [
        'join',
        link.exec(serving.stderr())![1]!,
        '--name',
        'attic',
        '--threads',
        '1',
        '--site',
        site,
        '--state',
        path.join(folder, 'attic'),
      ],
      folder,
    );
    const attic = async (): Promise<Status['islands'][number]> =>
      (JSON.parse((await run(['status', 'planned', '--json'], folder)).stdout) as Status).islands[0]!;
    // It trains until it is known how fast it is; then the plan is made.
    await home.said('The run plans power from its grid for');
    await expect.poll(async () => (await attic()).status, { timeout: 20_000, interval: 300 }).toBe('away');
    const { standing, tokens } = await attic();
    expect([standing.reason, standing.next!.atS]).toEqual(['planned-later', startMs / 1000 + 3 * 3600]);
    expect(tokens).toBeGreaterThan(0);
    const told = await run(['status', 'planned'], folder);
    expect(told.stdout).toMatch(/plan: .* of the next \d+ h by the sun/);
    expect((await run(['resume', '--for', '1h'], folder)).status).toBe(0);
    await expect.poll(async () => (await attic()).tokens, { timeout: 30_000, interval: 500 }).toBeGreaterThan(tokens);
    for (const each of [home, serving]) each.child.kill('SIGINT');
    await Promise.all([home.done, serving.done]);
  });

  it('stops when its month’s data are used, and stays so after a restart', async () => {
    const folder = scratch();
    const site = siteFile(folder, 'policy: { mode: always, monthlyDataGB: 0.0001 }\n');
    const file = tinyRun(folder, 'metered', { islands: 1, stop: { steps: 5_000 } });
    const serving = start(['serve', file, '--port', '0'], folder);
    const link = /heliotrope join '(https?:[^']+)'/;
    await serving.said(link);
    const url = link.exec(serving.stderr())![1]!;
    const join = () =>
      start(
        ['join', url, '--name', 'attic', '--threads', '1', '--site', site, '--state', path.join(folder, 'attic')],
        folder,
      );
    const used = 'It has used the 0.0001 GB that it may send and receive in a month.';
    const home = join();
    await home.said(used);
    const attic = async (): Promise<Status['islands'][number]> =>
      (JSON.parse((await run(['status', 'metered', '--json'], folder)).stdout) as Status).islands[0]!;
    await expect
      .poll(async () => (await attic()).standing.reason, { timeout: 20_000, interval: 300 })
      .toBe('data-budget');
    const { tokens } = await attic();
    home.child.kill('SIGINT');
    await home.done;
    const [data] = readdirSync(path.join(folder, 'home'), { recursive: true, encoding: 'utf8' }).filter((each) =>
      each.endsWith('data.json'),
    );
    const kept = JSON.parse(readFileSync(path.join(folder, 'home', data!), 'utf8')) as { bytes: number };
    expect(kept.bytes).toBeGreaterThan(100_000);
    const again = join();
    await again.said(used);
    await expect.poll(async () => (await attic()).status, { timeout: 20_000, interval: 300 }).toBe('away');
    expect((await attic()).tokens).toBe(tokens);
    for (const each of [again, serving]) each.child.kill('SIGINT');
    await Promise.all([again.done, serving.done]);
  });

  it('a plan without a goal is refused', async () => {
    const folder = scratch();
    const file = tinyRun(folder, 'aimless', { energy: { plan: { deadline: '2030-01-01T00:00:00Z' } } });
    const outcome = await run(['serve', file], folder);
    expect([outcome.status, outcome.stderr]).toEqual([2, expect.stringContaining('Set stop.tokens')]);
    const wrong = tinyRun(folder, 'wrong', { energy: { plan: { deadline: 'tomorrow' } } });
    const refused = await run(['serve', wrong], folder);
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('energy.plan.deadline')]);
  });

  it('a site file that is wrong is told with its line before anything is connected', async () => {
    const folder = scratch();
    const site = siteFile(folder, 'solar:\n  arrays: [{ peakW: 8, tiltDeg: 30, azimuthDeg: 180 }]\n');
    const outcome = await run(['join', 'http://127.0.0.1:9/join', '--site', site], folder);
    expect([outcome.status, outcome.stderr]).toEqual([2, expect.stringContaining('If you meant 8 kW, write 8000.')]);
    const none = await run(['join', 'http://127.0.0.1:9/join', '--site', 'nowhere.yaml'], folder);
    expect([none.status, none.stderr]).toEqual([2, expect.stringContaining('nowhere.yaml cannot be read (ENOENT)')]);
  });

  it.each([
    [['pause', '--for', '2h', '--until', '18:00'], 'Give one of them'],
    [['pause', '--until', 'tomorrow'], 'Give it like 18:00'],
    [['drain', '--for', '60d'], 'longer than 31 days'],
  ])('%j says what is wrong', async (args, message) => {
    const outcome = await run(args, scratch());
    expect([outcome.status, outcome.stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});
