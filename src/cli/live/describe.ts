import type { CodeTried } from '../lan/opaque-server.ts';
import type { LiveRecord } from '../records.ts';
import { sanitized } from '../terminal-text.ts';
import { count, integer, severalOf } from './format.ts';

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
      const who = severalOf(record.contributions.map(({ island, steps }) => `${island} (${count(steps, 'step')})`));
      return `merged fragment ${record.fragment} to version ${record.version} at step ${record.runStep}: ${who}${without(record.missing)}`;
    }
    case 'evaluation':
      return `validation loss ${record.loss.toFixed(4)}${record.accuracy === undefined ? '' : `, ${(100 * record.accuracy).toFixed(1)} % right`} at step ${record.runStep} (${integer(record.tokens)} held-out targets of the run)`;
    case 'checkpoint':
      return `checkpoint ${record.checkpoint} is complete at step ${record.runStep}${without(record.missing)}`;
    case 'took-records':
      return `${count(record.merges, 'merge')}, from version ${record.version} of fragment ${record.fragment} on: replayed as recorded, though this version of Heliotrope would decide otherwise`;
    case 'plan':
      return `${record.rule === null ? 'planned' : `no plan (${record.rule})`}: ${record.message}`;
    case 'evaluation-given-up':
      return `not validated at step ${record.runStep}: ${record.reason}`;
    case 'doubted':
      return `${record.island} is now the last to be asked for a validation: ${record.reason}`;
    case 'left-out':
      return `a contribution of ${record.island} to fragment ${record.fragment} was left out: ${record.reason}`;
    case 'offence':
      return `${record.island} did what no honest island does (${record.offences}): ${record.reason}${record.banned ? ' It is banned.' : ''}`;
    case 'energy-refused':
      return `energy of ${record.island} is not counted (${record.rule}): ${record.reason}`;
    case 'energy':
    case 'progress':
      return undefined;
  }
}

const without = (missing: readonly string[]): string => (missing.length === 0 ? '' : `; without ${severalOf(missing)}`);

/** An attempt with a code, as a sentence for the host. */
export function describeCode({ outcome, address, invitation, wrong, turnedAway }: CodeTried): string {
  const from = address.replace(/^::ffff:/, '');
  if (outcome === 'right') return `somebody at ${from} knew the code and got the invitation ${invitation}`;
  const so = `${integer(wrong)} wrong so far, ${integer(turnedAway)} refused without a try`;
  return outcome === 'wrong'
    ? `a wrong code from ${from} (${so})`
    : `too many codes from ${from}, or from outside the local network (${so})`;
}
