import { allIslands } from '../roster.ts';
import { type IslandsEnergy, islandsEnergy, type RunEnergy, withHost } from '../run-energy.ts';
import type { RunState } from '../state.ts';
import type { ServerOptions } from './options.ts';
import type { Traffic } from './traffic-counter.ts';

type Given = Pick<ServerOptions, 'hostCpuS' | 'isLocal' | 'job'>;

const ownCpuS = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1e6;

/** What the run has used and emitted so far, with this coordinator's own part. Thousands of islands are added up once for all that is asked of one state. */
export class EnergyNow {
  readonly #given: Given;
  #summed: { readonly of: RunState['islands']; readonly energy: IslandsEnergy } | undefined;

  constructor(given: Given) {
    this.#given = given;
  }

  of({ islands }: RunState, { sentBytes, receivedBytes }: Traffic): RunEnergy {
    const { hostCpuS = ownCpuS, isLocal = false, job } = this.#given;
    if (this.#summed?.of !== islands) this.#summed = { of: islands, energy: islandsEnergy(allIslands(islands)) };
    const host = { coordinatorCpuS: hostCpuS(), networkBytes: isLocal ? 0 : sentBytes + receivedBytes };
    return withHost(this.#summed.energy, host, job.energy);
  }
}
