import path from 'node:path';
import { type CommandContext, print, printJson } from '../context.ts';
import { bytes, duration } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { latestRun, listRuns, readJson } from '../run-folder.ts';
import { sanitized } from '../terminal-text.ts';

/** Lists the runs of this folder. */
export async function runs(context: CommandContext): Promise<number> {
  const latest = latestRun(context.runs);
  const rows = listRuns(context.runs).map((name) => {
    const summary = readJson<Summary>(path.join(context.runs, name, 'summary.json'));
    return { name, latest: name === latest, status: sanitized(summary?.status ?? 'unfinished', 12), summary };
  });
  if (context.json) printJson(rows);
  else if (rows.length === 0) print(`No runs in ${context.runs}. Train one: heliotrope train RUN.yaml`);
  else {
    print(
      [
        '  run'.padEnd(30),
        'status'.padEnd(13),
        'loss'.padStart(8),
        'islands'.padStart(9),
        'steps'.padStart(8),
        'exchanged'.padStart(11),
        'time'.padStart(14),
      ].join(''),
    );
    for (const { name, latest: newest, status, summary: s } of rows) {
      const loss = s?.validationLoss.after?.toFixed(4) ?? '–';
      const rest =
        s === undefined
          ? ['–', '–', '–', '–']
          : [String(s.islands), String(s.steps), bytes(s.bytesPerIsland), duration(s.wallS)];
      print(
        [
          `${newest ? '→' : ' '} ${name}`.padEnd(30),
          status.padEnd(13),
          loss.padStart(8),
          rest[0]!.padStart(9),
          rest[1]!.padStart(8),
          rest[2]!.padStart(11),
          rest[3]!.padStart(14),
        ].join(''),
      );
    }
  }
  return 0;
}
