import path from 'node:path';
import type { IslandShare, RunEnergy } from '../../coordinator/run-energy.ts';
import { HelioError } from '../../errors.ts';
import { unitOf } from '../../protocol/job.ts';
import type { Standing } from '../../protocol/standing.ts';
import { type CommandContext, colorful, print, printJson } from '../context.ts';
import { qualityShares, sourceShares } from '../energy-words.ts';
import { readStanding, showHome } from '../home-standing.ts';
import { askCoordinator } from '../host-client.ts';
import { count, duration, gramsCO2e, integer, severalOf, watthours } from '../live/format.ts';
import type { Summary } from '../records.ts';
import { reportLines } from '../report/report-terminal.ts';
import { readRunFile } from '../run-file.ts';
import { findRun, listRuns, readJson, resumeCommand } from '../run-folder.ts';
import { sanitized } from '../terminal-text.ts';
import { siteFolder } from './owner.ts';

interface Status {
  readonly phase: string;
  readonly runStep: number;
  readonly steps: number;
  readonly merges: number;
  readonly mergedTokens: number;
  readonly validationLoss: number | null;
  readonly checkpoint: string | null;
  readonly checkpointMissing: readonly string[];
  /** Coordinators of earlier versions do not say. */
  readonly energy?: RunEnergy;
  readonly islands: readonly {
    readonly island: string;
    readonly status: string;
    readonly step: number | null;
    readonly tokens: number;
    readonly offences: number;
    readonly standing: Standing;
    readonly energy?: IslandShare;
  }[];
}
interface JoinRequest {
  readonly island: string;
  readonly key: string;
  readonly address: string;
}

/** Of what an island says of itself. */
const MOST_WHAT = 200;

/** The state of a run that is served on this machine, or its report. */
export async function status(named: string | undefined, context: CommandContext): Promise<number> {
  if (named === undefined) return ofThisHome(context);
  const run = named;
  const folder = findRun(context.runs, run);
  const summary = readJson<Summary>(path.join(folder, 'summary.json'));
  const now = await askCoordinator<Status>(folder, 'GET', '/v1/status').catch((error: unknown) => {
    // Nobody serves it: where it has ended, there is its report.
    if (summary !== undefined && error instanceof HelioError && /^HELIO-(4002|1005)$/.test(error.code))
      return undefined;
    throw error;
  });
  if (now === undefined) return ended(summary!, folder, context);
  const joinRequests = await askCoordinator<readonly JoinRequest[]>(folder, 'GET', '/v1/join-requests');
  if (context.json) printJson({ ...now, joinRequests });
  else {
    const loss = now.validationLoss === null ? '' : ` · validation loss ${now.validationLoss.toFixed(4)}`;
    print(
      `${path.basename(folder)}: ${now.phase} · step ${integer(now.runStep)} of ${integer(now.steps)} · ${count(now.merges, 'merge')}${loss}`,
    );
    if (now.checkpoint !== null && now.checkpointMissing.length > 0)
      print(`  checkpoint ${now.checkpoint} is without ${severalOf(now.checkpointMissing)}`);
    const plan = await askCoordinator<{ readonly message: string }>(folder, 'GET', '/v1/plan').catch(() => undefined);
    if (plan !== undefined) print(`  plan: ${plan.message}`);
    if (now.energy !== undefined) print(`  ${energyLine(now.energy)}`);
    const unit = unitOf(readRunFile(path.join(folder, 'run.yaml')).job);
    for (const { island, step, tokens, offences, standing, energy } of now.islands) {
      const offended = offences > 0 ? ` · ${count(offences, 'offence')}` : '';
      const { state, reason, next, fix } = standing;
      const what = next === null ? '' : `: ${sanitized(next.what, MOST_WHAT)}`;
      print(
        `  ${island.padEnd(24)} ${sanitized(state).padEnd(9)} step ${String(step ?? '–').padStart(7)}  ${integer(tokens)} ${unit}${offended}`,
      );
      if (energy !== undefined && energy.coveredS > 0)
        print(
          `  ${' '.repeat(24)} ${watthours(energy.totalWh)} in ${duration(energy.coveredS)}: ${sourceShares(energy)} (${qualityShares(energy)})`,
        );
      if ((energy?.refused ?? null) !== null)
        print(`  ${' '.repeat(24)} its last claim of energy is not counted: ${sanitized(energy!.refused!, MOST_WHAT)}`);
      print(`  ${' '.repeat(24)} ${reason}${what}${fix === null ? '' : ` · ${fix}`}`);
    }
    for (const request of joinRequests)
      print(`  ${describeJoinRequest(request)}; heliotrope admit ${run} ${request.island}`);
  }
  return 0;
}

/** @throws HelioError HELIO-1006 where no island of a home has run */
function ofThisHome(context: CommandContext): number {
  const folder = siteFolder(context.environment);
  const shown = readStanding(folder);
  if (shown !== undefined) return showHome(shown, folder, context);
  const runs = listRuns(context.runs);
  const named = runs.length === 0 ? '' : ` Runs here: ${runs.join(', ')}.`;
  throw new HelioError(
    'HELIO-1006',
    'No run is named, and no island of a home has run on this machine.',
    `Name a run: \`heliotrope status RUN\`.${named} \`heliotrope provide\` sets a home up.`,
  );
}

const energyLine = (energy: RunEnergy): string =>
  `${watthours(energy.totalWh)}, ${gramsCO2e(energy.attributionalG)} by source, ${gramsCO2e(energy.counterfactualG)} counterfactual (${qualityShares(energy) || 'assumed'})`;

function ended(summary: Summary, folder: string, context: CommandContext): number {
  if (context.json) {
    printJson(summary);
    return 0;
  }
  for (const line of reportLines(summary, folder, colorful(context.environment))) print(line);
  if (summary.status !== 'finished') print(`  It is not being served. To resume it: ${resumeCommand(folder)}`);
  return 0;
}

/** Lets in an island that asks to join, or declines it. */
export async function admit(
  run: string,
  island: string,
  { refuse, key }: { readonly refuse?: boolean; readonly key?: string },
  context: CommandContext,
): Promise<number> {
  const letIn = refuse !== true;
  const folder = findRun(context.runs, run);
  await askCoordinator(folder, 'POST', `/v1/join-requests/${encodeURIComponent(island)}`, {
    letIn,
    ...(key === undefined ? {} : { key }),
  });
  if (context.json) printJson({ run, island, letIn });
  else print(letIn ? `${island} may join.` : `${island} was declined.`);
  return 0;
}

export const describeJoinRequest = ({ island, key, address }: JoinRequest): string =>
  `${island} (key ${key.slice(0, 8)}…, from ${address.replace(/^::ffff:/, '')}) asks to join`;
