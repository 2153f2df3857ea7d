import type { Row, Section } from './section.ts';
import type { Inner, SizeName } from './trial.ts';
import { adamw, adamwIslands, auto, innerOf, muon, together } from './trials.ts';

/** How inner optimizers were chosen: by the validation half of the text, both sides with as many trials. */

/** Data-parallel and DiLoCo, each with its own inner optimizer changed alike. */
function bothSides(
  [model, steps, islands]: readonly [SizeName, number, number],
  what: string,
  change: (own: ReturnType<typeof muon>) => Inner,
): readonly Row[] {
  const apart = change(innerOf(model, steps, 'islands'));
  return [
    {
      name: `data-parallel, ${islands}, Muon, ${what}`,
      trial: together(model, steps, islands, change(innerOf(model, steps, 'together'))),
    },
    { name: `DiLoCo, ${islands} islands, Muon, ${what}`, trial: { ...auto(model, steps, islands), inner: apart } },
  ];
}

const tuningRows = (shape: readonly [SizeName, number, number], rates: readonly number[]): readonly Row[] =>
  rates.flatMap((rate) => bothSides(shape, `rate ${rate}`, () => muon(rate)));

export const tuningSections: readonly Section[] = [
  {
    id: 'tuning',
    title: 'Inner optimizers, by the validation half of the text (400 steps, one seed)',
    seeds: [1],
    rows: [
      ...tuningRows(['small', 400, 4], [0.02, 0.03, 0.04, 0.06, 0.09]),
      ...tuningRows(['small', 400, 8], [0.03, 0.04, 0.06, 0.09]),
      // One number after the other, at the best rate of each side.
      ...[0.7, 0.9, 0.95].flatMap((momentum) =>
        bothSides(['small', 400, 4], `momentum ${momentum}`, ({ rate, adamRate }) => muon(rate, adamRate, momentum)),
      ),
      ...[0.2, 0.4, 1.6].flatMap((share) =>
        bothSides(['small', 400, 4], `AdamW at ${share} of its rate`, ({ rate }) => muon(rate, share * rate)),
      ),
    ],
  },
  {
    id: 'tuning-adamw',
    title: 'Rates of AdamW, by the validation half of the text (400 steps, one seed)',
    seeds: [1],
    rows: [0.001, 0.002, 0.004, 0.008].flatMap((rate) => [
      { name: `data-parallel, 4, AdamW ${rate}`, trial: together('small', 400, 4, adamw(rate)) },
      { name: `DiLoCo, 4 islands, AdamW ${rate}`, trial: adamwIslands('small', 400, 4, rate) },
    ]),
  },
  {
    id: 'tuning-1600',
    title: 'Inner rates of longer runs, by the validation half of the text (small model, 1,600 steps, one seed)',
    seeds: [1],
    rows: tuningRows(['small', 1600, 4], [0.015, 0.02, 0.03, 0.04]),
  },
  {
    id: 'tuning-6400',
    title: 'The same with 6,400 steps',
    seeds: [1],
    rows: tuningRows(['small', 6400, 4], [0.0075, 0.011, 0.015]),
  },
];
