import { hosted } from '../../test/coordinator/hosted.ts';

/**
 * A coordinator in a process of its own, for `stranger-cost.ts`. It tells its port and an invitation, and from `begin` to `end` looks what it uses: most memory, most
 * sockets, time of the processor.
 */
const run = await hosted({});
const LOOK_MS = 50;

export interface Used {
  readonly bytes: number;
  readonly sockets: number;
  readonly cpuMs: number;
}

let before = { bytes: 0, cpu: process.cpuUsage() };
let most = { bytes: 0, sockets: 0 };
let timer: NodeJS.Timeout | undefined;
const socketsNow = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPSocketWrap').length;
const look = (): void => {
  most = {
    bytes: Math.max(most.bytes, process.memoryUsage.rss()),
    sockets: Math.max(most.sockets, socketsNow()),
  };
};

process.on('message', (word) => {
  if (word === 'begin') {
    globalThis.gc?.();
    most = { bytes: 0, sockets: 0 };
    before = { bytes: process.memoryUsage.rss(), cpu: process.cpuUsage() };
    timer = setInterval(look, LOOK_MS);
    process.send!({ kind: 'begun' });
  }
  if (word === 'end') {
    clearInterval(timer);
    look();
    const { user, system } = process.cpuUsage(before.cpu);
    const used: Used = { bytes: most.bytes - before.bytes, sockets: most.sockets, cpuMs: (user + system) / 1000 };
    process.send!({ kind: 'used', ...used });
  }
});
process.send!({
  kind: 'serving',
  port: run.server.port,
  invitation: await run.invite({ uses: 1_000_000, expiresAt: Math.floor(Date.now() / 1000) + 3_600 }),
});
