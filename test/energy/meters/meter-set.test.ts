import { afterEach, describe, expect, it } from 'vitest';
import { openMeter } from '../../../src/energy/meters/meter.ts';
import { MeterSet } from '../../../src/energy/meters/meter-set.ts';
import { type Meter, type Outcome, QUANTITY_UNITS, type Quantity } from '../../../src/energy/meters/reading.ts';
import { readTemplate } from '../../../src/energy/meters/templates.ts';
import { STUCK_ALONE_MS, STUCK_MS } from '../../../src/energy/meters/watch.ts';
import { HelioError } from '../../../src/errors.ts';
import { modbusDevice, registers, wordsOf } from '../../services/modbus-device.ts';

/** Time is the test's: `wall` may be set, `monotonic` only goes on. */
const time = { wall: 1_780_000_000_000, monotonic: 0 };
const wait = (ms: number): void => {
  time.wall += ms;
  time.monotonic += ms;
};
const options = { intervalMs: 10_000, monotonicMs: () => time.monotonic };

/** A meter that says what it is told; NaN: it fails. */
const scripted = (
  name: string,
  values: Partial<Record<Quantity, number>>,
  staleAfterMs = 60_000,
): Meter & { asked: number } => ({
  name,
  staleAfterMs,
  asked: 0,
  get quantities() {
    return Object.keys(values) as Quantity[];
  },
  async read() {
    this.asked++;
    return Object.entries(values).map(([q, value]): Outcome => {
      const quantity = q as Quantity;
      const unit = QUANTITY_UNITS[quantity];
      return Number.isNaN(value)
        ? { ok: false, quantity, problem: new HelioError('HELIO-6101', `${name} is away.`, 'Wait.') }
        : {
            ok: true,
            quantity,
            reading: { quantity, value, unit, atMs: time.wall, origin: { quality: 'measured', method: name } },
          };
    });
  },
  async close() {},
});

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

describe('a set of meters', () => {
  it('holds the last value while it is fresh, and has none when it is not', async () => {
    const values = { 'pv-power': 800 };
    const set = new MeterSet([scripted('roof', values)], options);
    expect(set.value('pv-power')).toBeUndefined();
    expect(set.held()[0]).toMatchObject({ state: 'never', failures: 0 });
    await set.poll();
    expect(set.value('pv-power')?.value).toBe(800);
    values['pv-power'] = Number.NaN;
    wait(30_000);
    await set.poll();
    expect(set.value('pv-power')?.value).toBe(800);
    expect(set.held()[0]).toMatchObject({
      state: 'fresh',
      ageMs: 30_000,
      failures: 1,
      problem: { code: 'HELIO-6101' },
    });
    wait(31_000);
    expect(set.held()[0]).toMatchObject({ state: 'stale', ageMs: 61_000, reading: { value: 800 } });
    expect(set.value('pv-power')).toBeUndefined();
  });

  it('adds panels of several inverters, and knows nothing of the sum while one is silent', async () => {
    const east = { 'pv-power': 800 };
    const west = { 'pv-power': 500 };
    const set = new MeterSet([scripted('east', east), scripted('west', west)], options);
    await set.poll();
    expect(set.value('pv-power')).toMatchObject({ value: 1300, origin: { method: 'east + west' } });
    west['pv-power'] = Number.NaN;
    wait(61_000);
    await set.poll();
    expect(set.value('pv-power')).toBeUndefined();
  });

  it('believes the first of several meters at the grid, and the next while that is silent', async () => {
    const first = { 'grid-power': 100 };
    const set = new MeterSet([scripted('meter', first), scripted('inverter', { 'grid-power': 120 })], options);
    await set.poll();
    expect(set.value('grid-power')?.value).toBe(100);
    first['grid-power'] = Number.NaN;
    wait(61_000);
    await set.poll();
    expect(set.value('grid-power')?.value).toBe(120);
  });

  it('asks a meter that fails ever more rarely, and at least every five minutes', async () => {
    const values = { 'pv-power': Number.NaN };
    const meter = scripted('roof', values);
    const set = new MeterSet([meter], options);
    const asked: number[] = [];
    for (let s = 0; s <= 3_600; s += 10) {
      const before = meter.asked;
      await set.poll();
      if (meter.asked > before) asked.push(s);
      wait(10_000);
    }
    expect(asked.slice(0, 8)).toEqual([0, 20, 60, 140, 300, 600, 900, 1200]);
    values['pv-power'] = 5;
    wait(300_000);
    await set.poll();
    expect(set.value('pv-power')?.value).toBe(5);
  });

  it('a wall clock that is set back by an hour makes no dead meter look alive', async () => {
    const values = { 'pv-power': 800 };
    const set = new MeterSet([scripted('roof', values)], options);
    await set.poll();
    values['pv-power'] = Number.NaN;
    time.wall -= 3_600_000;
    wait(61_000);
    expect(set.value('pv-power')).toBeUndefined();
    time.wall += 3_600_000;
  });

  it('holds back a jump until it is said twice', async () => {
    const values = { 'grid-power': 400 };
    const set = new MeterSet([scripted('meter', values)], options);
    const said = async (value: number): Promise<number | undefined> => {
      values['grid-power'] = value;
      wait(10_000);
      await set.poll();
      return set.value('grid-power')?.value;
    };
    expect(await said(400)).toBe(400);
    expect(await said(65_535)).toBeUndefined();
    expect(set.held()[0]).toMatchObject({ state: 'doubted', doubt: { kind: 'jumps', what: /from 400 to 65,535 W/ } });
    expect(await said(420)).toBe(420);
    expect(await said(40_000)).toBeUndefined();
    expect(await said(40_100)).toBe(40_100);
  });

  it('a counter that goes backwards is doubted, and believed when it goes on from there', async () => {
    const values = { 'import-energy': 9_000_000 };
    const set = new MeterSet([scripted('meter', values)], options);
    const said = async (value: number): Promise<string> => {
      values['import-energy'] = value;
      wait(10_000);
      await set.poll();
      return set.held()[0]!.doubt?.kind ?? 'believed';
    };
    expect(await said(9_000_000)).toBe('believed');
    expect(await said(0)).toBe('goes-backwards');
    expect(await said(9_000_010)).toBe('believed');
    expect(await said(5)).toBe('goes-backwards');
    expect(await said(7)).toBe('believed');
    expect(await said(900_000)).toBe('jumps');
  });

  it('a meter whose values all stand still is frozen; an inverter at its limit is not', async () => {
    const values: Partial<Record<Quantity, number>> = { 'pv-power': 7_000, 'grid-power': -6_200 };
    const set = new MeterSet([scripted('inverter', values)], options);
    const pass = async (ms: number, change: () => void): Promise<void> => {
      for (let t = 0; t <= ms; t += 10_000) {
        change();
        await set.poll();
        wait(10_000);
      }
    };
    await pass(2 * STUCK_MS, () => (values['grid-power'] = values['grid-power']! + 1));
    expect(set.value('pv-power')?.value).toBe(7_000);
    await pass(STUCK_MS + 20_000, () => undefined);
    expect(set.value('pv-power')).toBeUndefined();
    expect(set.held()[0]).toMatchObject({
      state: 'doubted',
      doubt: { kind: 'sticks', what: /exactly pv-power 7,000, grid-power .* for 15 minutes/ },
    });
    await pass(0, () => (values['grid-power'] = -6_000));
    expect(set.value('pv-power')?.value).toBe(7_000);
  });

  it('panels at night say 0 for hours, and are believed; one alone may stand still for an hour', async () => {
    const values = { 'pv-power': 0 };
    const set = new MeterSet([scripted('roof', values)], options);
    for (let t = 0; t < 2 * STUCK_ALONE_MS; t += 10_000, wait(10_000)) await set.poll();
    expect(set.value('pv-power')?.value).toBe(0);
    values['pv-power'] = 600;
    for (let t = 0; t < STUCK_ALONE_MS - 20_000; t += 10_000, wait(10_000)) await set.poll();
    expect(set.value('pv-power')?.value).toBe(600);
    for (let t = 0; t < 40_000; t += 10_000, wait(10_000)) await set.poll();
    expect(set.value('pv-power')).toBeUndefined();
  });

  it('a real device that dies is stale after its time, and back when it is', async () => {
    const words = registers({ 30775: wordsOf(4_321, 2), 30513: wordsOf(5_000n, 4) });
    let device = await modbusDevice(words, 3);
    cleanUps.push(() => device.stop());
    const settings = { host: '127.0.0.1', port: device.port };
    const set = new MeterSet([await openMeter(readTemplate('sma-inverter'), settings, () => time.wall)], options);
    cleanUps.push(() => set.stop());
    await set.poll();
    expect(set.value('pv-power')?.value).toBe(4_321);
    await device.stop();
    wait(121_000);
    await set.poll();
    expect(set.value('pv-power')).toBeUndefined();
    expect(set.held()[0]).toMatchObject({ state: 'stale', failures: 1, problem: { code: 'HELIO-6101' } });
    device = await modbusDevice(words, 3, device.port);
    wait(60_000);
    await set.poll();
    expect(set.value('pv-power')?.value).toBe(4_321);
  });
});
