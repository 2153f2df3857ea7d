import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { keptIdentity } from '../../src/cli/identity-file.ts';
import type { ServeLine } from '../../src/cli/records.ts';
import { readSiteFile } from '../../src/cli/site-file.ts';
import type { CoordinatorConnection, OwnerRules } from '../../src/island/host.ts';
import { openSite } from '../../src/island/node/owner/open-site.ts';
import { runIsland } from '../../src/island/node/run-island.ts';
import { readLink } from '../../src/protocol/invitation.ts';
import { RUN_PATH } from '../../src/protocol/messages.ts';
import { seeded } from '../../test/energy/schedule/islands.ts';
import { type Figure, median } from '../figures.ts';
import type { Section } from './section.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const EVENTS = 200;
const SEED = 11;
const MOST_S = 30;
/** A whole step takes a tenth of a second, more or less, and each merge comes after so many. */
const RUN_FILE = {
  data: path.join(ROOT, 'data/austen/*.txt'),
  model: { layers: 4, width: 96, heads: 4 },
  islands: 1,
  outer: { innerSteps: 20, fragments: 1, quorum: 1 },
  stop: { steps: 1_000_000 },
  evaluation: { everyMerges: 100_000, tokens: 4_096 },
  checkpoints: { everyMerges: 100_000 },
};
const SITE = `location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }
signals: { port: 0 }
policy: { mode: always }
`;
/**
 * Between the moment at which it trains again and the event, and how long the event lasts: nobody announces either. Of one that is over before what was
 * handed in is merged, what is trained until then is in no merge.
 */
const TRAINS_MS = 300;
const RESTS_MS = [400, 1_200] as const;

/**
 * A grid operator's events to 0 W, unannounced: from the request at the island's HTTP switch to the end of the step that it was taking. A real coordinator
 * in a process of its own, and in this one a real island with its site, as `join --site` makes both.
 */
export const signals: Section = {
  id: 'signals',
  figures: async ({ short }) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-bench-signals-'));
    const host = new Host(folder);
    try {
      return await measure(folder, host, short ? 20 : EVENTS);
    } finally {
      host.child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function measure(folder: string, host: Host, events: number): Promise<readonly Figure[]> {
  const { addresses, secure, fingerprint, invitation } = readLink(await host.link);
  const siteFile = path.join(folder, 'site.yaml');
  writeFileSync(siteFile, SITE);
  let port = '';
  let trained = '';
  const log = (sentence: string): void => {
    port = /signals are heard at (\S+)/.exec(sentence)?.[1] ?? port;
    trained = /it trained .* on ([\d,]+) tokens/.exec(sentence)?.[1] ?? trained;
  };
  const site = await openSite({ site: readSiteFile(siteFile), folder: path.join(folder, 'home'), say: log });
  const happens = new EventEmitter();
  const leaving = new AbortController();
  const trace = path.join(folder, 'trace.json');
  const over = runIsland({
    rules: watchedRules(site.governor, happens),
    books: site.books,
    onBytes: site.onBytes,
    routes: addresses.map((address) => ({
      url: `${secure ? 'wss' : 'ws'}://${address}${RUN_PATH}`,
      fingerprint,
      localAddress: undefined,
    })),
    name: 'attic',
    identity: await keptIdentity(path.join(folder, 'island.key')),
    invitation,
    software: 'heliotrope bench',
    threads: 1,
    device: 'cpu',
    stateFolder: () => path.join(folder, 'state'),
    data: { kind: 'inside', folders: [path.join(ROOT, 'data/austen')] },
    evaluates: true,
    patienceS: 60,
    log,
    traceFile: trace,
    signal: leaving.signal,
    over: (inner) => watchedConnection(inner, happens),
  }).finally(() => site.close());
  const random = seeded(SEED);
  const asked: Event[] = [];
  for (let event = 0; event < events; event++) {
    await once(happens, 'step');
    await sleep(TRAINS_MS * random());
    const stops = once(happens, 'away');
    const sleeps = once(happens, 'sleep');
    const askedMs = Date.now();
    await limit(port, 'PUT');
    // An island that is just connecting again has nothing to say.
    await Promise.race([stops, sleep(MOST_S * 1000)]);
    // The last event stays until everything is handed in.
    if (event === events - 1) await sleeps;
    else await sleep(RESTS_MS[0] + (RESTS_MS[1] - RESTS_MS[0]) * random());
    asked.push({ askedMs, liftedMs: Date.now() });
    if (event < events - 1) await limit(port, 'DELETE');
  }
  leaving.abort();
  await over;
  const tokens = Number(trained.replaceAll(',', ''));
  const steps = stepsOf(trace);
  return figuresOf(stopTimes(steps, asked), steps, tokens, await host.merged(tokens));
}

async function limit(url: string, method: 'PUT' | 'DELETE'): Promise<void> {
  const body = method === 'PUT' ? { body: '{"limitW": 0, "from": "The grid operator"}' } : {};
  const { status } = await fetch(`${url}/v1/limit`, { method, ...body });
  if (status !== 200) throw new Error(`${method} of the limit was answered with ${status}.`);
}

/** The island reads how fast it may train at the end of each step. */
function watchedRules(rules: OwnerRules, happens: EventEmitter): OwnerRules {
  return {
    get rest() {
      return rules.rest;
    },
    get dutyShare() {
      happens.emit('step');
      return rules.dutyShare;
    },
    watch: (changed) => rules.watch(changed),
  };
}

/** It says that it is away once its step is done, and sleeps once all that it trained is merged. */
function watchedConnection(inner: CoordinatorConnection, happens: EventEmitter): CoordinatorConnection {
  return {
    send(message) {
      if (message.kind === 'standing' && message.state === 'away') happens.emit('away');
      inner.send(message);
    },
    transfer: (packed, from) => inner.transfer(packed, from),
    next: (timeoutMs) => inner.next(timeoutMs),
    wake: () => inner.wake(),
    sleep() {
      happens.emit('sleep');
      inner.sleep();
    },
    awaken: () => inner.awaken(),
    get beginnings() {
      return inner.beginnings;
    },
    close: () => inner.close(),
  };
}

/** `heliotrope serve` in a process of its own. */
class Host {
  readonly child: ChildProcess;
  readonly link: Promise<string>;
  #merged = 0;

  constructor(folder: string) {
    const file = path.join(folder, 'signals.yaml');
    writeFileSync(file, JSON.stringify(RUN_FILE));
    const main = path.join(ROOT, 'src/cli/main.ts');
    const args = ['serve', file, '--jsonl', '--port', '0', '--runs', path.join(folder, 'runs')];
    this.child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.link = promise;
    this.child.once('exit', (status) => reject(new Error(`The coordinator ended with status ${status}.`)));
    createInterface({ input: this.child.stdout! }).on('line', (text) => {
      const line = JSON.parse(text) as ServeLine;
      if (line.kind === 'serving') resolve(line.invitation);
      if (line.kind === 'record' && line.record.kind === 'merge')
        for (const { tokens } of line.record.contributions) this.#merged += tokens;
    });
  }

  /** Tokens that are in the model, when all that were trained are there or ten seconds are over. */
  async merged(trained: number): Promise<number> {
    for (let i = 0; i < 100 && this.#merged < trained; i++) await sleep(100);
    return this.#merged;
  }
}

/** From the request to the one that lifts it, by the wall's clock. */
interface Event {
  readonly askedMs: number;
  readonly liftedMs: number;
}

interface Step {
  readonly beginMs: number;
  readonly endMs: number;
}

function stepsOf(trace: string): readonly Step[] {
  const spans = JSON.parse(readFileSync(trace, 'utf8').replace(/,\s*$/, '\n]')) as readonly {
    readonly ph: string;
    readonly name: string;
    readonly ts: number;
    readonly dur: number;
  }[];
  return spans
    .filter(({ ph, name }) => ph === 'X' && name === 'step')
    .map(({ ts, dur }) => ({ beginMs: ts / 1000, endMs: (ts + dur) / 1000 }))
    .sort((a, b) => a.beginMs - b.beginMs);
}

/** Seconds from each request to the end of the last step before the next one that begins after it was taken back; 0 where no step was under way. */
function stopTimes(steps: readonly Step[], events: readonly Event[]): readonly number[] {
  return events.map(({ askedMs, liftedMs }) => {
    const under = steps.filter(({ beginMs, endMs }) => endMs > askedMs && beginMs < liftedMs);
    return Math.max(0, ...under.map(({ endMs }) => (endMs - askedMs) / 1000));
  });
}

function figuresOf(
  stopsS: readonly number[],
  steps: readonly Step[],
  trained: number,
  merged: number,
): readonly Figure[] {
  const sorted = stopsS.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
  const stepsMs = steps.map(({ beginMs, endMs }) => endMs - beginMs).toSorted((a, b) => a - b);
  const figure = (id: string, value: number, unit: string, note: string, more: Partial<Figure> = {}): Figure => ({
    id: `energy.signals.${id}`,
    value,
    unit,
    target: null,
    met: null,
    note,
    ...more,
  });
  const during = stopsS.filter((s) => s > 0).length;
  return [
    figure(
      'stop.median',
      at(0.5),
      's',
      `from the request to the end of the step; ${stopsS.length} events, seed ${SEED}`,
    ),
    figure('stop.p99', at(0.99), 's', `99th percentile; ${during} of the events came while a step was computed`, {
      target: `at most ${MOST_S} s`,
      met: at(0.99) <= MOST_S,
    }),
    figure('stop.longest', at(1), 's', 'the longest'),
    figure(
      'step',
      median(stepsMs) / 1000,
      's',
      `a step of this training, median of ${steps.length}; it is not broken off`,
    ),
    figure('lost', trained - merged, 'tokens', `of ${trained} that were trained`, {
      target: '0 tokens',
      met: trained === merged && trained > 0,
    }),
  ];
}
