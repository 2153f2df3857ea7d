import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Decision, decide } from '../../../src/energy/policy/decide.ts';
import { type Policy, policySchema } from '../../../src/energy/policy/policy-schema.ts';
import { newMemory, type PolicyMemory, type SiteForecast, type SiteNow } from '../../../src/energy/policy/site-now.ts';
import { seriesOf } from '../../../src/energy/series.ts';
import { seededRandom } from '../../../src/ml/tensor/random.ts';
import { REASONS } from '../../../src/protocol/standing.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** A Tuesday, 12:00 in Berlin. */
const NOON = Date.UTC(2026, 5, 16, 10);
const ZONE = 'Europe/Berlin';
const policyOf = (change: Partial<Policy> = {}): Policy => ({ ...policySchema.parse({}), ...change });
const siteOf = (power: Partial<SiteNow['power']> = {}, change: Partial<SiteNow> = {}): SiteNow => ({
  power: { computeW: 40, ...power },
  reservePercent: 0,
  isGridConnected: true,
  machine: { idleW: 40, leastW: 150, mostW: 250 },
  dataThisMonthBytes: 0,
  signals: [],
  override: null,
  ...change,
});

/** A controller at its site: decides every ten seconds. */
class Controller {
  memory: PolicyMemory = newMemory(NOON);
  nowMs = NOON;
  last: Decision | undefined;
  readonly policy: Policy;
  forecast: SiteForecast = {};

  constructor(change: Partial<Policy> = {}) {
    this.policy = policyOf(change);
  }

  decide(site: SiteNow): Decision {
    this.last = decide(site, this.forecast, { policy: this.policy, timeZone: ZONE }, this.memory, this.nowMs);
    this.memory = this.last.memory;
    return this.last;
  }

  /** @param siteNow what is there, given whether the machine trains */
  for(ms: number, siteNow: (trainsW: number) => SiteNow): Decision {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 10_000)
      this.decide(siteNow(this.last?.powerW ?? 0));
    return this.last!;
  }
}

/** A home whose panels leave so much for training, with a meter at the grid. */
const surplus =
  (leftW: number, change: Partial<SiteNow> = {}) =>
  (trainsW: number) => {
    const computeW = Math.max(40, trainsW);
    return siteOf({ computeW, gridW: computeW - leftW }, change);
  };

describe('with the sun alone', () => {
  it('starts when there was enough for a minute, and says so before with a countdown', () => {
    const home = new Controller();
    expect(home.decide(surplus(300)(0)).standing).toMatchObject({ state: 'away', reason: 'starts-soon' });
    home.nowMs += 15_000;
    expect(home.decide(surplus(300)(0)).standing.next).toEqual({
      what: '300 W surplus: starts in 0:45 if it lasts.',
      atS: (NOON + MINUTE) / 1000,
    });
    home.nowMs = NOON + MINUTE;
    expect(home.decide(surplus(300)(0))).toMatchObject({ standing: { state: 'training' }, powerW: 250 });
  });

  it('waits for a surplus that is too small, with what it needs and when the sun is expected', () => {
    const home = new Controller();
    const at = (i: number) => (i >= 7 ? 900 : 100);
    const mid = seriesOf(
      NOON,
      15 * MINUTE,
      Array.from({ length: 40 }, (_, i) => at(i)),
      { quality: 'modelled', method: 'test' },
    );
    home.forecast = { pvW: { low: mid, mid, high: mid } };
    expect(home.decide(surplus(110)(0)).standing).toEqual({
      state: 'away',
      reason: 'no-sun',
      next: { what: '110 W surplus; needs 150 W for 1:00, expected at 13:45.', atS: (NOON + 105 * MINUTE) / 1000 },
      fix: null,
    });
  });

  it('draws no more than there is, and never less than the machine needs', () => {
    const home = new Controller();
    const powers = [180, 900, 130].map((leftW) => home.for(2 * MINUTE, surplus(leftW)).powerW);
    expect(powers).toEqual([180, 250, 150]);
  });

  it('starts with less where the owner lets a share come from the grid', () => {
    expect(new Controller().for(2 * MINUTE, surplus(110)).powerW).toBe(0);
    const shared = new Controller({ gridSharePercent: 40 });
    expect(shared.for(2 * MINUTE, surplus(110)).powerW).toBeCloseTo(110 / 0.6);
    const limited = new Controller({ gridSharePercent: 40, maxIntensityGPerKWh: 200 });
    expect(limited.for(2 * MINUTE, surplus(110, { intensityGPerKWh: 300 })).powerW).toBe(0);
  });

  it('lets a cloud and a kettle pass, and stops when they have taken too much', () => {
    const home = new Controller();
    home.for(12 * MINUTE, surplus(400));
    // A kettle: 2 kW for three minutes are far beyond 15 Wh; half a minute of it is not.
    home.for(30_000, surplus(-100));
    expect(home.last!.powerW).toBeGreaterThan(0);
    home.for(2 * MINUTE, surplus(400));
    home.for(30 * MINUTE, surplus(-100));
    expect(home.last!.standing.state).toBe('away');
  });

  it('on a day of clouds starts twice an hour at most, and takes little from the grid', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const random = seededRandom(seed);
      const home = new Controller();
      let starts = 0;
      let computeWh = 0;
      let importWh = 0;
      const startedMs: number[] = [];
      let cloud = 1;
      for (let minute = 0; minute < 10 * 60; minute++) {
        if (random.uniform() < 0.25) cloud = 0.1 + 0.9 * random.uniform();
        const bell = Math.sin((Math.PI * minute) / 600);
        const leftW = 1_500 * bell * cloud - 350;
        for (let i = 0; i < 6; i++) {
          const before = home.last?.powerW ?? 0;
          home.decide(surplus(leftW)(before));
          home.nowMs += 10_000;
          if (before === 0 && home.last!.powerW > 0) {
            starts++;
            startedMs.push(home.nowMs);
          }
          computeWh += home.last!.powerW / 360;
          importWh += Math.max(0, home.last!.powerW - Math.max(0, leftW)) / 360;
        }
      }
      expect(starts).toBeGreaterThan(0);
      for (const ms of startedMs)
        expect(startedMs.filter((other) => other > ms - HOUR && other <= ms).length).toBeLessThanOrEqual(2);
      // A sky that changes every four minutes: what it takes in vain is bounded by each start.
      expect(importWh / starts).toBeLessThan(4 * home.policy.importToleranceWh);
      expect(importWh / computeWh).toBeLessThan(0.2);
    }
  });

  it('leaves to the battery what fills it, until it is full', () => {
    const charging = (percent: number) => siteOf({ gridW: 0, batteryW: -800 }, { batteryPercent: percent });
    const home = new Controller();
    expect(home.decide(charging(50)).standing.reason).toBe('no-sun');
    const full = new Controller();
    expect(full.decide(charging(96)).standing.reason).toBe('starts-soon');
    const second = new Controller({ batteryFirst: false });
    expect(second.decide(charging(50)).standing.reason).toBe('starts-soon');
  });

  it('takes first what the inverter would throw away', () => {
    expect(new Controller().decide(siteOf({ gridW: 40, curtailedW: 500 })).standing.reason).toBe('starts-soon');
  });

  it('does not take a silent meter for a dark sky', () => {
    const home = new Controller();
    home.for(12 * MINUTE, surplus(400));
    home.decide(siteOf({}, { silentMeter: { name: 'grid', sinceMs: home.nowMs - 5_000 } }));
    expect(home.last!.powerW).toBe(150);
    home.decide(siteOf({}, { silentMeter: { name: 'grid', sinceMs: home.nowMs - 121_000 } }));
    expect(home.last!.standing).toMatchObject({ reason: 'meter-silent', fix: 'heliotrope meters check grid' });
  });
});

describe('with sun and battery', () => {
  const at = (percent: number) => (trainsW: number) =>
    siteOf({ gridW: 0, batteryW: Math.max(40, trainsW) }, { batteryPercent: percent, reservePercent: 20 });

  it('starts above one level and stops below a lower one', () => {
    const home = new Controller({ mode: 'sun-and-battery' });
    expect(home.for(30 * MINUTE, at(55)).powerW).toBe(0);
    expect(home.for(2 * MINUTE, at(61)).powerW).toBe(250);
    expect(home.for(30 * MINUTE, at(35)).powerW).toBe(250);
    expect(home.for(30 * MINUTE, at(29)).powerW).toBe(0);
  });

  it('never goes into the reserve, wherever the levels are', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.integer({ min: 1, max: 100 }), fc.nat(99), (reservePercent, start, stop) => {
        fc.pre(stop < start);
        const home = new Controller({
          mode: 'sun-and-battery',
          batteryStartPercent: start,
          batteryStopPercent: stop,
          minOnMinutes: 0,
          stopDelayS: 0,
        });
        for (let percent = 100; percent >= 0; percent -= 5) {
          home.for(3 * MINUTE, (trainsW) =>
            siteOf({ gridW: 0, batteryW: Math.max(40, trainsW) }, { batteryPercent: percent, reservePercent }),
          );
          // A battery at its reserve is the tolerance's to stop: within minutes and a few Wh.
          if (percent <= reservePercent - 10) expect(home.last!.powerW).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a signal from outside', () => {
  const always = (): Controller => new Controller({ mode: 'always' });
  const signal = (limitW: number, of?: 'home') => [{ from: 'The grid operator', limitW, untilMs: NOON + HOUR, of }];

  it('that dims is named while it trains', () => {
    const { standing, powerW } = always().decide(siteOf({}, { signals: signal(200) }));
    expect([powerW, standing.reason, standing.next!.what]).toEqual([
      200,
      'grid-signal',
      'It always trains. The grid operator allows 200 W until 13:00.',
    ]);
    // One that leaves it all that it draws is none of its business.
    expect(always().decide(siteOf({}, { signals: signal(900) })).standing.reason).toBe('at-work');
  });

  it('of the whole home leaves what the rest of it does not take', () => {
    const home = always();
    home.memory = { ...home.memory, isOn: true };
    const taking = (gridW: number, computeW: number) => siteOf({ gridW, computeW }, { signals: signal(2_000, 'home') });
    // 1,800 W without the machine leave 200 W.
    expect(home.decide(taking(2_050, 250)).powerW).toBe(200);
    const stopped = home.decide(taking(2_500, 200));
    expect([stopped.powerW, stopped.standing.next!.what]).toEqual([
      0,
      'The grid operator allows the home 2000 W of the grid until 13:00, which leaves 0 W, and training needs 150 W.',
    ]);
    // It begins again only with something to spare.
    expect(home.decide(taking(1_860, 40)).powerW).toBe(0);
    expect(home.decide(taking(1_800, 40)).powerW).toBe(240);
    // Sun that goes to the grid is added.
    expect(home.decide(taking(-500, 40)).powerW).toBe(250);
  });
});

describe('cars that charge with the sun come first', () => {
  const eager: Partial<Policy> = { startDelayS: 0, minOffMinutes: 0 };
  const garage = { name: 'Garage', leastW: 1_380, moreW: 3_680 };

  it('one that charges takes what there is, and is named', () => {
    const vehicles = [{ ...garage, leastW: 0, moreW: 920 }];
    const { standing, powerW } = new Controller(eager).decide(surplus(700, { vehicles })(0));
    expect([powerW, standing.reason]).toEqual([0, 'no-sun']);
    expect(standing.next!.what).toMatch(/^0 W surplus after Garage, which would take 920 W more; needs 150 W/);
    // What it leaves is training's.
    expect(new Controller(eager).decide(surplus(1_120, { vehicles })(0)).powerW).toBe(200);
  });

  it('one that waits takes nothing of a surplus that is too small for it', () => {
    const home = new Controller({ ...eager, importToleranceWh: 0, minOnMinutes: 0, stopDelayS: 0 });
    expect(home.decide(surplus(1_000, { vehicles: [garage] })(0)).powerW).toBe(250);
    home.nowMs += MINUTE;
    // The sun rises: now it is enough for the car, which evcc does not see as long as training takes it.
    expect(home.decide(surplus(1_500, { vehicles: [garage] })(250)).powerW).toBe(0);
  });

  it('the battery trains for nobody while a car waits', () => {
    const percent = { batteryPercent: 90, vehicles: [{ ...garage, leastW: 0 }] };
    const policy: Partial<Policy> = { ...eager, mode: 'sun-and-battery' };
    expect(new Controller(policy).decide(siteOf({ gridW: 0, batteryW: 0 }, percent)).powerW).toBe(0);
    expect(new Controller(policy).decide(siteOf({ gridW: 0, batteryW: 0 }, { ...percent, vehicles: [] })).powerW).toBe(
      250,
    );
  });

  it('cheap power that evcc takes is training’s as well, within the other rules', () => {
    const cheap = siteOf({ gridW: 3_000 }, { isCheapNow: true, intensityGPerKWh: 500 });
    expect(new Controller().decide(cheap)).toMatchObject({ powerW: 250, standing: { reason: 'at-work' } });
    expect(new Controller({ maxIntensityGPerKWh: 300 }).decide(cheap).powerW).toBe(0);
  });
});

describe('in an outage', () => {
  const outage: Partial<SiteNow> = {
    isGridConnected: false,
    batteryPercent: 63,
    reservePercent: 100,
    batteryLastsHours: 14.2,
  };

  it('what the battery has is the home’s, and it says for how long', () => {
    const { standing } = new Controller({ mode: 'always' }).decide(surplus(1_000, outage)(0));
    expect(standing.next!.what).toBe(
      'The grid is down: the battery’s 63 % are for the home, about 14 h.'.replace('’', "'"),
    );
  });

  it('whoever always trains trains on the sun alone, where the owner lets it', () => {
    const home = new Controller({ mode: 'always', trainInOutage: true, startDelayS: 0, minOffMinutes: 0 });
    const dark = siteOf({ gridW: 0, batteryW: 700 }, outage);
    expect(home.decide(dark)).toMatchObject({ standing: { reason: 'no-sun' }, powerW: 0 });
    // The battery is full, and the inverter throws the sun away.
    const spills = siteOf({ gridW: 0, batteryW: 0, curtailedW: 900 }, { ...outage, batteryPercent: 100 });
    expect(home.decide(spills).powerW).toBe(250);
  });

  it('charge of the battery is no surplus below the reserve, whatever comes first otherwise', () => {
    const home = new Controller({ trainInOutage: true, batteryFirst: false, startDelayS: 0, minOffMinutes: 0 });
    const charges = siteOf({ gridW: 0, batteryW: -2_000 }, outage);
    expect(home.decide(charges).powerW).toBe(0);
    expect(home.decide({ ...charges, isGridConnected: true, reservePercent: 20 }).powerW).toBe(250);
  });
});

describe('the rule that wins is named, by rank', () => {
  const busy = surplus(1_000, {
    override: { kind: 'pause', untilMs: NOON + HOUR },
    signals: [{ from: 'The home’s energy manager', limitW: 0, untilMs: NOON + 2 * HOUR }],
    temperatureC: 90,
    idleSinceMs: NOON - 1_000,
    dataThisMonthBytes: 1e12,
    isGridConnected: false,
  })(0);
  const all: Partial<Policy> = {
    maxTemperatureC: 80,
    idleOnly: true,
    monthlyDataGB: 10,
    quietHours: [{ from: '10:00', to: '14:00' }],
  };
  it.each([
    ['paused-by-owner', {}, {}],
    ['grid-signal', {}, { override: null }],
    ['grid-outage', {}, { override: null, signals: [] }],
    ['too-hot', {}, { override: null, signals: [], isGridConnected: true }],
    ['owner-active', {}, { override: null, signals: [], isGridConnected: true, temperatureC: 20 }],
    ['quiet-hours', {}, { override: null, signals: [], isGridConnected: true, temperatureC: 20, idleSinceMs: 0 }],
    [
      'data-budget',
      { quietHours: [] },
      { override: null, signals: [], isGridConnected: true, temperatureC: 20, idleSinceMs: 0 },
    ],
    ['switched-off', { mode: 'off' }, { override: null }],
  ] as const)('%s', (reason, policy, change) => {
    const home = new Controller({ ...all, ...policy } as Partial<Policy>);
    const { standing, powerW } = home.decide({ ...busy, ...change });
    expect([standing.reason, powerW]).toEqual([reason, 0]);
  });

  it('says until when quiet hours last, through a change of clocks', () => {
    // The night in which clocks go forward: 01:59 is followed by 03:00.
    const home = new Controller({ quietHours: [{ from: '22:00', to: '06:00' }] });
    home.nowMs = Date.UTC(2026, 2, 28, 23);
    const { standing } = home.decide(surplus(1_000)(0));
    expect(standing.next).toEqual({ what: 'Quiet hours until 06:00.', atS: Date.UTC(2026, 2, 29, 4) / 1000 });
  });

  it('hours that never end are told without an end', () => {
    const home = new Controller({ quietHours: [{ from: '00:00', to: '24:00' }] });
    const { standing } = home.decide(surplus(1_000)(0));
    expect(standing.next).toEqual({ what: 'Quiet hours.', atS: null });
  });

  it('yields at once to whoever uses the machine, and starts again without the day’s patience', () => {
    const home = new Controller({ idleOnly: true });
    home.for(2 * MINUTE, surplus(400, { idleSinceMs: 0 }));
    expect(home.last!.powerW).toBeGreaterThan(0);
    expect(home.decide(surplus(400, { idleSinceMs: home.nowMs })(250)).standing.reason).toBe('owner-active');
    const left = home.nowMs;
    home.for(4 * MINUTE, (w) => surplus(400, { idleSinceMs: left })(w));
    expect(home.last!.powerW).toBeGreaterThan(0);
  });

  it('a limit from outside caps the power, and stops it below what the machine needs', () => {
    const signal = (limitW: number) => surplus(1_000, { signals: [{ from: 'The grid', limitW, untilMs: null }] });
    const home = new Controller();
    home.for(2 * MINUTE, signal(200));
    expect(home.last!.powerW).toBe(200);
    expect(home.decide(signal(149)(200))).toMatchObject({ powerW: 0, standing: { reason: 'grid-signal' } });
  });

  it('what the owner resumes trains without sun, and still obeys the grid', () => {
    const resumed = { override: { kind: 'resume', untilMs: NOON + HOUR } } as const;
    const home = new Controller({ idleOnly: true, quietHours: [{ from: '00:00', to: '24:00' }] });
    expect(home.decide(surplus(-500, { ...resumed, idleSinceMs: NOON })(0))).toMatchObject({
      powerW: 250,
      standing: { state: 'training', reason: 'resumed-by-owner', next: { what: 'You told it to train until 13:00.' } },
    });
    const signals = [{ from: 'The grid', limitW: 0, untilMs: null }];
    expect(home.decide(surplus(0, { ...resumed, signals })(0)).powerW).toBe(0);
    home.nowMs = NOON + HOUR;
    expect(home.decide(surplus(-500, resumed)(0)).powerW).toBe(0);
  });
});

describe('with limits on what comes from the grid', () => {
  const hours = (...values: number[]) => seriesOf(NOON, HOUR, values, { quality: 'modelled', method: 'test' });

  it('trains below the carbon intensity, and says when that is expected', () => {
    const home = new Controller({ mode: 'always', maxIntensityGPerKWh: 200 });
    home.forecast = { intensityGPerKWh: hours(400, 350, 150) };
    expect(home.decide(siteOf({ gridW: 40 }, { intensityGPerKWh: 400 })).standing).toMatchObject({
      reason: 'dirty-power',
      next: {
        what: 'The grid has 400 g/kWh; it trains below 200 g/kWh, expected at 14:00.',
        atS: (NOON + 2 * HOUR) / 1000,
      },
    });
    expect(home.decide(siteOf({ gridW: 40 }, { intensityGPerKWh: 199 })).powerW).toBe(250);
  });

  it('does not train where nobody knows', () => {
    expect(new Controller({ mode: 'always', maxIntensityGPerKWh: 200 }).decide(siteOf()).standing.reason).toBe(
      'dirty-power',
    );
    expect(new Controller({ mode: 'always', maxPricePerKWh: 0.1 }).decide(siteOf()).standing.reason).toBe('dear-power');
  });

  it('trains on its own sun meanwhile', () => {
    const home = new Controller({ mode: 'always', maxIntensityGPerKWh: 200 });
    expect(home.for(2 * MINUTE, surplus(500, { intensityGPerKWh: 400 })).powerW).toBe(250);
  });
});

it('whatever comes, decides something that makes sense', () => {
  const watt = fc.option(fc.oneof(fc.double({ min: -20_000, max: 20_000, noNaN: true }), fc.constant(0)), {
    nil: undefined,
  });
  const site = fc.record({
    power: fc.record({
      pvW: watt.map((w) => (w === undefined ? w : Math.abs(w))),
      gridW: watt,
      batteryW: watt,
      loadW: watt.map((w) => (w === undefined ? w : Math.abs(w))),
      computeW: fc.double({ min: 0, max: 1_000, noNaN: true }),
      curtailedW: watt.map((w) => (w === undefined ? w : Math.abs(w))),
    }),
    batteryPercent: fc.option(fc.double({ min: 0, max: 100, noNaN: true }), { nil: undefined }),
    reservePercent: fc.nat(100),
    isGridConnected: fc.boolean(),
    machine: fc.constant({ idleW: 40, leastW: 150, mostW: 250 }),
    temperatureC: fc.option(fc.integer({ min: -20, max: 110 }), { nil: undefined }),
    idleSinceMs: fc.option(fc.constantFrom(0, NOON - 1, NOON + 10), { nil: undefined }),
    dataThisMonthBytes: fc.constantFrom(0, 1e12),
    signals: fc.array(
      fc.record({ from: fc.constant('x'), limitW: fc.nat(400), untilMs: fc.constantFrom(null, NOON + 5, NOON - 5) }),
      { maxLength: 3 },
    ),
    override: fc.option(
      fc.record({
        kind: fc.constantFrom('pause', 'resume', 'drain'),
        untilMs: fc.constantFrom(null, NOON - 1, NOON + HOUR),
      }),
    ),
    intensityGPerKWh: fc.option(fc.nat(900), { nil: undefined }),
  }) as fc.Arbitrary<SiteNow>;
  const policy = fc.record({
    mode: fc.constantFrom('off', 'sun', 'sun-and-battery', 'always'),
    gridSharePercent: fc.nat(100),
    batteryFirst: fc.boolean(),
    maxIntensityGPerKWh: fc.option(fc.constant(300), { nil: undefined }),
    idleOnly: fc.boolean(),
    maxTemperatureC: fc.option(fc.constant(50), { nil: undefined }),
    powerCapW: fc.option(fc.integer({ min: 150, max: 300 }), { nil: undefined }),
    startDelayS: fc.constantFrom(0, 60),
    minOnMinutes: fc.constantFrom(0, 10),
    minOffMinutes: fc.constantFrom(0, 20),
  }) as fc.Arbitrary<Partial<Policy>>;
  fc.assert(
    fc.property(
      policy,
      fc.array(fc.tuple(site, fc.nat(20 * MINUTE)), { minLength: 1, maxLength: 30 }),
      (change, steps) => {
        const home = new Controller(change);
        for (const [now, ms] of steps) {
          home.nowMs += ms;
          const { standing, powerW, memory } = home.decide(now);
          expect(REASONS).toContain(standing.reason);
          expect(standing.state).toBe(powerW > 0 ? 'training' : 'away');
          expect(memory.isOn).toBe(powerW > 0);
          expect(standing.next!.what.length).toBeGreaterThan(5);
          expect(standing.next!.what).not.toMatch(/NaN|undefined|Infinity/);
          if (powerW > 0) expect(powerW >= 150 && powerW <= 250).toBe(true);
          // It is saved and loaded.
          expect(JSON.parse(JSON.stringify(memory))).toEqual(memory);
          const limits = now.signals
            .filter(({ untilMs }) => untilMs === null || untilMs > home.nowMs)
            .map(({ limitW }) => limitW);
          expect(powerW).toBeLessThanOrEqual(Math.min(...limits, 250));
        }
      },
    ),
    { numRuns: 500 },
  );
});
