/** Learning-rate schedule: linear warm-up, then a half cosine down to a share of the top rate. */
export interface Schedule {
  readonly warmUpSteps: number;
  /** The step at which the cosine reaches its floor; beyond it the rate stays there. */
  readonly totalSteps: number;
  /** Floor as a share of the top rate. */
  readonly finalShare: number;
}

/** Factor on the top rate for `step`, counted from 1 (Loshchilov and Hutter, arXiv 1608.03983, without restarts). */
export function scheduleFactor({ warmUpSteps, totalSteps, finalShare }: Schedule, step: number): number {
  if (step <= warmUpSteps) return step / warmUpSteps;
  const progress = Math.min(1, (step - warmUpSteps) / Math.max(1, totalSteps - warmUpSteps));
  return finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * progress));
}
