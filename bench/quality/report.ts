import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { lineChart, type Series } from '../../src/cli/report/chart.ts';
import { writeWhole } from '../../src/files.ts';
import type { Figure } from '../figures.ts';
import type { Results } from './pool.ts';
import type { Row, Section } from './section.ts';
import type { TrialResult } from './trial.ts';

/** Tables, plots and figures of the quality benchmark. All losses are those on the half of the text that nothing was chosen by. */

interface Summary {
  readonly row: Row;
  /** None where the row stands as an earlier run of the benchmark wrote it. */
  readonly results: readonly TrialResult[];
  readonly test: number;
  readonly validation: number;
  /** Half the distance between the best and the worst seed. */
  readonly spread: number;
  /** The row as it was written. */
  readonly written: string | undefined;
}

/** A section as the page has it. */
interface WrittenSection {
  /** Rows by their names. */
  readonly rows: ReadonlyMap<string, string>;
  /** What the page says of a section that was measured before settings changed; it stays as long as one of its rows does. */
  readonly caveat: string | undefined;
}
type Page = ReadonlyMap<string, WrittenSection>;

export function readPage(folder: string): Page {
  const file = path.join(folder, 'quality.md');
  if (!existsSync(file)) return new Map();
  const [, ...parts] = readFileSync(file, 'utf8').split(/^## .*\n/m);
  return new Map(
    parts.map((part) => {
      const rows = part.split('\n').filter((line) => /^\| [^-]/.test(line));
      const [, id, caveat] = /^`(.*)`(?: · (.*))?$/m.exec(part)!;
      return [id!, { rows: new Map(rows.map((line) => [line.split(' | ')[0]!.slice(2), line])), caveat }];
    }),
  );
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/**
 * What was measured takes the place of what was written once all seeds of a row are there; in a section with a caveat, once all
 * rows are, so that none stands beside one that was measured otherwise.
 */
function summariesOf({ id, rows, seeds }: Section, results: Results, page: Page): readonly Summary[] {
  const foundOf = (row: Row) => seeds.flatMap((seed) => results.of({ ...row.trial, seed }) ?? []);
  const old = page.get(id)?.caveat !== undefined && rows.some((row) => foundOf(row).length < seeds.length);
  return rows.flatMap((row): readonly Summary[] => {
    const found = old ? [] : foundOf(row);
    const written = page.get(id)?.rows.get(row.name);
    if (written !== undefined && found.length < seeds.length) {
      const test = Number.parseFloat(written.split(' | ')[1]!);
      return [{ row, results: [], test, validation: test, spread: 0, written }];
    }
    if (found.length === 0) return [];
    const tests = found.map(({ test }) => test);
    return [
      {
        row,
        results: found,
        test: mean(tests),
        validation: mean(found.map(({ validation }) => validation)),
        spread: (Math.max(...tests) - Math.min(...tests)) / 2,
        written: undefined,
      },
    ];
  });
}

/** The row that it names, or the data-parallel run of as many islands in the same section, or the section's own baseline. */
function baselineOf(section: Section, summaries: readonly Summary[], row: Row): Summary | undefined {
  if (row.beside !== undefined) return summaries.find((s) => s.row.name === row.beside);
  const parallel = summaries.find((s) => s.row.name === `data-parallel, ${row.trial.islands}`);
  return parallel ?? summaries.find((s) => s.row.name === section.baseline);
}

/** Of means over the same seeds: where one of the two has fewer, of as many. */
function gapOf(own: Pick<Summary, 'test' | 'results'>, beside: Summary): number {
  const seeds = Math.min(own.results.length, beside.results.length);
  if (seeds === 0) return own.test / beside.test - 1;
  const first = ({ results }: Pick<Summary, 'results'>) => mean(results.slice(0, seeds).map(({ test }) => test));
  return first(own) / first(beside) - 1;
}

const slug = (name: string): string => name.toLowerCase().replaceAll(/[^a-zητμα0-9.]+/g, '-');

/** Of what this run and those before it measured here; not of what stands on the page alone. */
export function figuresOf(sections: readonly Section[], results: Results, page: Page): readonly Figure[] {
  return sections.flatMap((section) => {
    const summaries = summariesOf(section, results, page);
    return summaries.flatMap(({ row, test, spread, results: found }): readonly Figure[] => {
      if (found.length === 0) return [];
      const id = `quality.${section.id}.${slug(row.name)}`;
      const plain = { target: null, met: null };
      const loss: Figure = {
        id,
        value: test,
        unit: 'nats/token',
        ...plain,
        note: found.length === 1 ? 'one seed' : `± ${spread.toFixed(4)}, ${found.length} seeds`,
      };
      const beside = baselineOf(section, summaries, row);
      if (beside === undefined || beside.row === row || row.trial.who !== 'islands') return [loss];
      const gap = 100 * gapOf({ test, results: found }, beside);
      const target = targetOf(section, row);
      const met = target === null ? null : gap <= target;
      const shown = target === null ? null : `≤ +${target} %`;
      const against: Figure = {
        id: `${id}.gap`,
        value: gap,
        unit: '%',
        target: shown,
        met,
        note: `against ${beside.row.name}`,
      };
      return [loss, against];
    });
  });
}

/** What the issue asks of a row: within 0.5 % of data-parallel, at short lengths at most 2.8 %. */
function targetOf({ id }: Section, { trial, name }: Row): number | null {
  if (!id.startsWith('main') || trial.inner.kind !== 'muon') return null;
  if (trial.islands !== 4 && trial.islands !== 8) return null;
  return name.startsWith('DiLoCo') || name.startsWith('decoupled') ? (trial.steps >= 1600 ? 2.8 : 0.5) : null;
}

/** Rows that were not measured here stay as the page has them. */
export function writeReport(folder: string, sections: readonly Section[], results: Results, page: Page): void {
  const parts = sections
    .map((section) => [section, summariesOf(section, results, page)] as const)
    .filter(([, summaries]) => summaries.length > 0)
    .map(([section, summaries]) => sectionText(folder, section, summaries, page.get(section.id)?.caveat));
  writeWhole(path.join(folder, 'quality.md'), `${HEAD}\n${parts.join('\n')}`);
}

const HEAD = `# How good training across islands is

Written by \`npm run bench quality\`; \`-- --short\` does a small part of it in a few minutes, and \`-- --only SECTION\` one section. Broken off, it
goes on where it was; rows that it has not measured stay as they are written here.

**The contract.** Each run of M islands stands beside ONE synchronous data-parallel run with M times the batch: the same number of optimizer
steps and so the same tokens, the same initial weights, text and schedule (20 steps of warm-up, cosine to 5 %), each with the inner
optimizer that was best for it among as many tried (sections \`tuning\`). Also shown: the untrained model, one island alone (1/M of the tokens), and one machine that takes M times as many
steps. Losses are of the *merged* model, mean cross-entropy in nats a token, on held-out text; settings were chosen by one half of it, the
figures are of the other. Mean of three seeds, ± half the distance from the best to the worst, unless a row says otherwise; gaps are of the means. Runs are in virtual time:
the coordinator's own state machine and merging, the islands' own machine and codecs, real models; a merged fragment is taken at the end of the step in which it
comes. A run with too few merged tokens is invalid, and left out.

**Models.** Llama layout, 8 sequences a step and island; small: 2 layers of 64, context 64, vocabulary 512, 0.14 M parameters; medium: 5 layers of 128,
context 128, vocabulary 1,024, 1.14 M. Inner optimizer Muon (momentum 0.8, three Newton–Schulz steps, AdamW at 0.8 of the rate for the rest) unless
a row says AdamW. *DiLoCo* is the default rule of the run file (\`strategy: auto\`): see docs/decisions/0010-default-outer-settings.md. *Bytes* are
payload sent and received by an island, *fewer* is against float32 gradients up and down in every step.
`;

function sectionText(
  folder: string,
  section: Section,
  summaries: readonly Summary[],
  caveat: string | undefined,
): string {
  const bytesMatter = summaries.some(({ row }) => row.trial.who === 'islands');
  const flow = ['lost', 'speeds', 'overlap'].includes(section.id);
  const tuning = section.id.startsWith('tuning');
  const peaks = section.id === 'fragments';
  const heads = [
    '',
    tuning ? 'loss (validation half)' : 'loss',
    ...(tuning ? [] : ['gap']),
    ...(bytesMatter && !tuning ? ['MB an island', 'fewer'] : []),
    ...(flow ? ['goodput', 'virtual time'] : []),
    ...(peaks ? ['peak up, B/s', 'mean up, B/s'] : []),
  ];
  const lines = summaries.map((summary) => {
    const { row, results, test, validation, spread, written } = summary;
    if (written !== undefined) return written;
    const beside = baselineOf(section, summaries, row);
    const gap = beside === undefined || beside === summary ? '' : percent(gapOf(summary, beside));
    const [first] = results;
    const bytes = mean(results.map(({ bytesPerIsland }) => bytesPerIsland));
    const parallel = 8 * first!.parameters * row.trial.steps;
    const cells = [
      row.name,
      tuning
        ? validation.toFixed(4)
        : `${test.toFixed(4)}${results.length > 1 ? ` ± ${spread.toFixed(4)}` : ''}${seedsNote(results.length)}`,
      ...(tuning ? [] : [gap]),
      ...(bytesMatter && !tuning
        ? [bytes === 0 ? '' : (bytes / 1e6).toFixed(2), bytes === 0 ? '' : `${Math.round(parallel / bytes)} ×`]
        : []),
      ...(flow
        ? [
            percentPlain(mean(results.map(({ goodput }) => goodput))),
            `${Math.round(mean(results.map(({ virtualS }) => virtualS)))} s`,
          ]
        : []),
      ...(peaks
        ? [
            Math.round(mean(results.map(({ peakBytesPerS }) => peakBytesPerS))).toLocaleString('en-US'),
            Math.round(mean(results.map(({ meanBytesPerS }) => meanBytesPerS))).toLocaleString('en-US'),
          ]
        : []),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const plot = plotOf(folder, section, summaries);
  const kept = caveat !== undefined && summaries.some(({ written }) => written !== undefined);
  const line = `\`${section.id}\`${kept ? ` · ${caveat}` : ''}`;
  return `## ${section.title}\n${line}\n\n${plot}| ${heads.join(' | ')} |\n|${heads.map(() => ' --- |').join('')}\n${lines.join('\n')}\n`;
}

const seedsNote = (seeds: number): string => (seeds >= 3 ? '' : seeds === 2 ? ', two seeds' : ', one seed');
const percent = (share: number): string => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(2)} %`;
const percentPlain = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A plot as an SVG file, where the rows lie along an axis. @returns the line that shows it */
function plotOf(folder: string, section: Section, summaries: readonly Summary[]): string {
  const series = seriesOf(section, summaries);
  if (series === undefined) return '';
  const file = `quality-${section.id}.svg`;
  const options = { title: section.title, yLabel: 'loss, nats a token', width: 720, height: 340 };
  const [svg] = lineChart(series.lines, { ...options, xLabel: series.xLabel }).split('</svg>');
  const legend = series.lines
    .map(
      ({ name, color }, i) =>
        `<text x="${430 + 140 * (i % 2)}" y="${50 + 16 * Math.floor(i / 2)}" style="fill:${color};font-weight:600">${name}</text>`,
    )
    .join('');
  const style =
    '<style>text{font:12px system-ui,sans-serif;fill:#444}.title{font-weight:600}.grid{stroke:#ddd}</style>';
  const sized = svg!.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="340" ');
  const back = '<rect width="720" height="340" fill="#fff"/>';
  writeWhole(path.join(folder, file), `${sized.replace(/>\n/, `>${style}${back}\n`)}${legend}</svg>\n`);
  return `![${section.title}](${file})\n\n`;
}

function seriesOf(
  { axis, id }: Section,
  summaries: readonly Summary[],
): { readonly xLabel: string; readonly lines: readonly Series[] } | undefined {
  const line = (name: string, color: string, chosen: readonly (readonly [number, number])[]): readonly Series[] =>
    chosen.length < 2 ? [] : [{ name, color, points: chosen, dots: true }];
  if (axis !== undefined) {
    const scale = (x: number): number => (axis.logarithmic === true ? Math.log10(x) : x);
    const points = summaries.map(({ row, test }) => [scale(row.x!), test] as const);
    const xLabel = axis.logarithmic === true ? `log₁₀ of ${axis.label}` : axis.label;
    return { xLabel, lines: line('4 islands', '#c2410c', points) };
  }
  if (!id.startsWith('main')) return undefined;
  const along = (start: string): readonly (readonly [number, number])[] =>
    summaries
      .filter(({ row }) => row.name.startsWith(start) && /, \d+( islands?)?$/.test(row.name))
      .map(({ row, test }) => [Math.log2(row.trial.islands), test] as const);
  const alone = summaries.find(({ row }) => row.name === 'one island alone');
  const parallel = [...(alone === undefined ? [] : [[0, alone.test] as const]), ...along('data-parallel')];
  return {
    xLabel: 'log₂ of the number of islands (0: one, 1: two, 2: four, 3: eight)',
    lines: [
      ...line('data-parallel', '#334155', parallel),
      ...line('DiLoCo', '#c2410c', along('DiLoCo')),
      ...line('streaming', '#0369a1', along('streaming')),
      ...line('decoupled', '#15803d', along('decoupled')),
    ],
  };
}
