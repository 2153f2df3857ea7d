import { HelioError } from '../errors.ts';
import type { Job } from '../protocol/run-file.ts';

/** @throws HelioError HELIO-1001 for a plan that has no goal */
export function checkEnergyPlan({ energy: { plan }, stop }: Pick<Job, 'energy' | 'stop'>): void {
  if (plan === undefined || stop.tokens !== undefined) return;
  throw new HelioError(
    'HELIO-1001',
    'energy.plan plans when so many tokens are trained, and the run file says of none.',
    'Set stop.tokens, or leave energy.plan out.',
  );
}

/** @returns what its owner may not expect, a sentence each */
export function energyPlanNotices({ energy: { plan } }: Pick<Job, 'energy'>, nowMs: number): readonly string[] {
  if (plan === undefined || Date.parse(plan.deadline) > nowMs) return [];
  return [`energy.plan.deadline ${plan.deadline} is over: islands keep to their own rules.`];
}
