import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { islandTotals } from '../../../src/coordinator/energy-state.ts';
import { islandOf } from '../../../src/coordinator/roster.ts';
import { initialState, react } from '../../../src/coordinator/run.ts';
import type { RunState } from '../../../src/coordinator/state.ts';
import { upgradeState } from '../../../src/coordinator/state-upgrade.ts';
import {
  type EnergyInterval,
  NO_TOTALS,
  readInterval,
  sumOfTotals,
  totalsOfRecord,
} from '../../../src/energy/accounting/index.ts';
import type { Decision, SiteNow } from '../../../src/energy/policy/index.ts';
import { siteSchema } from '../../../src/energy/site/site-schema.ts';
import { BooksReporter } from '../../../src/island/books-reporter.ts';
import { BooksFile } from '../../../src/island/node/owner/books-file.ts';
import { SiteBooks } from '../../../src/island/owner/site-books.ts';
import type { EnergyTotals } from '../../../src/protocol/energy.ts';
import { type IslandMessage, islandMessageSchema, parseMessage } from '../../../src/protocol/messages.ts';
import { standing } from '../../../src/protocol/standing.ts';
import { settingsFor } from '../../coordinator/world.ts';

const SITE = siteSchema.parse({
  name: 'attic',
  location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: 'Europe/Berlin' },
  solar: { arrays: [{ peakW: 8_000, tiltDeg: 30, azimuthDeg: 180 }] },
  battery: { capacityWh: 10_000, chargeW: 5_000, dischargeW: 5_000 },
});
const SETTINGS = settingsFor();
const START_MS = Date.UTC(2026, 5, 30, 23);
const MADE = { totalG: 300_000, lifeHours: 40_000 };

/** A home's island with real books on a disk, and a coordinator that it is connected to by a bad line. */
class HomeAndHost {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-books-'));
  nowMs = START_MS;
  #state: RunState = initialState(SETTINGS);
  #file!: BooksFile;
  #books!: SiteBooks;
  #reporter!: BooksReporter;
  #sent: IslandMessage[] = [];
  isConnected = false;

  constructor() {
    this.#start();
    this.connect();
  }

  /** A process of the island begins. */
  #start(): void {
    this.#file = new BooksFile(this.folder, MADE);
    this.#books = new SiteBooks(
      SITE,
      {
        measured: () => undefined,
        average: (atMs) => ({
          kind: 'average',
          scope: 'unstated',
          gPerKWh: 300 + (Math.floor(atMs / 3_600_000) % 3) * 100,
          zone: 'DE',
          origin: { quality: 'modelled', method: 'a test' },
        }),
        marginal: (atMs) =>
          Math.floor(atMs / 3_600_000) % 2 === 0
            ? undefined
            : { kind: 'marginal', gPerKWh: 700, zone: 'DE', origin: { quality: 'assumed', method: 'a test' } },
        tariff: () => ({ perKWh: -0.05, currency: 'EUR' }),
        sun: () => ({ quality: 'modelled', method: 'a test' }),
      },
      (record) => this.#file.keep(record),
    );
    this.#reporter = new BooksReporter(
      {
        begin: (run, island) => {
          this.#books.flush();
          this.#file.begin(run, island, this.nowMs);
        },
        trained: (tokens) => this.#books.trained(tokens),
        settle: (rest) => {
          this.#books.flush();
          this.#file.release(this.nowMs, rest);
        },
        end: () => this.#file.end(),
        get handIn() {
          return home.#file.handIn;
        },
      },
      (message) => this.#send(message),
    );
    const home = this;
    this.#reporter.begin('run-00000000', 'attic');
  }

  #send(message: IslandMessage): void {
    this.#sent.push(message);
    if (this.isConnected) this.#receive(message);
  }

  /** As it comes over the wire. */
  #receive(message: IslandMessage): void {
    const read = parseMessage(islandMessageSchema, JSON.stringify(message));
    if (read?.kind !== 'energy') throw new Error(`${read?.kind} came`);
    this.#take({ ...read, island: 'attic', host: 'process', atS: this.nowMs / 1000 });
  }

  #take(event: Parameters<typeof react>[2]): void {
    this.#state = react(SETTINGS, this.#state, event, 0).state;
  }

  live(minutes: number, powers: { readonly pvW: number; readonly loadW: number; readonly computeW: number }): void {
    for (let i = 0; i < minutes * 2; i++) {
      const [fromMs, toMs] = [this.nowMs, this.nowMs + 30_000];
      const site = { power: powers, isGridConnected: true } as unknown as SiteNow;
      const decision = { powerW: powers.computeW } as Decision;
      if (powers.computeW > 0) this.#reporter.trained(1_000);
      this.#books.add({ fromMs, toMs, site, decision });
      this.nowMs = toMs;
    }
    // A merge.
    this.#reporter.news();
  }

  /** The line is cut; the island does not know yet, and sends what is lost. */
  cut(): void {
    this.isConnected = false;
  }

  connect(): void {
    if (this.isConnected) this.#take({ kind: 'left', island: 'attic', reason: 'cut', because: 'connection-lost' });
    const known = islandOf(this.#state.islands, 'attic');
    if (known !== undefined && known.status !== 'gone')
      this.#take({ kind: 'left', island: 'attic', reason: 'cut', because: 'connection-lost' });
    this.#take({
      kind: 'joined',
      island: 'attic',
      key: 'k',
      invitation: null,
      holds: [],
      atS: this.nowMs / 1000,
    });
    this.#take({ kind: 'ready', island: 'attic', restored: null });
    this.isConnected = true;
    this.#reporter.connected();
  }

  /** Something that was sent before comes again. */
  repeat(which: number): void {
    const message = this.#sent[which % Math.max(1, this.#sent.length)];
    if (this.isConnected && message !== undefined) this.#receive(message);
  }

  rest(hours = 12): void {
    this.#reporter.rests({
      ...standing('away', 'no-sun', null),
      next: { what: 'later', atS: this.nowMs / 1000 + 3600 * hours },
    });
  }

  leave(): void {
    this.#reporter.leaves();
  }

  /** Ctrl-C, and the same command again. */
  restart(): void {
    this.#reporter.leaves();
    this.cut();
    this.#start();
  }

  remember(): void {
    this.#file.remember(this.#books.open);
  }

  /** Its process is killed; `remembered`: just after it wrote down what is under way. */
  kill(remembered: boolean): void {
    if (remembered) this.remember();
    this.cut();
    this.#start();
  }

  /** The coordinator is killed, and begins again from its snapshot. */
  killHost(): void {
    this.cut();
    this.#state = upgradeState(JSON.parse(JSON.stringify(this.#state)) as RunState);
    this.#take({ kind: 'recovered', trainedMs: 0 });
  }

  get records(): readonly EnergyInterval[] {
    return readdirSync(path.join(this.folder, 'energy'))
      .filter((file) => file.endsWith('.jsonl'))
      .toSorted()
      .flatMap((file) =>
        readFileSync(path.join(this.folder, 'energy', file), 'utf8')
          .trim()
          .split('\n'),
      )
      .map((line) => readInterval(line, 'the books'));
  }

  get books(): EnergyTotals {
    return this.records.reduce((sum, record) => sumOfTotals(sum, totalsOfRecord(record, MADE)), NO_TOTALS);
  }

  get host(): EnergyTotals {
    const energy = islandOf(this.#state.islands, 'attic')!.energy;
    return energy === undefined ? NO_TOTALS : islandTotals(energy);
  }

  get refused(): string | undefined {
    return islandOf(this.#state.islands, 'attic')!.energy?.refused?.reason;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const flat = (totals: unknown): readonly number[] =>
  typeof totals === 'number'
    ? [totals]
    : Object.values(totals as object).flatMap((each) => (each === null ? [] : flat(each)));

const expectSame = (a: EnergyTotals, b: EnergyTotals): void => {
  const [x, y] = [a, b].map(({ cost, ...rest }) =>
    flat({ ...rest, cost: cost.map(({ wh, amount }) => ({ wh, amount })) }),
  );
  expect(x).toHaveLength(y!.length);
  for (const [i, value] of x!.entries())
    expect(Math.abs(value - y![i]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(value)));
};

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('live' as const),
      minutes: fc.integer({ min: 1, max: 50 }),
      powers: fc.record({ pvW: fc.nat(4000), loadW: fc.nat(2000), computeW: fc.constantFrom(0, 150, 400) }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), which: fc.nat(30) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('cut', 'connect', 'rest', 'restart', 'killHost') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), remembered: fc.boolean() }) },
);

describe('what a home hands in', () => {
  it('is what its books say, whatever is lost, sent twice, cut, killed or begun again', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const run = new HomeAndHost();
        try {
          for (const each of steps) {
            if ('minutes' in each) run.live(each.minutes, each.powers);
            else if ('which' in each) run.repeat(each.which);
            else if ('remembered' in each) run.kill(each.remembered);
            else run[each.do as 'cut' | 'connect' | 'rest' | 'restart' | 'killHost']();
            expect(run.host.coveredS).toBeLessThanOrEqual(run.books.coveredS + 1e-6);
          }
          run.connect();
          run.leave();
          expect(run.refused).toBeUndefined();
          expectSame(run.host, run.books);
          expect(run.books.tokens).toBe(run.records.reduce((sum, { tokens }) => sum + tokens!, 0));
        } finally {
          run.remove();
        }
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it('loses nothing of a process that is killed but what it had not written down', () => {
    const run = new HomeAndHost();
    run.live(40, { pvW: 0, loadW: 300, computeW: 400 });
    run.kill(true);
    run.connect();
    run.leave();
    // Two whole quarters, and ten minutes that were under way.
    expect(run.records.map(({ startMs, endMs }) => (endMs - startMs) / 60_000)).toEqual([15, 15, 10]);
    expect(run.host).toMatchObject({ coveredS: 2400, tokens: 80_000 });
    expect(run.host.computeWh.grid + run.host.computeWh.battery).toBeCloseTo((400 * 40) / 60);
    run.remove();
  });

  it('is told of the sums alone: nothing of the household, of times or of devices', () => {
    const run = new HomeAndHost();
    run.live(40, { pvW: 2500, loadW: 300, computeW: 400 });
    const text = readFileSync(path.join(run.folder, 'energy/runs/run-00000000-attic.json'), 'utf8');
    const { totals } = JSON.parse(text) as { readonly totals: object };
    expect(Object.keys(totals).toSorted()).toEqual([
      'attributionalG',
      'computeWh',
      'cost',
      'counterfactual',
      'coveredS',
      'drawingS',
      'embodiedG',
      'marginal',
      'market',
      'qualityWh',
      'tokens',
    ]);
    run.remove();
  });

  it('hears of it four times a day at most, before a long rest, and at the end: no day of the household can be read from it', () => {
    const run = new HomeAndHost();
    const heard: number[] = [];
    for (let quarter = 0; quarter < 2 * 96; quarter++) {
      run.live(15, { pvW: 2500, loadW: 300, computeW: quarter % 4 === 0 ? 0 : 400 });
      // A cloud, and a process that is killed, tell no more.
      if (quarter % 4 === 1) run.rest(0.5);
      if (quarter % 7 === 3) {
        run.kill(true);
        run.connect();
      }
      if (heard.at(-1) !== run.host.coveredS) heard.push(run.host.coveredS);
    }
    expect(heard.length).toBeLessThanOrEqual(1 + 2 * 4);
    for (const [i, coveredS] of heard.entries())
      if (i > 0) expect(coveredS - heard[i - 1]!).toBeGreaterThanOrEqual(6 * 3600 - 900);
    const before = run.host.coveredS;
    run.live(30, { pvW: 0, loadW: 300, computeW: 400 });
    run.rest(12);
    expect(run.host.coveredS).toBe(run.books.coveredS);
    expect(run.host.coveredS).toBeGreaterThan(before);
    run.remove();
  });

  it('begins another account where its file was damaged, and the host keeps what it has', () => {
    const run = new HomeAndHost();
    run.live(30, { pvW: 0, loadW: 300, computeW: 400 });
    run.rest();
    writeFileSync(path.join(run.folder, 'energy/runs/run-00000000-attic.json'), '{"version": 1');
    run.kill(false);
    run.connect();
    run.live(30, { pvW: 0, loadW: 300, computeW: 400 });
    run.leave();
    expectSame(run.host, run.books);
    run.remove();
  });

  it.each(['before it was counted', 'before it was written', 'in the middle of its line', 'after it was written'])(
    'a record whose process was killed %s is counted and written once',
    (when) => {
      const run = new HomeAndHost();
      run.live(20, { pvW: 0, loadW: 300, computeW: 400 });
      const month = path.join(run.folder, 'energy/2026-06.jsonl');
      const account = path.join(run.folder, 'energy/runs/run-00000000-attic.json');
      const open = path.join(run.folder, 'energy/open.json');
      const [monthBefore, accountBefore] = [month, account].map((file) => readFileSync(file, 'utf8'));
      run.remember();
      const remembered = readFileSync(open, 'utf8');
      run.rest(1);
      expect(run.records).toHaveLength(2);
      // The files as they were at that moment.
      writeFileSync(open, remembered);
      if (when === 'before it was counted') writeFileSync(account, accountBefore!);
      if (when === 'in the middle of its line') writeFileSync(month, readFileSync(month, 'utf8').slice(0, -20));
      else if (when !== 'after it was written') writeFileSync(month, monthBefore!);
      run.kill(false);
      run.connect();
      run.leave();
      const whole = readFileSync(month, 'utf8')
        .split('\n')
        .filter((line) => line.endsWith('}'));
      expect(whole.map((line) => (JSON.parse(line) as EnergyInterval).endMs - START_MS)).toEqual([900_000, 1_200_000]);
      expect(run.host).toMatchObject({ coveredS: 1200, tokens: 40_000 });
      run.remove();
    },
  );

  it('what cannot be read of the record under way is left out', () => {
    const run = new HomeAndHost();
    run.live(10, { pvW: 0, loadW: 300, computeW: 400 });
    run.kill(true);
    writeFileSync(path.join(run.folder, 'energy/open.json'), '{"account": null, "record": {"version": 9}}');
    run.kill(false);
    run.connect();
    run.leave();
    expect(run.host.coveredS).toBe(600);
    run.remove();
  });
});
