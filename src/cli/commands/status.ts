import type { Standing } from '../../protocol/standing.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { askCoordinator } from '../host-client.ts';
import { integer, severalOf } from '../live/format.ts';
import { findRun } from '../run-folder.ts';

interface Status {
  readonly phase: string;
  readonly runStep: number;
  readonly steps: number;
  readonly merges: number;
  readonly mergedTokens: number;
  readonly validationLoss: number | null;
  readonly checkpoint: string | null;
  readonly checkpointMissing: readonly string[];
  readonly islands: readonly {
    readonly island: string;
    readonly status: string;
    readonly step: number | null;
    readonly tokens: number;
    readonly offences: number;
    readonly standing: Standing;
  }[];
}
interface Knock {
  readonly island: string;
  readonly key: string;
  readonly address: string;
}

/** Where a run is that is served on this machine. */
export async function status(run: string, context: CommandContext): Promise<number> {
  const folder = findRun(context.runs, run);
  const now = await askCoordinator<Status>(folder, 'GET', '/v1/status');
  const knocks = await askCoordinator<readonly Knock[]>(folder, 'GET', '/v1/knocks');
  if (context.json) printJson({ ...now, knocks });
  else {
    const loss = now.validationLoss === null ? '' : ` · validation loss ${now.validationLoss.toFixed(4)}`;
    print(`${now.phase} · step ${now.runStep} of ${now.steps} · ${integer(now.merges)} merges${loss}`);
    if (now.checkpoint !== null && now.checkpointMissing.length > 0)
      print(`  checkpoint ${now.checkpoint} is without ${severalOf(now.checkpointMissing)}`);
    for (const { island, step, tokens, offences, standing } of now.islands) {
      const offended = offences > 0 ? ` · ${offences} offences` : '';
      const { state, reason, next, fix } = standing;
      print(
        `  ${island.padEnd(24)} ${state.padEnd(9)} step ${String(step ?? '–').padStart(7)}  ${integer(tokens)} tokens${offended}`,
      );
      print(`  ${' '.repeat(24)} ${reason}${next === null ? '' : `: ${next.what}`}${fix === null ? '' : ` · ${fix}`}`);
    }
    for (const knock of knocks) print(`  ${describeKnock(knock)}; heliotrope admit ${run} ${knock.island}`);
  }
  return 0;
}

/** Lets an island in that asks to join, or sends it away. */
export async function admit(
  run: string,
  island: string,
  { refuse, key }: { readonly refuse?: boolean; readonly key?: string },
  context: CommandContext,
): Promise<number> {
  const letIn = refuse !== true;
  const folder = findRun(context.runs, run);
  await askCoordinator(folder, 'POST', `/v1/knocks/${encodeURIComponent(island)}`, {
    letIn,
    ...(key === undefined ? {} : { key }),
  });
  if (context.json) printJson({ run, island, letIn });
  else print(letIn ? `${island} may join.` : `${island} was sent away.`);
  return 0;
}

export const describeKnock = ({ island, key, address }: Knock): string =>
  `${island} (key ${key.slice(0, 8)}…, from ${address.replace(/^::ffff:/, '')}) asks to join`;
