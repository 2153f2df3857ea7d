import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { ServeLine, Summary } from '../src/cli/records.ts';
import { type Figure, publish } from './figures.ts';
import { type Link, ThrottledLink, WINDOW_MS } from './throttle.ts';

/**
 * Share of time that islands compute when each is behind a thin link of its own: real processes, the real protocol, a throttle
 * between them. What is measured is the islands' own timeline (`heliotrope join --trace`).
 */

const ROOT = path.resolve(import.meta.dirname, '..');
const MAIN = path.join(ROOT, 'src/cli/main.ts');
const LINK: Link = { bitsPerS: 20e6, roundTripMs: 80, loss: 0.01 };
const ISLANDS = 2;

const overlapped = {
  strategy: 'decoupled',
  innerSteps: 40,
  fragments: 4,
  overlapSteps: 25,
  upCodec: 'int4',
  downCodec: 'int4',
};
const SETUPS = [
  { id: 'decoupled', steps: 240, outer: { ...overlapped, quorum: 2, graceS: 5 } },
  {
    id: 'streaming',
    steps: 240,
    outer: { ...overlapped, strategy: 'streaming', fragmentation: 'balanced', upCodec: 'e3m0' },
  },
  {
    id: 'one-step-delay',
    steps: 240,
    outer: {
      strategy: 'dilocox',
      innerSteps: 40,
      rate: 0.5,
      momentum: 0,
      overlapSteps: 30,
      upCodec: 'int4',
      downCodec: 'int4',
    },
  },
  { id: 'rounds', steps: 240, outer: { innerSteps: 40, upCodec: 'int4', downCodec: 'int4' } },
  // What data-parallel exchanges: float32 up and down in every step, and nobody goes on before it is there.
  { id: 'every-step', steps: 24, outer: { strategy: 'fedavg', innerSteps: 1 } },
] as const;

export async function link({
  short,
  json,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
}): Promise<boolean> {
  const startedAt = new Date();
  const figures: Figure[] = [];
  for (const setup of SETUPS) {
    const steps = short ? Math.max(8, setup.steps / 3) : setup.steps;
    console.error(`${setup.id}: ${steps} steps on ${ISLANDS} islands …`);
    const { share, up, summary } = await measure({ ...setup, steps });
    const target = ['every-step', 'rounds'].includes(setup.id) ? null : 0.97;
    const seconds = (up.length * WINDOW_MS) / 1000;
    const total = up.reduce((sum, bytes) => sum + bytes, 0);
    const megabits = (bytes: number, s: number): number => (8 * bytes) / s / 1e6;
    const id = `link.${setup.id}`;
    figures.push(
      {
        id: `${id}.computing`,
        value: share,
        unit: 'of the time',
        target: target === null ? null : `≥ ${target}`,
        met: target === null ? null : share >= target,
        note: `20 Mbit/s, 80 ms, 1 % loss; validation loss ${summary.validationLoss.after?.toFixed(3)}`,
      },
      { id: `${id}.mean-up`, value: megabits(total, seconds), unit: 'Mbit/s', target: null, met: null, note: '' },
      {
        id: `${id}.peak-up`,
        value: megabits(Math.max(...up), WINDOW_MS / 1000),
        unit: 'Mbit/s',
        target: null,
        met: null,
        note: `in ${WINDOW_MS} ms`,
      },
    );
  }
  publish('link', startedAt, figures, json);
  return true;
}

async function measure({ steps, outer }: { readonly steps: number; readonly outer: object }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-link-'));
  const file = path.join(folder, 'link.yaml');
  writeFileSync(
    file,
    JSON.stringify({
      data: path.join(ROOT, 'data/austen/*.txt'),
      model: { layers: 5, width: 128, heads: 4 },
      islands: ISLANDS,
      inner: { rate: 0.03 },
      outer,
      stop: { steps },
      evaluation: { everyMerges: 1_000, tokens: 4_096 },
      checkpoints: { everyMerges: 1_000 },
    }),
  );
  const serve = run(['serve', file, '--jsonl', '--port', '0', '--runs', path.join(folder, 'runs')]);
  const links: ThrottledLink[] = [];
  const islands: ReturnType<typeof run>[] = [];
  const exits: Promise<unknown>[] = [];
  let summary: Summary | undefined;
  try {
    for await (const text of createInterface({ input: serve.stdout! })) {
      const line = JSON.parse(text) as ServeLine;
      if (line.kind === 'result') summary = line.summary;
      if (line.kind === 'error') throw new Error(`${line.code}: ${line.what}`);
      if (line.kind !== 'serving') continue;
      for (let m = 1; m <= ISLANDS; m++) {
        const url = new URL(line.invitation);
        const throttled = await ThrottledLink.open(LINK, { host: url.hostname, port: Number(url.port) });
        links.push(throttled);
        url.port = String(throttled.port);
        const state = path.join(folder, `island-${m}`);
        const more = ['--threads', '1', '--name', `island-${m}`, '--state', state, '--quiet'];
        const island = run(['join', url.href, ...more, '--trace', path.join(folder, `trace-${m}.json`)]);
        exits.push(new Promise((resolve) => island.once('exit', resolve)));
        islands.push(island);
      }
    }
    await Promise.all(exits);
    const shares = islands.map((_, m) => computingShare(path.join(folder, `trace-${m + 1}.json`)));
    if (summary === undefined) throw new Error('the run has no result');
    return { share: Math.min(...shares), up: links[0]!.up.windows, summary };
  } finally {
    for (const child of [serve, ...islands]) child.kill();
    for (const throttled of links) throttled.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const run = (args: readonly string[]) =>
  spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

/** Time in steps, from the beginning of the first to the end of the last. The wait for the others to end is not the link's. */
function computingShare(file: string): number {
  const text = readFileSync(file, 'utf8').replace(/,\s*$/, '\n]');
  const spans = (JSON.parse(text) as readonly { ph: string; name: string; ts: number; dur: number }[]).filter(
    ({ ph, name }) => ph === 'X' && name === 'step',
  );
  const begin = Math.min(...spans.map(({ ts }) => ts));
  const end = Math.max(...spans.map(({ ts, dur }) => ts + dur));
  return spans.reduce((sum, { dur }) => sum + dur, 0) / (end - begin);
}
