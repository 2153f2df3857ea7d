import type { OuterSettings } from '../../src/outer/settings.ts';
import { chooseSettings } from '../../src/outer/settings.ts';
import type { Inner, SizeName, Trial } from './trial.ts';

/** Trials as rows are made of them: who trains, with the settings that are best for it. */

export const muon = (rate: number, adamRate = 0.8 * rate, momentum = 0.8) =>
  ({ kind: 'muon', rate, adamRate, momentum }) as const satisfies Inner;
export const adamw = (rate: number): Inner => ({ kind: 'adamw', rate });

/** Inner optimizers by model, length and who steps: chosen on the validation half of the text by the sections `tuning`. */
export function innerOf(model: SizeName, steps: number, side: 'together' | 'islands') {
  if (model === 'medium') return muon(0.03);
  const [, rates] = RATES.findLast(([least]) => steps >= least) ?? RATES[0];
  return muon(rates[side]);
}
/** By the least number of steps. The last ones were not tuned: they follow those before. */
const RATES = [
  [0, { together: 0.06, islands: 0.04 }],
  [1600, { together: 0.03, islands: 0.015 }],
  [6400, { together: 0.011, islands: 0.0075 }],
  [25_600, { together: 0.0075, islands: 0.004 }],
] as const;

/** The field's defaults of a trial; `more` goes over them. */
export const base = (
  model: SizeName,
  steps: number,
  islands: number,
  more: Partial<Trial> = {},
): Omit<Trial, 'seed'> => ({
  corpus: 'austen',
  model,
  steps,
  who: 'islands',
  islands,
  inner: innerOf(model, steps, 'islands'),
  outer: {},
  shards: 'mixed',
  lost: 0,
  speeds: [1],
  latencyS: 0,
  ...more,
});

export const together = (
  model: SizeName,
  steps: number,
  islands: number,
  inner: Inner = innerOf(model, steps, 'together'),
) => base(model, steps, islands, { who: 'together', inner });

/** DiLoCo as the default rule has it. */
export const auto = (
  model: SizeName,
  steps: number,
  islands: number,
  outer: Partial<OuterSettings> = {},
  more = {},
) => {
  const { upCodec, downCodec } = outer;
  const rule = chooseSettings({ islands, steps, inner: 'muon', upCodec, downCodec });
  return base(model, steps, islands, { outer: { ...rule, ...outer }, ...more });
};

/** DiLoCo with AdamW inside, as the default rule has it. */
export const adamwIslands = (model: SizeName, steps: number, islands: number, rate: number) =>
  base(model, steps, islands, {
    inner: adamw(rate),
    outer: chooseSettings({ islands, steps, inner: 'adamw' }),
  });

/** Four fragments in turn, merged a step after they were handed in; the rest as the default rule has it. */
const inTurn = (steps: number, islands: number): Partial<OuterSettings> => ({
  ...chooseSettings({ islands, steps, inner: 'muon' }),
  fragments: 4,
  overlapSteps: 2,
});
export const streaming = (model: SizeName, steps: number, islands: number, outer: Partial<OuterSettings> = {}) =>
  base(model, steps, islands, {
    outer: { ...inTurn(steps, islands), localShare: 0.5, upCodec: 'e3m0', ...outer },
    latencyS: 1,
  });
export const decoupled = (
  model: SizeName,
  steps: number,
  islands: number,
  outer: Partial<OuterSettings> = {},
  more = {},
) =>
  base(model, steps, islands, {
    outer: { ...inTurn(steps, islands), quorum: 1, graceS: 1, weighting: 'tokens-times-rate', ...outer },
    latencyS: 1,
    ...more,
  });
