import { LIFECYCLE_G_PER_KWH } from '../accounting/index.ts';
import { DEFAULT_POLICY } from '../policy/index.ts';
import { exclusionAfterRound, type Participation } from '../schedule/index.ts';
import { decidedW } from './decided.ts';
import type { Strategy } from './run-fleet.ts';

/** Strategies to compare with; ours is `least-caused.ts`. */

const ALL = { pv: true, battery: true, grid: true } as const;

/** A data centre's habit: every machine, every hour. */
export const alwaysOn = (): Strategy => ({
  mayUse: ALL,
  pvOrder: 'compute-first',
  ask: ({ fleet }, askW) => {
    for (const [h, { machineW }] of fleet.homes.entries()) askW[h] = machineW;
  },
});

/**
 * Each hour the homes whose next kWh is cleanest, as instantaneous, attributional tools count it (sun as sun, a battery as what sun charged it, else the
 * grid's average), as many as keep the pace.
 *
 * @param share of all the machines' power
 */
export const greedyGreen = (share: number): Strategy => ({
  mayUse: ALL,
  pvOrder: 'compute-first',
  ask: ({ fleet, ofYear, heldWh }, askW) => {
    const { homes } = fleet;
    const gOf = (h: number): number => {
      const { home, pvW, loadW, machineW, zone } = homes[h]!;
      const pv = LIFECYCLE_G_PER_KWH['solar-rooftop'];
      const sun = Math.min(machineW, Math.max(0, pvW[ofYear]! - loadW[ofYear]!)) / machineW;
      const battery = heldWh[h]! - home.reserveWh > machineW ? 1 - sun : 0;
      return sun * pv + (battery * pv) / 0.9 + (1 - sun - battery) * zone.averageG[ofYear]!;
    };
    const order = homes.map((_, h) => ({ h, g: gOf(h) })).sort((a, b) => a.g - b.g);
    let leftW = share * homes.reduce((sum, { machineW }) => sum + machineW, 0);
    askW.fill(0);
    for (const { h } of order) {
      askW[h] = Math.min(leftW, homes[h]!.machineW);
      leftW -= askW[h]!;
    }
  },
});

/** Each home by its default policy, mode `sun`, as `decide` says; an hour is longer than all its delays. */
export const sunOnly = (): Strategy => ({
  mayUse: ALL,
  pvOrder: 'battery-first',
  ask: (now, askW) => {
    for (const [h, home] of now.fleet.homes.entries()) askW[h] = decidedW(home, now, now.heldWh[h]!, DEFAULT_POLICY);
  },
});

/**
 * After FedZero (Wiesner et al. 2024): rounds of an hour on excess sun alone, which counts as free; each round the n clients that can do most, less those
 * who wait because they took part more than the mean.
 *
 * @param share of the homes that a round takes
 * @param random uniform in [0, 1), seeded
 */
export const fedZeroLike = (share: number, random: () => number): Strategy => {
  let owners: readonly Participation[] | undefined;
  return {
    mayUse: { pv: true, battery: false, grid: false },
    pvOrder: 'compute-first',
    ask: ({ fleet, ofYear }, askW) => {
      const { homes } = fleet;
      owners ??= homes.map(({ name }) => ({ name, participatedRounds: 0, excluded: false }));
      const waits = owners;
      const excessW = homes.map(({ pvW, loadW, machineW }) => Math.min(machineW, pvW[ofYear]! - loadW[ofYear]!));
      const able = [...homes.keys()]
        .filter((h) => excessW[h]! >= homes[h]!.leastW && !waits[h]!.excluded)
        .sort((a, b) => excessW[b]! - excessW[a]!)
        .slice(0, Math.round(share * homes.length));
      askW.fill(0);
      for (const h of able) askW[h] = excessW[h]!;
      owners = exclusionAfterRound(owners, new Set(able.map((h) => homes[h]!.name)), random);
    },
  };
};
