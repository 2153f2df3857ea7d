import { createHash } from 'node:crypto';
import { hostname } from 'node:os';

/** Process ids mean something on their own machine (or in their own container) alone: this names it. */
export const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
