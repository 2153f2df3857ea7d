import { type ConnectionLimits, connectionLimits } from '../../src/coordinator/server/limits.ts';

const ALL = { burst: 1e6, perS: 1e6 };

/** For islands that all come from one machine and at once, where the limits are not what is measured. */
export const wideLimits = (): ConnectionLimits => ({
  ...connectionLimits(),
  ...{ connections: ALL, quiet: ALL, quietInAll: ALL, pressed: ALL },
  ...{ strangers: 5_000, strangersPerAddress: 5_000 },
});
