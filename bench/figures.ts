import { writeWhole } from '../src/files.ts';
import { describeMachine, thisMachine } from './machine.ts';

/** One figure that the docs may quote (DESIGN, section 9). */
export interface Figure {
  /** Dotted and stable. */
  readonly id: string;
  readonly value: number;
  readonly unit: string;
  readonly target: string | null;
  readonly met: boolean | null;
  readonly note: string;
}

/** Draws the table of a benchmark and, where asked, writes it as data. */
export function publish(bench: string, startedAt: Date, figures: readonly Figure[], json: string | undefined): void {
  const rows = figures.map((f) => [
    f.id,
    `${Number(f.value.toPrecision(4))} ${f.unit}`,
    f.target ?? '',
    f.met === null ? '' : f.met ? 'met' : 'MISSED',
    f.note,
  ]);
  const heads = ['figure', 'value', 'target', '', 'note'];
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]!.length)));
  for (const row of [heads, ...rows])
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    );
  const machine = thisMachine();
  console.log(`\non ${describeMachine(machine)}`);
  if (json === undefined) return;
  writeWhole(json, `${JSON.stringify({ bench, startedAt: startedAt.toISOString(), machine, figures }, null, 2)}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
