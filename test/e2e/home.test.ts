import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type EnergyInterval, readInterval, reportOf } from '../../src/energy/accounting/index.ts';
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
