import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { entriesOf } from '../../coordinator/persistent-map.ts';
import type { Unit } from '../../protocol/job.ts';
import { asTyped } from '../context.ts';
import type { LiveRecord } from '../records.ts';
import { plain } from '../terminal-text.ts';
import { describeRecord } from './describe.ts';
import { byName, bytes, duration, integer, percent } from './format.ts';
import { emptyView, etaS, fold, shareDone, type View } from './view.ts';

/** Shows a run as it goes: a table that redraws itself on a terminal, plain lines elsewhere. */
export class ProgressDisplay {
  readonly #out: NodeJS.WriteStream;
  readonly #unit: Unit;
  readonly #beside: Beside | undefined;
  readonly #live: boolean;
  readonly #colors: ReturnType<typeof pc.createColors>;
  readonly #startMs = performance.now();
  #view: View;
  #drawnLines = 0;
  #drawnAtMs = 0;
  #saidStep = -1;

  /** @param live redraw in place; off for pipes, CI and `NO_COLOR` with a dumb terminal */
  constructor(
    out: NodeJS.WriteStream,
    totalSteps: number,
    unit: Unit,
    environment: NodeJS.ProcessEnv,
    beside?: Beside,
  ) {
    this.#beside = beside;
    this.#out = out;
    this.#unit = unit;
    const colorful = !environment.NO_COLOR && (out.isTTY === true || Boolean(environment.FORCE_COLOR));
    this.#live = out.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb' && !environment.CI;
    this.#colors = pc.createColors(colorful);
    this.#view = emptyView(totalSteps);
  }

  take(record: LiveRecord): void {
    this.#view = fold(this.#view, record);
    if (!this.#live) return this.#printLine(record);
    // What comes and goes with the sun is in the lines beside the table.
    const said = record.kind === 'phase' || (record.kind === 'island' && this.#beside === undefined);
    const sentence = said ? describeRecord(record) : undefined;
    if (sentence !== undefined) this.say(sentence);
    else if (performance.now() - this.#drawnAtMs >= REDRAW_MS) this.#draw();
  }

  /** A sentence that stays above the table. */
  say(sentence: string): void {
    this.#erase();
    this.#out.write(
      `${this.#colors.dim(duration(Math.max(this.#view.nowS, (performance.now() - this.#startMs) / 1000)).padStart(12))}  ${plain(asTyped(sentence))}\n`,
    );
    if (this.#live) this.#draw();
  }

  /** Leaves the last table as it is. */
  finish(): void {
    if (this.#live) this.#draw();
    this.#drawnLines = 0;
  }

  #printLine(record: LiveRecord): void {
    for (const sentence of this.#beside?.news() ?? []) this.say(sentence);
    if (record.kind === 'phase' || (record.kind === 'island' && this.#beside === undefined))
      this.say(describeRecord(record)!);
    if (record.kind === 'evaluation') this.say(this.#headline());
    if (record.kind === 'merge' && record.runStep - this.#saidStep >= this.#view.totalSteps / 20) {
      this.#saidStep = record.runStep;
      for (const line of this.#rows()) this.#out.write(`${' '.repeat(14)}${line}\n`);
    }
  }

  #headline(): string {
    const view = this.#view;
    const loss = view.validation.at(-1);
    const eta = etaS(view);
    const done = Math.round(shareDone(view) * view.totalSteps);
    return [
      `step ${done} of ${view.totalSteps} (${percent(done / view.totalSteps)})`,
      loss === undefined ? undefined : `validation loss ${loss.loss.toFixed(4)} at step ${loss.runStep}`,
      eta === undefined || view.phase !== 'training' ? undefined : `about ${duration(eta)} to go`,
    ]
      .filter((part) => part !== undefined)
      .join(' · ');
  }

  #rows(): readonly string[] {
    const { islands, training } = this.#view;
    const rows = entriesOf(islands, MOST_ROWS)
      .toSorted(([a], [b]) => byName(a, b))
      .map(([name, row]) =>
        [
          name.padEnd(12),
          row.status.padEnd(8),
          `step ${String(row.step).padStart(5)}`,
          `${integer(row.tokensPerS).padStart(7)} ${this.#unit}/s`,
          `loss ${row.loss === null ? '    –' : row.loss.toFixed(3)}`,
          `sent ${bytes(row.sentBytes).padStart(7)}`,
        ].join('  '),
      );
    const more = islands.size - rows.length;
    return more === 0
      ? rows
      : [...rows, `and ${integer(more)} more; ${integer(training.islands)} of ${integer(islands.size)} train`];
  }

  #draw(): void {
    this.#erase();
    const { green, yellow, dim, bold } = this.#colors;
    const width = 40;
    const filled = Math.round(shareDone(this.#view) * width);
    const bar = green('█'.repeat(filled)) + dim('░'.repeat(width - filled));
    const rows = this.#rows().map((row) => (row.includes('training') ? row : yellow(row)));
    const head = ['', `${bar}  ${bold(this.#view.phase)}`, this.#headline(), dim(sparkline(this.#view))];
    const lines = [...head, ...rows, ...(this.#beside?.lines() ?? [])];
    this.#out.write(`${lines.join('\n')}\n`);
    // A line that is wider than the terminal takes several rows of it.
    const columns = Math.max(20, this.#out.columns ?? 80);
    const rowsOf = (line: string): number => Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns));
    this.#drawnLines = lines.reduce((sum, line) => sum + rowsOf(line), 0);
    this.#drawnAtMs = performance.now();
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#out.write(`\u001b[${this.#drawnLines}A\u001b[0J`);
    this.#drawnLines = 0;
  }
}

/** Something that goes on beside the run: lines for a display that redraws, sentences for one that does not. */
export interface Beside {
  lines(): readonly string[];
  news(): readonly string[];
}

const REDRAW_MS = 200;
/** Islands with a row of their own: a terminal has no room for thousands, and the coordinator no time. */
const MOST_ROWS = 64;
const LEVELS = '▁▂▃▄▅▆▇█';

/** Validation losses so far as a row of bars, newest right. */
function sparkline({ validation }: View): string {
  if (validation.length < 2) return '';
  const losses = validation.slice(-60).map((v) => v.loss);
  const low = Math.min(...losses);
  const span = Math.max(...losses) - low || 1;
  const bars = losses.map((loss) => LEVELS[Math.round(((loss - low) / span) * (LEVELS.length - 1))]);
  return `validation  ${bars.join('')}  ${low.toFixed(3)}`;
}
