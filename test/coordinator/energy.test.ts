import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { islandTotals } from '../../src/coordinator/energy-state.ts';
import type { Effect, Event } from '../../src/coordinator/events.ts';
import { islandOf } from '../../src/coordinator/roster.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { RunState } from '../../src/coordinator/state.ts';
import { upgradeState } from '../../src/coordinator/state-upgrade.ts';
import { drawnWh, NO_TOTALS } from '../../src/energy/accounting/index.ts';
import type { EnergyTotals } from '../../src/protocol/energy.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { ADMIN, type Hosted, hosted, Puppet } from './hosted.ts';
import { settingsFor } from './world.ts';

const SETTINGS = settingsFor();
const SINCE_S = 1_800_000_000;

/** An hour at 200 W, half from the panels. */
const HOUR: EnergyTotals = {
  ...NO_TOTALS,
  coveredS: 3600,
  drawingS: 3600,
  tokens: 50_000,
  computeWh: { pv: 100, battery: 0, grid: 100, unallocated: 0 },
  qualityWh: { measured: 150, modelled: 0, assumed: 50 },
  attributionalG: 44.1,
  counterfactual: {
    ...NO_TOTALS.counterfactual,
    extraImportWh: 100,
    fromBatteryWh: 100,
    averageG: 40,
    storedDebtWh: 90,
  },
  marginal: { extraImportWh: 100, g: 60, lostExportG: 0 },
  cost: [{ currency: 'EUR', wh: 100, amount: 0.03 }],
  embodiedG: 9,
};
const times = (n: number, t: EnergyTotals = HOUR): EnergyTotals =>
  JSON.parse(JSON.stringify(t), (_, value) => (typeof value === 'number' ? n * value : value)) as EnergyTotals;

/** A run that one island has joined. */
class Run {
  state: RunState = initialState(SETTINGS);
  effects: Effect[] = [];

  constructor() {
    const holds: [] = [];
    this.take({ kind: 'joined', island: 'attic', key: 'k', invitation: null, holds, atS: SINCE_S });
    this.take({ kind: 'ready', island: 'attic', restored: null });
  }

  take(event: Event): void {
    const { state, effects } = react(SETTINGS, this.state, event, 0);
    this.state = state;
    this.effects.push(...effects);
  }

  claim(totals: EnergyTotals, hours = 1000, account = 'aaaaaaaa', host: 'process' | 'tab' | 'cluster' = 'process') {
    this.effects = [];
    this.take({ kind: 'energy', island: 'attic', account, totals, host, atS: SINCE_S + 3600 * hours });
    return this.energy;
  }

  get energy() {
    return islandOf(this.state.islands, 'attic')!.energy;
  }

  get wh(): number {
    return this.energy === undefined ? 0 : drawnWh(islandTotals(this.energy));
  }

  get records() {
    return this.effects.flatMap((effect) => (effect.kind === 'record' ? [effect.record] : []));
  }
}

describe('what an island claims of its energy', () => {
  it('is recorded, and what is sent again changes nothing', () => {
    const run = new Run();
    run.claim(HOUR);
    expect(run.records).toEqual([{ kind: 'energy', island: 'attic', totals: HOUR }]);
    const { state } = run;
    run.claim(HOUR);
    expect([run.state, run.effects]).toEqual([state, []]);
    expect(run.state).toBe(state);
    run.claim(times(3));
    expect(run.wh).toBe(600);
  });

  it('goes on in another account where its files were lost', () => {
    const run = new Run();
    run.claim(times(2));
    run.claim(HOUR, 1000, 'bbbbbbbb');
    expect(run.wh).toBe(600);
    // What the battery lacks is what it lacks now: no sum.
    expect(islandTotals(run.energy!)).toMatchObject({
      tokens: 150_000,
      cost: [{ currency: 'EUR', wh: 300, amount: expect.closeTo(0.09) }],
      counterfactual: { storedDebtWh: 90 },
      embodiedG: 27,
    });
  });

  it('counts as the last words of an island when the run is over', () => {
    const run = new Run();
    run.take({ kind: 'stop-requested' });
    run.take({ kind: 'tick' });
    expect(run.state.phase).toBe('interrupted');
    run.claim(HOUR);
    expect(run.wh).toBe(200);
  });

  it('stays when it leaves, comes back, and when the coordinator begins again from its snapshot', () => {
    const run = new Run();
    run.claim(HOUR);
    run.take({ kind: 'left', island: 'attic', reason: 'cut', because: 'connection-lost' });
    run.state = upgradeState(JSON.parse(JSON.stringify(run.state)) as RunState);
    run.take({ kind: 'recovered', trainedMs: 0 });
    run.take({ kind: 'joined', island: 'attic', key: 'k', invitation: null, holds: [], atS: SINCE_S + 1e6 });
    expect(run.wh).toBe(200);
    // Its time counts from when it first came.
    run.claim(times(200));
    expect(run.energy!.refused).toBeUndefined();
  });
});

describe('a claim that cannot be is refused by a rule, and the sums before it stay', () => {
  it.each<[string, EnergyTotals, object?]>([
    ['backwards', { ...HOUR, computeWh: { ...HOUR.computeWh, pv: 99, unallocated: 1 } }],
    ['backwards', { ...HOUR, coveredS: 3599 }],
    ['backwards', { ...HOUR, tokens: 49_999 }],
    ['backwards', { ...HOUR, attributionalG: 40 }],
    ['backwards', { ...HOUR, embodiedG: null }],
    ['power', { ...times(200), coveredS: 7200, drawingS: 7200 }],
    // Sixty hours since it came, and a claim of a hundred.
    ['time', times(100), { hours: 60 }],
    ['tokens', { ...times(2), tokens: 1e15 }],
    ['tokens', { ...times(2), drawingS: 9000 }],
    ['parts', { ...times(2), qualityWh: { measured: 500, modelled: 0, assumed: 100 } }],
    ['parts', { ...times(2), counterfactual: { ...times(2).counterfactual, fromBatteryWh: 0 } }],
    ['parts', { ...times(2), market: { wh: 500, g: 0 } }],
    ['parts', { ...times(2), cost: [...times(2).cost, { currency: 'EUR', wh: 0, amount: 0 }] }],
    ['parts', { ...times(2), cost: [{ currency: 'EUR', wh: 300, amount: 0 }] }],
    ['emissions', { ...times(2), attributionalG: 1e6 }],
    ['emissions', { ...times(2), market: { wh: 400, g: 1e6 } }],
    ['emissions', { ...times(2), counterfactual: { ...times(2).counterfactual, averageG: -1e9 } }],
    ['emissions', { ...times(2), marginal: { extraImportWh: 200, g: 1e9, lostExportG: 0 } }],
    ['emissions', { ...times(2), cost: [{ currency: 'EUR', wh: 200, amount: 1e9 }] }],
    ['emissions', { ...times(2), embodiedG: 1e9 }],
  ])('%s %#', (rule, totals, { hours = 1000 }: { hours?: number } = {}) => {
    const run = new Run();
    run.claim(HOUR);
    const before = run.energy!.accounts;
    run.claim(totals, hours);
    expect(run.energy).toEqual({ accounts: before, refused: { rule, reason: expect.any(String) } });
    expect(run.records).toEqual([
      { kind: 'energy-refused', island: 'attic', rule, reason: run.energy!.refused!.reason },
    ]);
    expect(run.effects).toContainEqual({
      kind: 'send',
      island: 'attic',
      message: expect.objectContaining({ kind: 'standing', reason: 'energy-refused' }),
    });
    // It is told once, and the next claim that can be is taken.
    run.claim(totals, hours);
    expect(run.effects).toEqual([]);
    run.claim(times(2));
    expect([run.wh, run.energy!.refused]).toEqual([400, undefined]);
  });

  it('what a machine can draw is another thing for a browser’s tab than for a cluster', () => {
    const megawatt = times(5000);
    const claim: EnergyTotals = { ...megawatt, coveredS: 3600, drawingS: 3600, tokens: 1, embodiedG: null };
    for (const [host, wh] of [
      ['tab', 0],
      ['process', 0],
      ['cluster', 1e6],
    ] as const) {
      const run = new Run();
      run.claim(claim, 1000, 'aaaaaaaa', host);
      expect([host, run.wh]).toEqual([host, wh]);
    }
  });

  it('an island cannot count the same twice by ever new accounts', () => {
    const run = new Run();
    for (let i = 0; i < 30; i++) run.claim(times(0.1), 1000, `account${i}x`);
    expect(run.energy!.accounts).toHaveLength(8);
    expect(run.energy!.refused!.rule).toBe('accounts');
    // Nor by many that together are longer than it has been there.
    const other = new Run();
    for (let i = 0; i < 8; i++) other.claim(times(10), 30, `account${i}x`);
    expect([other.wh, other.energy!.refused!.rule]).toEqual([200 * 10 * 3, 'time']);
  });

  it('whatever it claims, in whatever order, the sums never shrink, and power and time stay within what can be', () => {
    const number = fc.oneof(fc.nat(100), fc.constantFrom(0, 1, 3600, 1e6, 1e12));
    const totals = fc
      .record({
        n: fc.double({ min: 0, max: 300, noNaN: true }),
        key: fc.nat(12),
        value: number,
        isHonest: fc.boolean(),
      })
      .map(({ n, key, value, isHonest }): EnergyTotals => {
        const t = { ...times(n), tokens: Math.round(n) };
        if (isHonest) return t;
        return [
          { ...t, coveredS: value },
          { ...t, drawingS: value },
          { ...t, tokens: value },
          ...(['pv', 'battery', 'grid', 'unallocated'] as const).map((source) => ({
            ...t,
            computeWh: { ...t.computeWh, [source]: value },
          })),
          { ...t, qualityWh: { ...t.qualityWh, measured: value } },
          { ...t, attributionalG: value },
          { ...t, counterfactual: { ...t.counterfactual, averageG: -value } },
          { ...t, counterfactual: { ...t.counterfactual, extraImportWh: value } },
          { ...t, market: { wh: value, g: value } },
          { ...t, embodiedG: value },
        ][key]!;
      });
    fc.assert(
      fc.property(
        fc.array(fc.record({ totals, account: fc.constantFrom('aaaaaaaa', 'bbbbbbbb', 'cccccccc') }), {
          maxLength: 40,
        }),
        (claims) => {
          const run = new Run();
          let hours = 0;
          for (const { totals: claimed, account } of claims) {
            const before = run.wh;
            hours += 10;
            run.claim(claimed, hours, account);
            expect(run.wh).toBeGreaterThanOrEqual(before);
            expect(run.wh).toBeLessThanOrEqual(20_000 * 1.05 * (hours * 1.05 + 0.25));
          }
        },
      ),
    );
  });
});

describe('a message that no honest island sends', () => {
  let run: Hosted | undefined;
  afterEach(() => run?.close());

  it.each([
    ['negative energy', { computeWh: { pv: -1, battery: 0, grid: 0, unallocated: 0 } }],
    ['no number', { attributionalG: null }],
    ['half a token', { tokens: 0.5 }],
    ['more than a sum can hold', { coveredS: 1e300 }],
    ['many currencies', { cost: Array.from({ length: 9 }, () => ({ currency: 'EUR', wh: 0, amount: 0 })) }],
  ])('%s ends its connection, and nothing of it is used', async (_what, change) => {
    run = await hosted();
    const island = new Puppet(run.server.port, 'attic', await newIdentity());
    await island.untilPulled(run.invite());
    island.say({ kind: 'energy', account: 'aaaaaaaa', totals: { ...NO_TOTALS, ...change } });
    expect(await island.hears('refused')).toMatchObject({ code: 'HELIO-4004' });
    expect(islandOf(run.server.state.islands, 'attic')!.energy).toBeUndefined();
    island.close();
  });

  it('what an honest one hands in is in the API, in Prometheus’ metrics and in the records', async () => {
    run = await hosted({ hostCpuS: () => 36, isLocal: true });
    const island = new Puppet(run.server.port, 'attic', await newIdentity());
    await island.untilPulled(run.invite());
    const totals: EnergyTotals = JSON.parse(JSON.stringify(times(0.1))) as EnergyTotals;
    island.say({ kind: 'energy', account: 'aaaaaaaa', totals });
    island.say({ kind: 'alive' });
    await island.hears('alive');
    const ask = async (path: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${run!.server.port}${path}`, { headers: { authorization: `Bearer ${ADMIN}` } });
    // 36 s of the coordinator at 10 W.
    expect(await (await ask('/v1/status')).json()).toMatchObject({
      energy: {
        totalWh: expect.closeTo(20.1),
        parts: { networkWh: 0, coordinatorWh: expect.closeTo(0.1) },
        qualityWh: { measured: expect.closeTo(15) },
        withBooks: 1,
      },
      islands: [{ island: 'attic', energy: { totalWh: expect.closeTo(20), coveredS: 360, refused: null } }],
    });
    const metrics = await (await ask('/metrics')).text();
    expect(metrics).toMatch(/heliotrope_energy_watt_hours\{quality="measured",run="hosted-00000000"\} 15/);
    expect(metrics).toMatch(/heliotrope_energy_source_watt_hours\{source="pv",run="hosted-00000000"\} 10\b/);
    expect(metrics).toMatch(/heliotrope_emissions_grams\{book="counterfactual",run="hosted-00000000"\} 4\.0/);
    expect(run.records).toContainEqual({ kind: 'energy', island: 'attic', totals });
    island.close();
  });

  it('power that cannot be leaves the connection as it is, and says why', async () => {
    run = await hosted();
    const island = new Puppet(run.server.port, 'attic', await newIdentity());
    await island.untilPulled(run.invite());
    island.say({ kind: 'energy', account: 'aaaaaaaa', totals: { ...HOUR, coveredS: 1, drawingS: 1 } });
    expect(await island.hears('standing')).toMatchObject({
      reason: 'energy-refused',
      next: { what: expect.stringContaining('200 Wh in 1 s is more than 20000 W') },
    });
    expect(island.closed).toBe(false);
    island.close();
  });
});
