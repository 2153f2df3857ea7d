import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { STRANGER_KINDS, strangers } from '../coordinator/strangers.ts';

/**
 * `node crowd.ts PORT PER_SECOND`: connections by strangers, so many a second, of every kind in turn and from many addresses of the loopback network. Each stays some seconds, if it is
 * let. Ends when it is killed; tells its parent every second how many it has sent.
 */
const [port, perSecond] = process.argv.slice(2).map(Number) as [number, number];
const STAY_MS = 4_000;
const ADDRESSES = 64;
const each = Math.max(1, Math.ceil(perSecond / STRANGER_KINDS.length));

// They would be on machines of their own: here they take what the run leaves, and come as fast as that allows.
setPriority(10);

let sent = 0;
const come = async (kind: (typeof STRANGER_KINDS)[number]): Promise<void> => {
  const crowd = await strangers(kind, '127.0.0.1', port, each, { addresses: ADDRESSES });
  sent += each;
  await sleep(STAY_MS);
  crowd.close();
};
setInterval(() => process.send?.({ kind: 'crowd', sent }), 1_000);
for (;;) {
  // All kinds within a second, one after the other.
  for (const kind of STRANGER_KINDS) {
    void come(kind);
    await sleep(1_000 / STRANGER_KINDS.length);
  }
}
