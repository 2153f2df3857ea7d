/**
 * Learning-rate schedules. All warm up linearly; then
 * `cosine` falls along half a cosine (Loshchilov and Hutter, arXiv 1608.03983, without restarts), `constant` stays, and
 * `wsd` stays and falls linearly over the last `decayShare` of the steps (warm-up-stable-decay, Hu et al., arXiv
 * 2404.06395, section 4).
 */
export interface Schedule {
  readonly shape?: 'cosine' | 'constant' | 'wsd';
  readonly warmUpSteps: number;
  /** The step at which the floor is reached; beyond it the rate stays there. */
  readonly totalSteps: number;
  /** Floor as a share of the top rate. */
  readonly finalShare: number;
  /** For `wsd`: share of the steps over which the rate falls. */
  readonly decayShare?: number;
}

/** Factor on the top rate for `step`, counted from 1. */
export function scheduleFactor(schedule: Schedule, step: number): number {
  const { shape = 'cosine', warmUpSteps, totalSteps, finalShare, decayShare = 0.2 } = schedule;
  if (step <= warmUpSteps) return step / warmUpSteps;
  switch (shape) {
    case 'constant':
      return 1;
    case 'cosine': {
      const progress = Math.min(1, (step - warmUpSteps) / Math.max(1, totalSteps - warmUpSteps));
      return finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * progress));
    }
    case 'wsd': {
      const decaySteps = Math.max(1, Math.round(decayShare * totalSteps));
      const progress = Math.min(1, Math.max(0, (step - (totalSteps - decaySteps)) / decaySteps));
      return 1 - (1 - finalShare) * progress;
    }
  }
}
