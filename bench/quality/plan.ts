import type { Averaging, OuterSettings } from '../../src/outer/settings.ts';
import { STRATEGIES, type Strategy } from '../../src/outer/settings.ts';
import type { Row, Section } from './section.ts';
import type { Attack, SizeName, Trial } from './trial.ts';
import { adamw, adamwIslands, auto, base, decoupled, streaming, together } from './trials.ts';
import { tuningSections } from './tuning.ts';

/** The benchmark's sections. */

const SEEDS = [1, 2, 3];

function main(model: SizeName, steps: number, counts: readonly number[], more: Partial<Trial> = {}): readonly Row[] {
  const row = (name: string, trial: Omit<Trial, 'seed'>): Row => ({ name, trial: { ...trial, ...more } });
  return [
    row('untrained', base(model, steps, 1, { who: 'untrained' })),
    row('one island alone', base(model, steps, 1, { who: 'together' })),
    row('one machine, 4 × the steps', base(model, steps, 4, { who: 'longer' })),
    row('data-parallel, 4, AdamW', together(model, steps, 4, adamw(0.002))),
    row('DiLoCo, 4 islands, AdamW', adamwIslands(model, steps, 4, 0.002)),
    ...counts.flatMap((islands) =>
      islands === 1 ? [] : [row(`data-parallel, ${islands}`, together(model, steps, islands))],
    ),
    ...counts.map((islands) => beside(islands, row(`DiLoCo, ${counted(islands)}`, auto(model, steps, islands)))),
    ...counts.flatMap((islands) => [
      beside(islands, row(`streaming, ${counted(islands)}`, streaming(model, steps, islands))),
      beside(islands, row(`decoupled, ${counted(islands)}`, decoupled(model, steps, islands))),
    ]),
  ];
}

const counted = (islands: number): string => `${islands} island${islands === 1 ? '' : 's'}`;
/** One island has no data-parallel run of as many. */
const beside = (islands: number, row: Row): Row => (islands === 1 ? { ...row, beside: 'one island alone' } : row);

const named = (strategy: Strategy, steps: number, outer: Partial<OuterSettings> = {}): Omit<Trial, 'seed'> =>
  base('small', steps, 4, {
    outer: { ...STRATEGIES[strategy]({ islands: 4, steps, inner: 'muon' }), ...outer },
    latencyS: outer.overlapSteps === undefined ? 0 : 1,
  });

export function sections(short: boolean): readonly Section[] {
  return short ? shortSections() : fullSections();
}

function shortSections(): readonly Section[] {
  const steps = 200;
  return [
    {
      id: 'main-small-200',
      title: 'A small model, 200 steps, one seed',
      baseline: 'data-parallel, 4',
      seeds: [1],
      rows: main('small', steps, [1, 4, 8]).filter(({ name }) => !/(streaming|decoupled), [18]/.test(name)),
    },
    {
      id: 'codecs',
      title: 'Codecs, 4 islands, both ways',
      baseline: 'f32',
      seeds: [1],
      rows: codecRows(steps, ['f32', 'int4', 'top-1/16+int4', 'low-rank-8+int4']),
    },
    {
      id: 'lost',
      title: 'Contributions that are lost',
      baseline: 'rounds, none lost',
      seeds: [1],
      rows: lostRows(steps, [0.3]),
    },
  ];
}

const codecRows = (steps: number, codecs: readonly OuterSettings['upCodec'][]): readonly Row[] =>
  codecs.map((codec) => ({ name: codec, trial: auto('small', steps, 4, { upCodec: codec, downCodec: codec }) }));

/** Rounds and decoupled merging with the same H; decoupled islands may run ten steps ahead of a merge. */
const APART = { innerSteps: 20 } as const;
const ahead = { ...APART, overlapSteps: 10, graceS: 0.5 } as const;

function lostRows(steps: number, shares: readonly number[]): readonly Row[] {
  const rounds = (lost: number) => auto('small', steps, 4, { ...APART, graceS: 5 }, { lost });
  const free = (lost: number, outer: Partial<OuterSettings> = {}) => ({
    ...decoupled('small', steps, 4, { ...ahead, ...outer }, { lost }),
    latencyS: 0.25,
  });
  return [
    { name: 'rounds, none lost', trial: rounds(0) },
    { name: 'decoupled, none lost', trial: free(0) },
    ...shares.flatMap((lost) => [
      { name: `rounds, ${100 * lost} % lost`, trial: rounds(lost) },
      { name: `decoupled, ${100 * lost} % lost`, trial: free(lost) },
      { name: `decoupled, ${100 * lost} % lost, carried over`, trial: free(lost, { carryOver: true }) },
    ]),
  ];
}

function speedRows(steps: number): readonly Row[] {
  const speeds = [1, 2, 4, 8];
  const asynchronous = {
    ...STRATEGIES.async({ islands: 4, steps, inner: 'muon' }),
    ...APART,
    momentum: 0.3,
    rate: 0.9,
  };
  const rounds = (outer: Partial<OuterSettings>, more = {}) =>
    auto('small', steps, 4, { ...APART, graceS: 60, ...outer }, more);
  const free = (more = {}) => ({ ...decoupled('small', steps, 4, ahead, more), latencyS: 0.25 });
  return [
    { name: 'rounds, islands alike', trial: rounds({}) },
    { name: 'decoupled, islands alike', trial: free() },
    { name: 'rounds, 1 : 2 : 4 : 8', trial: rounds({}, { speeds }) },
    { name: 'rounds, steps by speed, 1 : 2 : 4 : 8', trial: rounds({ stepsBySpeed: true }, { speeds }) },
    { name: 'decoupled, 1 : 2 : 4 : 8', trial: free({ speeds }) },
    {
      name: 'asynchronous, steps by speed, 1 : 2 : 4 : 8',
      trial: base('small', steps, 4, { outer: asynchronous, speeds }),
    },
  ];
}

/** A bound on lengths so high that the rules are alone. */
const UNBOUNDED = 1e6;

function attackRows(): readonly Row[] {
  const row = (name: string, averaging: Averaging, normBound: number, attack?: Attack): Row => {
    const trial = auto('small', 400, 8, { ...APART, averaging, normBound });
    return { name, trial: attack === undefined ? trial : { ...trial, attack } };
  };
  return [
    row('nobody lies, mean', 'mean', UNBOUNDED),
    ...(['sign-flip', 'scaling', 'noise'] as const).flatMap((attack) => [
      ...(['mean', 'median', 'trimmed-mean', 'multi-krum', 'geometric-median'] as const).map((averaging) =>
        row(`${attack}, ${averaging}`, averaging, UNBOUNDED, attack),
      ),
      row(`${attack}, mean of lengths bounded to 2 ×`, 'mean', 2, attack),
    ]),
  ];
}

/** Merges that come τ steps after their contributions. */
const overlapped = (tau: number, outer: Partial<OuterSettings> = {}) => ({
  ...streaming('small', 400, 4, { overlapSteps: tau + 1, innerSteps: 20, ...outer }),
  latencyS: tau,
});

function fullSections(): readonly Section[] {
  const four = (outer: Partial<OuterSettings>, more = {}) => auto('small', 400, 4, outer, more);
  const effect = (id: string, title: string, rows: readonly Row[], rest: Partial<Section> = {}): Section => ({
    id,
    title,
    seeds: SEEDS,
    rows,
    ...rest,
  });
  return [
    ...tuningSections,
    effect('main-small-400', 'Small model (0.14 M), 400 steps', main('small', 400, [1, 2, 4, 8, 16]), {
      baseline: 'data-parallel, 4',
    }),
    effect(
      'inner-steps',
      'H: inner steps between two merges (4 islands)',
      [1, 2, 5, 10, 20, 50, 100, 200].map((innerSteps) => ({
        name: `H ${innerSteps}`,
        x: innerSteps,
        trial: four({ innerSteps }),
      })),
      { axis: { label: 'H, inner steps between two merges', logarithmic: true }, baseline: 'H 10' },
    ),
    effect(
      'outer-rate',
      'η and μ of the outer optimizer (4 islands, H 10)',
      (
        [
          [1, 0],
          [0.9, 0.3],
          [0.9, 0.5],
          [0.9, 0.6],
          [0.8, 0.7],
          [0.7, 0.8],
          [0.7, 0.9],
        ] as const
      ).map(([rate, momentum]) => ({ name: `η ${rate}, μ ${momentum}`, trial: four({ rate, momentum }) })),
      { baseline: 'η 0.8, μ 0.7' },
    ),
    effect(
      'start',
      'A synchronous start: steps merged one by one (4 islands)',
      (
        [
          [0, 10],
          [40, 10],
          [0, 20],
          [40, 20],
        ] as const
      ).map(([startSteps, innerSteps]) => ({
        name: `${startSteps} steps, then H ${innerSteps}`,
        trial: four({ startSteps, innerSteps }),
      })),
      { baseline: '0 steps, then H 10' },
    ),
    effect(
      'codecs',
      'Codecs, both ways, each with the η and μ that the rule has for it (4 islands, H 10)',
      codecRows(400, CODECS),
      { baseline: 'f32' },
    ),
    effect(
      'codecs-momentum',
      'Codecs that lose much, and momentum outside (4 islands, H 10, one seed)',
      (['int2', 'sign', 'top-1/16+int4', 'low-rank-16+int4'] as const).flatMap((codec) =>
        (
          [
            [0.8, 0.7],
            [0.9, 0.5],
            [0.9, 0.3],
            [1, 0],
          ] as const
        ).map(([rate, momentum]) => ({
          name: `${codec}, η ${rate}, μ ${momentum}`,
          trial: four({ rate, momentum, upCodec: codec, downCodec: codec }),
        })),
      ),
      { seeds: [1] },
    ),
    effect(
      'main-small-1600',
      'Small model (0.14 M), 1,600 steps',
      [
        ...main('small', 1600, [4, 8]).filter(({ name }) => !/streaming|decoupled, 8/.test(name)),
        ...[100, 500].map((innerSteps) => ({
          name: `DiLoCo, 4 islands, H ${innerSteps}`,
          trial: auto('small', 1600, 4, { innerSteps }),
        })),
      ],
      { baseline: 'data-parallel, 4' },
    ),
    effect(
      'length',
      'How the gap falls with length (small model, 4 islands, one seed; the rates of 25,600 steps were not tuned)',
      [400, 1600, 6400, 25_600].flatMap((steps): readonly Row[] => [
        { name: `data-parallel, ${steps} steps`, trial: together('small', steps, 4) },
        {
          name: `DiLoCo, ${steps} steps, H ${Math.sqrt(steps) / 2}`,
          beside: `data-parallel, ${steps} steps`,
          trial: auto('small', steps, 4),
        },
      ]),
      { seeds: [1] },
    ),
    effect('lost', 'Contributions that are lost (4 islands, 400 steps, H 20)', lostRows(400, [0.1, 0.3, 0.5]), {
      baseline: 'rounds, none lost',
    }),
    effect('speeds', 'Islands of different speed (4 islands, 400 steps, H 20)', speedRows(400), {
      baseline: 'rounds, islands alike',
    }),
    effect('fragments', 'P: fragments in turn (4 islands, H 20, overlapped)', [
      ...[1, 2, 4, 8].map((fragments) => ({
        name: `P ${fragments}, balanced`,
        trial: streaming('small', 400, 4, { fragments, innerSteps: 20 }),
      })),
      {
        // Two layers: strided and sequential are the same cut.
        name: 'P 3, by layers',
        trial: streaming('small', 400, 4, { fragments: 3, fragmentation: 'strided', innerSteps: 20 }),
      },
    ]),
    effect('overlap', 'τ and α: overlap, and the share that an island keeps (4 islands, P 4, H 20)', [
      ...[1, 2, 5].map((tau) => ({
        name: `τ ${tau}, α 0.5`,
        trial: overlapped(tau),
      })),
      ...[0, 0.25, 0.75].map((alpha) => ({
        name: `τ 2, α ${alpha}`,
        trial: overlapped(2, { localShare: alpha }),
      })),
      { name: 'τ 5, α 0', trial: overlapped(5, { localShare: 0 }) },
      ...[2, 5].map((tau) => ({
        name: `τ ${tau}, carried over`,
        trial: overlapped(tau, { localShare: 0, carryOver: true }),
      })),
    ]),
    effect('quorum', 'K: quorum (4 islands of nearly one speed, decoupled, H 20)', [
      ...[1, 2, 4].map((quorum) => ({
        name: `K ${quorum}`,
        trial: decoupled('small', 400, 4, { quorum, innerSteps: 20 }, { speeds: [1, 1.1, 1.2, 1.3] }),
      })),
    ]),
    effect(
      'averaging',
      'Mean and radial–directional averaging',
      [4, 8].flatMap((islands) => [
        { name: `mean, ${islands} islands`, trial: auto('small', 400, islands) },
        {
          name: `radial–directional, ${islands} islands`,
          trial: auto('small', 400, islands, { averaging: 'radial-directional' }),
        },
      ]),
    ),
    effect('attacks', 'Two of eight islands lie in every merge (400 steps, H 20, one seed)', attackRows(), {
      baseline: 'nobody lies, mean',
      seeds: [1],
    }),
    effect('shards', 'Mixed text, and novels of their own', [
      { name: 'mixed', trial: four({}) },
      { name: 'one or two novels an island', trial: four({}, { shards: 'by-document' }) },
    ]),
    effect('strategies', 'Strategies by their names (4 islands, 400 steps)', [
      ...(
        [
          'data-parallel',
          'fedavg',
          'fedavgm',
          'fedadam',
          'fedyogi',
          'fedprox',
          'diloco',
          'muloco',
          'sparseloco',
          'async',
        ] as const
      ).map((strategy) => ({ name: strategy, trial: named(strategy, 400) })),
      { name: 'streaming', trial: named('streaming', 400, { fragments: 3, overlapSteps: 2 }) },
      { name: 'decoupled', trial: named('decoupled', 400, { overlapSteps: 5 }) },
      { name: 'dilocox', trial: named('dilocox', 400, { overlapSteps: 10 }) },
    ]),
    effect(
      'main-moby-dick',
      'Another corpus: Moby-Dick, small model, 400 steps',
      main('small', 400, [4, 8], { corpus: 'moby-dick' }),
      {
        baseline: 'data-parallel, 4',
      },
    ),
    effect(
      'main-medium-400',
      'Medium model (1.1 M), 400 steps (one seed; three in scale.md)',
      main('medium', 400, [4]).filter(({ name }) => !/AdamW|steps|, 8/.test(name)),
      { baseline: 'data-parallel, 4', seeds: [1] },
    ),
    effect(
      'few-bytes',
      'Few bytes: fewer bits, or longer rounds? (4 islands, 400 steps)',
      [
        { name: 'data-parallel, 4', trial: together('small', 400, 4) },
        ...(
          [
            [10, 'int4'],
            [10, 'int2'],
            [20, 'int4'],
            [10, 'sign'],
            [20, 'int2'],
            [40, 'int4'],
            [20, 'sign'],
          ] as const
        ).map(([innerSteps, codec]) => ({
          name: `H ${innerSteps}, ${codec}`,
          trial: four({ innerSteps, upCodec: codec, downCodec: codec }),
        })),
      ],
      { baseline: 'data-parallel, 4' },
    ),
  ];
}

const CODECS = [
  'f32',
  'bf16',
  'int8',
  'int4',
  'e3m0',
  'int2',
  'sign',
  'top-1/16+int4',
  'top-1/32+int4',
  'top-1/64+int4',
  'low-rank-16+int4',
  'low-rank-8+int4',
  'low-rank-4+int4',
] as const;
