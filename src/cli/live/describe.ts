import type { CodeTried } from '../lan/code-door.ts';
import type { LiveRecord } from '../records.ts';

/** One sentence for the log of a run; undefined for what only the charts need. */
export function describeRecord(record: LiveRecord): string | undefined {
  switch (record.kind) {
    case 'phase':
      return `${record.phase}: ${record.reason}`;
    case 'island':
      return `${record.island} is ${record.status}: ${record.reason}`;
    case 'merge': {
      const who = record.contributions.map(({ island, steps }) => `${island} (${steps} steps)`).join(', ');
      const without = record.missing.length === 0 ? '' : `; without ${record.missing.join(', ')}`;
      return `merged fragment ${record.fragment} to version ${record.version} at step ${record.runStep}: ${who}${without}`;
    }
    case 'evaluation':
      return `validation loss ${record.loss.toFixed(4)}${record.accuracy === undefined ? '' : `, ${(100 * record.accuracy).toFixed(1)} % right`} at step ${record.runStep} (${record.tokens} held out)`;
    case 'checkpoint':
      return `checkpoint ${record.checkpoint} is complete at step ${record.runStep}`;
    case 'evaluation-given-up':
      return `not validated at step ${record.runStep}: ${record.reason}`;
    case 'doubted':
      return `${record.island} is asked last to validate: ${record.reason}`;
    case 'left-out':
      return `a contribution of ${record.island} to fragment ${record.fragment} was left out: ${record.reason}`;
    case 'offence':
      return `${record.island} did what no honest island does (${record.offences}): ${record.reason}${record.banned ? ' It is banned.' : ''}`;
    case 'progress':
      return undefined;
  }
}

/** What came of a code, for the host. */
export function describeCode({ outcome, address, invitation, wrong, turnedAway }: CodeTried): string {
  const from = address.replace(/^::ffff:/, '');
  if (outcome === 'right') return `somebody at ${from} knew the code and was given the invitation ${invitation}`;
  const so = `${wrong} wrong so far, ${turnedAway} turned away untried`;
  return outcome === 'wrong'
    ? `a wrong code from ${from} (${so})`
    : `too many codes from ${from}, or not from here (${so})`;
}
