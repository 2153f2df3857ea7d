import type { CodeTried } from '../lan/opaque-server.ts';
import type { LiveRecord } from '../records.ts';
import { sanitized } from '../terminal-text.ts';
import { severalOf } from './format.ts';

/** One sentence for the log of a run; undefined for what only the charts need. Some of it islands have said. */
export function describeRecord(record: LiveRecord): string | undefined {
  const sentence = sentenceOf(record);
  return sentence === undefined ? undefined : sanitized(sentence);
}

function sentenceOf(record: LiveRecord): string | undefined {
  switch (record.kind) {
    case 'phase':
      return `${record.phase}: ${record.reason}`;
    case 'island':
      return `${record.island} is ${record.status}: ${record.reason}`;
    case 'merge': {
      const who = severalOf(record.contributions.map(({ island, steps }) => `${island} (${steps} steps)`));
      return `merged fragment ${record.fragment} to version ${record.version} at step ${record.runStep}: ${who}${without(record.missing)}`;
    }
    case 'evaluation':
      return `validation loss ${record.loss.toFixed(4)}${record.accuracy === undefined ? '' : `, ${(100 * record.accuracy).toFixed(1)} % right`} at step ${record.runStep} (on ${record.tokens} of the run's held-out data)`;
    case 'checkpoint':
      return `checkpoint ${record.checkpoint} is complete at step ${record.runStep}${without(record.missing)}`;
    case 'took-records':
      return `${record.merges} merges, from fragment ${record.fragment}'s to version ${record.version} on, are as their records say: this version would have decided otherwise`;
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

const without = (missing: readonly string[]): string => (missing.length === 0 ? '' : `; without ${severalOf(missing)}`);

/** What came of a code, for the host. */
export function describeCode({ outcome, address, invitation, wrong, turnedAway }: CodeTried): string {
  const from = address.replace(/^::ffff:/, '');
  if (outcome === 'right') return `somebody at ${from} knew the code and was given the invitation ${invitation}`;
  const so = `${wrong} wrong so far, ${turnedAway} turned away untried`;
  return outcome === 'wrong'
    ? `a wrong code from ${from} (${so})`
    : `too many codes from ${from}, or not from here (${so})`;
}
