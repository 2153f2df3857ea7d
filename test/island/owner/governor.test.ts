import { describe, expect, it } from 'vitest';
import { policySchema, type SiteNow } from '../../../src/energy/policy/index.ts';
import { Governor, type GovernorOptions } from '../../../src/island/owner/governor.ts';

const HOUR = 3_600_000;
const START = Math.floor(Date.UTC(2026, 5, 16, 10) / HOUR) * HOUR;

const site: SiteNow = {
  power: { computeW: 40, loadW: 100 },
  reservePercent: 0,
  isGridConnected: true,
  machine: { idleW: 40, leastW: 150, mostW: 250 },
  dataThisMonthBytes: 0,
  signals: [],
  override: null,
};

function governed(more: Partial<GovernorOptions> = {}) {
  let nowMs = START;
  const forecast = {};
  const governor = new Governor({
    view: { now: () => site, forecast: () => forecast },
    policy: { ...policySchema.parse({}), mode: 'always' },
    timeZone: 'UTC',
    nowMs: () => nowMs,
    ...more,
  });
  return {
    governor,
    passes(ms: number) {
      nowMs += ms;
      governor.tick();
    },
  };
}
const gridWh = (hours: number, wh: number) => Array<number>(hours).fill(wh);

describe('a plan that a governor is told', () => {
  it('holds while it is told again, and for six hours at most where it is not', () => {
    const { governor, passes } = governed();
    expect(governor.rest).toBeNull();
    governor.planned({ startS: START / 1000, gridWh: gridWh(48, 0), objective: 'carbon' });
    expect(governor.rest?.reason).toBe('planned-later');
    passes(5.9 * HOUR);
    expect(governor.rest?.reason).toBe('planned-later');
    passes(0.2 * HOUR);
    expect(governor.rest).toBeNull();
  });

  it('ends when it is taken back, and is none after a leap of the clock', () => {
    const { governor, passes } = governed();
    const plan = { startS: START / 1000, gridWh: gridWh(48, 0), objective: 'cost' } as const;
    governor.planned({ ...plan, gridWh: [...plan.gridWh] });
    governor.planned(null);
    expect(governor.rest).toBeNull();
    governor.planned({ ...plan, gridWh: [...plan.gridWh] });
    passes(-7 * HOUR);
    expect(governor.rest).toBeNull();
  });

  it('is made from what it tells: another with each hour, and none from a simulated home', () => {
    const { governor, passes } = governed();
    const first = governor.share!;
    expect(first).toMatchObject({ startS: START / 1000, mostW: 250 });
    passes(60_000);
    expect(governor.share).toBe(first);
    passes(HOUR);
    expect(governor.share!.startS).toBe(START / 1000 + 3600);
    expect(governed({ speed: 1440 }).governor.share).toBeUndefined();
  });
});
