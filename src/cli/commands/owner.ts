import path from 'node:path';
import type { Override } from '../../energy/policy/index.ts';
import { HelioError } from '../../errors.ts';
import { writeOverride } from '../../island/node/owner/control-file.ts';
import { stateFolder } from '../../island/node/state-folder.ts';
import { type CommandContext, print, printJson } from '../context.ts';

export interface OwnerOptions {
  /** Seconds. */
  readonly for?: number;
  readonly until?: string;
}

/** Where the owner's word and the site's standing are kept on this machine. */
export const siteFolder = (environment: NodeJS.ProcessEnv): string => path.join(stateFolder(environment), 'site');

/** `pause`, `resume` and `drain`: what an owner says by hand. It holds until the time that is said, across restarts. */
export function owner(kind: Override['kind'], options: OwnerOptions, context: CommandContext): number {
  const untilMs = untilOf(options, Date.now());
  const folder = siteFolder(context.environment);
  // Resuming without a time takes back what was said before: the policy decides again.
  const override = kind === 'resume' && untilMs === null ? null : { kind, untilMs };
  writeOverride(folder, override);
  if (context.json) printJson({ kind, untilMs });
  else print(sentenceOf(kind, untilMs));
  return 0;
}

function sentenceOf(kind: Override['kind'], untilMs: number | null): string {
  const until = untilMs === null ? '' : ` until ${localText(untilMs)}`;
  switch (kind) {
    case 'pause':
      return `Paused${until === '' ? ' until you resume it: heliotrope resume' : `${until}; sooner with heliotrope resume`}.`;
    case 'drain':
      return `It hands in what it has trained and then pauses${until === '' ? ' until you resume it: heliotrope resume' : until}.`;
    case 'resume':
      return untilMs === null ? 'The policy decides again.' : `It trains${until}, whatever the sun does.`;
  }
}

const localText = (ms: number): string =>
  new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(
    ms,
  );

const LONGEST_S = 31 * 86_400;

/** @throws HelioError HELIO-1006 when both are given, or the time is none */
export function untilOf({ for: forS, until }: OwnerOptions, nowMs: number): number | null {
  if (forS !== undefined && until !== undefined)
    throw new HelioError('HELIO-1006', '--for and --until are both given.', 'Give one of them.');
  if (forS !== undefined) {
    if (forS > LONGEST_S)
      throw new HelioError(
        'HELIO-1006',
        `--for ${forS} s is longer than 31 days.`,
        'Leave it out to pause until you resume.',
      );
    return nowMs + 1000 * forS;
  }
  if (until === undefined) return null;
  const [, hour, minute] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(until) ?? [];
  if (hour === undefined)
    throw new HelioError('HELIO-1006', `--until ${until} is no time of the day.`, 'Give it like 18:00.');
  const at = new Date(nowMs);
  at.setHours(Number(hour), Number(minute), 0, 0);
  if (at.getTime() <= nowMs) at.setDate(at.getDate() + 1);
  return at.getTime();
}
