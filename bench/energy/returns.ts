import { type Figure, median } from '../figures.ts';
import { runTrials } from '../quality/pool.ts';
import type { Trial, TrialResult } from '../quality/trial.ts';
import { auto, base, innerOf } from '../quality/trials.ts';
import type { Section } from './section.ts';

const STEPS = 200;
const ISLANDS = [2, 4, 8, 16];
/** How many times as long one island trains. */
const LONGER = [1, 2, 3, 4, 6, 8, 12];

/**
 * What more islands are worth: how many times as long one island alone would have to train for the loss that j islands reach together, with as many steps
 * each. Real training of the small model of `npm run bench quality`.
 */
export const returns: Section = {
  id: 'returns',
  figures: async ({ short }) => {
    const seeds = short ? [1] : [1, 2];
    const islands = short ? ISLANDS.slice(0, 3) : ISLANDS;
    const losses = new Map<string, number>();
    const trials = seeds.flatMap((seed): Trial[] => [
      ...LONGER.map((times) => ({ ...alone(times), seed })),
      ...islands.map((count) => ({ ...auto('small', STEPS, count), seed })),
    ]);
    await runTrials(trials, (trial, outcome: TrialResult | { readonly error: string }) => {
      if ('error' in outcome) throw new Error(`${trial.who} ${trial.islands}: ${outcome.error}`);
      losses.set(keyOf(trial), outcome.test);
    });
    const worth = (count: number, seed: number): number => {
      const loss = losses.get(keyOf({ who: 'islands', islands: count, seed }))!;
      return timesFor(
        loss,
        LONGER.map((times) => [times, losses.get(keyOf({ who: 'longer', islands: times, seed }))!] as const),
      );
    };
    const curve = islands.map((count) => [count, median(seeds.map((seed) => worth(count, seed)))] as const);
    // Of returns that grow as a power of the number of islands, through 1 at 1: least squares of the logarithms.
    const logs = curve.map(([count, value]) => [Math.log(count), Math.log(value)] as const);
    const exponent = logs.reduce((sum, [x, y]) => sum + x * y, 0) / logs.reduce((sum, [x]) => sum + x * x, 0);
    const figure = (id: string, value: number, unit: string, note: string): Figure => ({
      id: `energy.returns.${id}`,
      value,
      unit,
      target: null,
      met: null,
      note,
    });
    return [
      ...curve.map(([count, value]) =>
        figure(
          `${count}`,
          value,
          '× one island',
          `${count} islands of ${STEPS} steps, median of ${seeds.length} seeds`,
        ),
      ),
      figure('exponent', exponent, '', 'returns are about the number of islands to this power'),
    ];
  },
};

const alone = (times: number): Omit<Trial, 'seed'> =>
  base('small', STEPS, times, { who: 'longer', inner: innerOf('small', STEPS * times, 'together') });

const keyOf = ({ who, islands, seed }: Pick<Trial, 'who' | 'islands' | 'seed'>): string => `${who} ${islands} ${seed}`;

/** Between two lengths the loss is taken to fall evenly with the logarithm; beyond the longest nobody knows. */
function timesFor(loss: number, alone: readonly (readonly [times: number, loss: number])[]): number {
  for (let i = 1; i < alone.length; i++) {
    const [[before, higher], [after, lower]] = [alone[i - 1]!, alone[i]!];
    if (loss < lower) continue;
    const share = Math.max(0, (higher - loss) / (higher - lower));
    return before * (after / before) ** share;
  }
  return alone.at(-1)![0];
}
