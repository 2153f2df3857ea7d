import { existsSync, readFileSync } from 'node:fs';
import { writeWhole } from '../../src/files.ts';
import { fragmentsOf } from '../../src/island/layout.ts';
import { parametersOf } from '../../src/ml/models/model.ts';
import { countParameters } from '../../src/ml/tensor/parameters.ts';
import { codecFor } from '../../src/outer/codecs/index.ts';
import type { Figure } from '../figures.ts';
import { materialOf } from '../quality/material.ts';
import type { SizeName } from '../quality/trial.ts';
import { keyOf, ROWS, type Row } from './plan.ts';

/** Tables and figures of `bench scale`: of each row the rate that is best by the validation half of the text, and its losses on the other half. */

export interface Result {
  readonly validation: number;
  readonly test: number;
  readonly device: string;
}

export function readResults(file: string): ReadonlyMap<string, Result> {
  if (!existsSync(file)) return new Map();
  // A line that was cut off by the end of its process is done again.
  const lines = readFileSync(file, 'utf8').split('\n');
  return new Map(
    lines
      .filter((line) => line.endsWith('}'))
      .map((line) => {
        const { key, ...result } = JSON.parse(line) as Result & { readonly key: string };
        return [key, result];
      }),
  );
}

interface Best {
  readonly row: Row;
  readonly rate: number;
  /** By seed. */
  readonly tests: readonly number[];
}

/** Undefined until every rate has every seed. */
function bestOf(row: Row, results: ReadonlyMap<string, Result>): Best | undefined {
  const tried = row.rates.map((rate) => ({
    rate,
    found: row.seeds.flatMap((seed) => results.get(keyOf(row, rate, seed)) ?? []),
  }));
  if (tried.some(({ found }) => found.length < row.seeds.length)) return undefined;
  const validation = ({ found }: (typeof tried)[number]) => mean(found.map((result) => result.validation));
  const { rate, found } = tried.reduce((best, next) => (validation(next) < validation(best) ? next : best));
  return { row, rate, tests: found.map(({ test }) => test) };
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
const spreadOf = (values: readonly number[]): number => (Math.max(...values) - Math.min(...values)) / 2;

const sameShape = (a: Row, b: Row): boolean =>
  a.model === b.model && a.steps === b.steps && a.batch === b.batch && a.islands === b.islands;

/** Over data-parallel of the same shape, on the same seeds. */
function gapOf({ row, tests }: Best, all: readonly Best[]): number | undefined {
  const beside = all.find((other) => other.row.outer === undefined && sameShape(other.row, row));
  if (row.outer === undefined || beside === undefined) return undefined;
  return mean(tests) / mean(beside.tests.slice(0, tests.length)) - 1;
}

/** How many times fewer bytes an island sends and receives than float32 gradients up and down in every step. */
function fewerOf({ model, steps, outer }: Row): number {
  if (outer === undefined) return 1;
  const { model: config } = materialOf({ corpus: 'austen', model });
  const [fragment] = fragmentsOf(config, { fragments: 1, fragmentation: 'balanced' });
  const merges = Math.ceil(steps / outer.innerSteps);
  return (4 * countParameters(parametersOf(config)) * steps) / (codecFor(outer.codec, fragment!).leastBytes * merges);
}

const nameOf = ({ outer, islands }: Row): string =>
  outer === undefined
    ? `data-parallel, ${islands}`
    : `${islands} islands, H ${outer.innerSteps}, ${outer.codec}${outer.rate === 0.8 && outer.momentum === 0.7 ? '' : `, η ${outer.rate}, μ ${outer.momentum}`}`;

export function writeReport(file: string, results: ReadonlyMap<string, Result>): void {
  const all = ROWS.flatMap((row) => bestOf(row, results) ?? []);
  const devices = [...new Set([...results.values()].map(({ device }) => device))].join(', ');
  const shapes = new Map(all.map(({ row }) => [titleOf(row), row]));
  const parts = [...shapes].map(([title]) => {
    const own = all.filter(({ row }) => titleOf(row) === title);
    return `## ${title}\n\n| | loss | gap | fewer bytes | rate, of those tried |\n| --- | --- | --- | --- | --- |\n${own.map((best) => line(best, all)).join('\n')}\n`;
  });
  writeWhole(file, `${HEAD.replace('DEVICES', devices)}\n${parts.join('\n')}`);
}

const MODELS: Readonly<Record<SizeName, string>> = { small: 'Small model (0.14 M)', medium: 'Medium model (1.1 M)' };
const titleOf = ({ model, steps, batch }: Row): string =>
  `${MODELS[model]}, ${steps.toLocaleString('en')} steps of ${batch} sequences an island`;

function line(best: Best, all: readonly Best[]): string {
  const { row, rate, tests } = best;
  const gap = gapOf(best, all);
  const fewer = fewerOf(row);
  const cells = [
    nameOf(row),
    `${mean(tests).toFixed(4)}${tests.length === 1 ? ', one seed' : ` ± ${spreadOf(tests).toFixed(4)}`}`,
    gap === undefined ? '' : percent(gap),
    row.outer === undefined ? '' : `${Math.round(fewer).toLocaleString('en')} ×`,
    `${rate} (${row.rates.join(', ')})`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const percent = (share: number): string => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(2)} %`;

export function figuresOf(results: ReadonlyMap<string, Result>): readonly Figure[] {
  const all = ROWS.flatMap((row) => bestOf(row, results) ?? []);
  return all.flatMap((best): readonly Figure[] => {
    const { row, tests } = best;
    const id = `scale.${row.model}-${row.steps}x${row.batch}.${nameOf(row).replaceAll(/[^a-zημ0-9.]+/gi, '-')}`;
    const note = tests.length === 1 ? 'one seed' : `± ${spreadOf(tests).toFixed(4)}, ${tests.length} seeds`;
    const gap = gapOf(best, all);
    const loss: Figure = { id, value: mean(tests), unit: 'nats/token', target: null, met: null, note };
    if (gap === undefined) return [loss];
    const fewer = fewerOf(row);
    // The target is of a loss at so many times fewer bytes.
    const judged = row.batch === 32 && row.steps === 6400;
    const most = fewer >= 2000 ? 1 : 0.5;
    return [
      loss,
      {
        id: `${id}.gap`,
        value: 100 * gap,
        unit: '%',
        target: judged ? `≤ +${most} %` : null,
        met: judged ? 100 * gap <= most : null,
        note: `${Math.round(fewer).toLocaleString('en')} times fewer bytes`,
      },
    ];
  });
}

const HEAD = `# Larger batches, longer runs

Written by \`npm run bench scale\` from runs on DEVICES with PyTorch (\`bench/scale/islands.py\`): the same models, text, initial weights, windows, schedule
and merges as \`npm run bench quality\` ([its tables](quality.md), with the contract), written a second time for GPUs, where all runs of a shape are trained side by
side. Test losses of merged models in nats a token, mean of three seeds ± half the distance from the best to the worst unless a row says
otherwise; gaps over data-parallel with as many times the batch, on the same seeds, each at the best of its own rates by the other half of the held-out text. Muon
with momentum 0.9 (medium model: 0.8), η 0.8 and μ 0.7 unless a row says otherwise. *Fewer bytes* is against float32 gradients up and down in every step.
`;
