import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type GridOperatorConfig, gridOperatorSchema } from '../../../src/energy/site/grid-operator-schema.ts';
import { GridOperator } from '../../../src/energy/sources/grid-operator.ts';
import { durationMs, eventSchema, windowsOf } from '../../../src/energy/sources/openadr.ts';
import { adrEvent, type LocalVtn, localVtn } from '../../services/vtn.ts';

const NOON = Date.parse('2026-03-10T12:00:00Z');
const MINUTE = 60_000;
const MACHINE = { idleW: 40, leastW: 150, mostW: 250 };

let vtn: LocalVtn;
let folder: string;
let nowMs: number;
let said: string[];
beforeEach(async () => {
  vtn = await localVtn();
  folder = mkdtempSync(path.join(tmpdir(), 'operator-'));
  [nowMs, said] = [NOON, []];
});
afterEach(async () => {
  await vtn.device.stop();
  rmSync(folder, { recursive: true });
});

const operator = (change: Partial<Record<keyof GridOperatorConfig, unknown>> = {}): GridOperator =>
  new GridOperator(
    gridOperatorSchema.parse({
      kind: 'openadr-3',
      baseUrl: vtn.baseUrl,
      program: 'Flex',
      clientId: { text: 'home-7' },
      clientSecret: { env: 'SECRET' },
      ...change,
    }),
    {
      nowMs: () => nowMs,
      random: () => 0.5,
      cacheFolder: folder,
      env: { SECRET: 's3cret', WRONG: 'guess' },
      say: (sentence) => said.push(sentence),
      timeoutMs: 1_500,
    },
  );
const asked = async (events: readonly unknown[], change: Parameters<typeof operator>[0] = {}) => {
  vtn.events = [...events];
  const made = operator(change);
  await made.poll();
  return made.signals(nowMs, MACHINE);
};

describe('what an event asks for', () => {
  const FROM = 'The grid operator (Flex: evening peak)';
  const untilMs = NOON + 60 * MINUTE;
  it.each([
    ['IMPORT_CAPACITY_LIMIT', 2, { limitW: 2_000, of: 'home' }],
    ['DISPATCH_SETPOINT', 0.2, { limitW: 200 }],
    ['LOAD_DISPATCH', 0, { limitW: 0 }],
    ['SIMPLE', 1, { limitW: 150 }],
    ['SIMPLE', 2, { limitW: 0 }],
    ['SIMPLE', 3, { limitW: 0 }],
    ['ALERT_GRID_EMERGENCY', 'save power', { limitW: 0 }],
  ])('%s of %j', async (type, value, limit) => {
    expect(await asked([adrEvent({ type, value })])).toEqual([{ from: FROM, untilMs, ...limit }]);
  });

  it.each([
    ['SIMPLE', 0],
    ['PRICE', 0.3],
    ['GHG', 500],
  ])('%s of %j asks nothing', async (type, value) => {
    expect(await asked([adrEvent({ type, value })])).toEqual([]);
    expect(said).toEqual([]);
  });

  it('units are those that it says, kW where it says none; others are told once, and not obeyed', async () => {
    const units = (unit: string) =>
      adrEvent({
        type: 'DISPATCH_SETPOINT',
        value: 80,
        payloadDescriptors: [{ payloadType: 'DISPATCH_SETPOINT', units: unit }],
      });
    expect(await asked([units('W')])).toMatchObject([{ limitW: 80 }]);
    expect(await asked([units('PERCENT')])).toMatchObject([{ limitW: 200 }]);
    expect(await asked([adrEvent({ type: 'DISPATCH_SETPOINT', value: 80, payloadDescriptors: null })])).toMatchObject([
      { limitW: 80_000 },
    ]);
    vtn.events = [units('VOLTS')];
    const made = operator();
    for (let i = 0; i < 3; i++, nowMs += MINUTE) await made.poll();
    expect(made.signals(NOON, MACHINE)).toEqual([]);
    expect(said).toEqual([
      'the event evening peak of the grid operator asks for DISPATCH_SETPOINT in VOLTS, which is unknown here: it is not obeyed',
    ]);
  });

  it('intervals follow one another, unless one has a time of its own; afterwards it is over', async () => {
    const at = (value: number, period?: unknown) => ({
      payloads: [{ type: 'DISPATCH_SETPOINT', values: [value] }],
      intervalPeriod: period ?? null,
    });
    const event = eventSchema.parse(
      adrEvent({
        intervalPeriod: { start: '2026-03-10T12:00:00Z', duration: 'PT15M' },
        intervals: [at(1), at(2), at(3, { start: '2026-03-10T18:00:00Z', duration: 'PT1H' }), at(4)],
      }),
    );
    const windows = windowsOf(event, 0, () => {});
    expect(windows.map(({ startMs, endMs }) => [(startMs - NOON) / MINUTE, (endMs! - NOON) / MINUTE])).toEqual([
      [0, 15],
      [15, 30],
      [360, 420],
      [420, 435],
    ]);
  });

  it('"now" and "for ever" are told as the specification writes them; a random start is within its time', () => {
    const event = (intervalPeriod: unknown) =>
      windowsOf(eventSchema.parse(adrEvent({ intervalPeriod })), 0.5, () => {})[0]!;
    expect(event({ start: '0001-01-01T00:00:00Z', duration: 'P9999Y' })).toMatchObject({
      startMs: NOON - 60 * MINUTE,
      endMs: null,
    });
    expect(event({ start: '2026-03-10T12:00:00Z', duration: 'PT1H', randomizeStart: 'PT10M' })).toMatchObject({
      startMs: NOON + 5 * MINUTE,
      endMs: NOON + 65 * MINUTE,
    });
    expect([durationMs('PT90M'), durationMs('P1DT2H'), durationMs('P2W'), durationMs('an hour')]).toEqual([
      5.4e6,
      9.36e7,
      1.2096e9,
      null,
    ]);
  });

  it('an event for others is not obeyed, where the home has names', async () => {
    const targets = ['group-2'];
    expect(await asked([adrEvent({ targets })], { targets: ['group-1'] })).toEqual([]);
    expect(await asked([adrEvent({ targets })], { targets: ['group-1', 'group-2'] })).toHaveLength(1);
    expect(
      await asked([adrEvent({ targets: [{ type: 'VEN_NAME', values: ['home-7'] }] })], { targets: ['home-7'] }),
    ).toHaveLength(1);
    expect(await asked([adrEvent({ targets })])).toHaveLength(1);
  });
});

describe('an operator over time', () => {
  it('an event begins, ends and is taken back; it is asked every ten seconds', async () => {
    vtn.events = [adrEvent({ start: '2026-03-10T12:05:00Z' })];
    const made = operator();
    await made.poll();
    const active = (atMs: number) => made.signals(atMs, MACHINE).length;
    expect([active(NOON), active(NOON + 5 * MINUTE), active(NOON + 65 * MINUTE)]).toEqual([0, 1, 0]);
    const before = vtn.device.asked.length;
    nowMs += 9_000;
    await made.poll();
    expect(vtn.device.asked.length).toBe(before);
    vtn.events = [];
    nowMs += 1_000;
    await made.poll();
    expect([vtn.device.asked.length, active(NOON + 5 * MINUTE)]).toEqual([before + 1, 0]);
  });

  it('known events hold while it cannot be reached, over a restart too; it says so once, and when it is back', async () => {
    vtn.events = [adrEvent()];
    const made = operator();
    await made.poll();
    vtn.instead = { status: 503, body: '' };
    for (let i = 0; i < 4; i++) {
      nowMs += MINUTE;
      await made.poll();
    }
    expect(made.signals(nowMs, MACHINE)).toHaveLength(1);
    expect(made.standing).toEqual({ isHeard: false, heardMs: NOON, problem: expect.stringContaining('says 503') });
    expect(said).toEqual([
      expect.stringMatching(
        /^the grid operator is not heard: .* says 503\. Events that are known are obeyed; of new ones nobody hears\./,
      ),
    ]);
    const again = operator();
    await again.poll();
    expect(again.signals(nowMs, MACHINE)).toHaveLength(1);
    // Of another program nothing is known.
    expect(operator({ program: 'ResTOU' }).signals(nowMs, MACHINE)).toEqual([]);
    vtn.instead = undefined;
    nowMs += MINUTE;
    await made.poll();
    expect([said.at(-1), made.standing.isHeard]).toEqual(['the grid operator is heard again', true]);
  });

  it('a token that was taken back is asked for again', async () => {
    vtn.events = [adrEvent()];
    const made = operator();
    await made.poll();
    vtn.tokens = 41;
    nowMs += MINUTE;
    await made.poll();
    expect([made.standing.isHeard, vtn.tokens]).toEqual([true, 42]);
  });

  it('events beyond the first page are heard', async () => {
    vtn.events = Array.from({ length: 120 }, (_, i) => adrEvent({ id: `e-${i}` }));
    const made = operator();
    await made.poll();
    expect(made.signals(NOON, MACHINE)).toHaveLength(120);
  });

  it('the secret is in no message and no file', async () => {
    vtn.events = [adrEvent()];
    await operator().poll();
    vtn.instead = { status: 500, body: 's3cret' };
    nowMs += MINUTE;
    await operator().poll();
    expect(said.join('\n') + readFileSync(path.join(folder, 'grid-operator.json'), 'utf8')).not.toMatch(
      /s3cret|Bearer/,
    );
  });
});

describe('an operator that is wrong', () => {
  const problem = async (change: Parameters<typeof operator>[0] = {}): Promise<string | null> => {
    const made = operator(change);
    await made.poll();
    return made.standing.problem;
  };
  it('a secret that is refused, a program that is not there, a variable that is not set', async () => {
    expect(await problem({ clientSecret: { env: 'WRONG' } })).toMatch(/its tokens\) at .* refused \(401\)/);
    expect(await problem({ program: 'Summer' })).toBe(
      'The grid operator’s VTN has no program Summer; it has ResTOU, Flex.',
    );
    expect(() => operator({ clientSecret: { env: 'NOT_SET' } })).toThrow(
      /There is no gridOperator\.clientSecret in the variable NOT_SET/,
    );
  });

  it.each([
    ['HTML', { body: '<html>' }, /HTML instead of JSON/],
    ['another shape', { body: { access_token: 'a\nb' } }, /another shape: access_token/],
    ['far too much', { body: 'x'.repeat(3_000_000) }, /more than 2097152 bytes/],
    ['a way elsewhere', { status: 302, headers: { location: 'http://127.0.0.1:1/' }, body: '' }, /says 302/],
  ])('%s', async (_, instead, message) => {
    vtn.instead = instead;
    expect(await problem()).toMatch(message);
  });

  it('one event that cannot be read hides no other, and is told', async () => {
    const many = Array.from({ length: 1_001 }, () => ({ payloads: [] }));
    const evil = adrEvent({ id: 'e-2', eventName: `x\u001b[2J\n${'y'.repeat(150)}` });
    const signals = await asked([adrEvent(), { programID: 'p-1', id: 5 }, adrEvent({ intervals: many }), evil]);
    expect(signals.map(({ from }) => from)).toEqual([
      'The grid operator (Flex: evening peak)',
      expect.stringMatching(/^The grid operator \(Flex: x \[2J y+\)$/),
    ]);
    expect(signals[1]!.from.length).toBeLessThan(120);
    expect(said).toEqual(['2 or more events of the grid operator cannot be read, and are not obeyed']);
  });

  it('a file of events that is damaged is passed over', async () => {
    writeFileSync(path.join(folder, 'grid-operator.json'), '{"about":');
    expect(await asked([adrEvent()])).toHaveLength(1);
  });

  it('whatever an event says, its limits are powers and its times are times', () => {
    const any = fc.record({
      id: fc.string({ maxLength: 20 }),
      createdDateTime: fc.option(fc.oneof(fc.string(), fc.constant('2026-03-10T12:00:00Z'))),
      intervalPeriod: fc.option(
        fc.record({
          start: fc.option(fc.constantFrom('now', '', '0000-00-00', '2026-03-10T12:00:00Z', '+275760-09-13T00:00:00Z')),
          duration: fc.option(fc.constantFrom('PT1H', 'P9999Y', 'PT0S', '-PT1H', 'P99999999999Y')),
          randomizeStart: fc.option(fc.constantFrom('PT5M', 'P9999Y', 'x')),
        }),
      ),
      intervals: fc.array(
        fc.record({
          payloads: fc.array(
            fc.record({
              type: fc.constantFrom('SIMPLE', 'DISPATCH_SETPOINT', 'IMPORT_CAPACITY_LIMIT', 'toString'),
              values: fc.array(fc.oneof(fc.double(), fc.string(), fc.constant(null), fc.constantFrom(1, 2, -5)), {
                maxLength: 2,
              }),
            }),
            { maxLength: 3 },
          ),
        }),
        { maxLength: 4 },
      ),
    });
    fc.assert(
      fc.property(any, fc.double({ min: 0, max: 1, noNaN: true }), (claimed, share) => {
        for (const { startMs, endMs, wish } of windowsOf(eventSchema.parse(claimed), share, () => {})) {
          expect(Number.isFinite(startMs)).toBe(true);
          expect(endMs === null || endMs >= startMs).toBe(true);
          if (wish.kind === 'home') expect(wish.limitW).toBeGreaterThanOrEqual(0);
          if (wish.kind === 'machine') expect(wish.most).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
