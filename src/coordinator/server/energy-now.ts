import { allIslands } from '../roster.ts';
import { type RunEnergy, runEnergy } from '../run-energy.ts';
import type { RunState } from '../state.ts';
import type { ServerOptions } from './options.ts';
import type { Traffic } from './traffic-counter.ts';

const ownCpuS = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1e6;

/** What the run has used and emitted so far, with this coordinator's own part. */
export function energyNow(
  { hostCpuS = ownCpuS, isLocal = false, job }: Pick<ServerOptions, 'hostCpuS' | 'isLocal' | 'job'>,
  state: RunState,
  { sentBytes, receivedBytes }: Traffic,
): RunEnergy {
  const networkBytes = isLocal ? 0 : sentBytes + receivedBytes;
  return runEnergy({ islands: allIslands(state.islands), coordinatorCpuS: hostCpuS(), networkBytes }, job.energy);
}
