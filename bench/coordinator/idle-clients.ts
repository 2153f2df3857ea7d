import { WebSocket } from 'ws';
import { newIdentity } from '../../src/protocol/identity.ts';
import { FRESH, helloOf } from '../../test/coordinator/hosted.ts';

/**
 * `node idle-clients.ts PORT COUNT FIRST INVITATION`: so many islands that are there and do nothing, with heartbeats every two seconds. They
 * come from many addresses of the loopback network, as from many homes. Prints how long joining took, and then every second the times that a ping took.
 */
const [port, count, first, invitation] = process.argv.slice(2) as [string, string, string, string];
const HEARTBEAT_MS = 2_000;
const AT_ONCE = 8;

function join(number: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const island = `idle-${number}`;
    const localAddress = `127.0.${1 + (number % 20)}.1`;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/run`, { perMessageDeflate: false, localAddress });
    socket.on('error', reject);
    socket.on('message', async (data: Buffer, isBinary) => {
      if (isBinary) return;
      const message = JSON.parse(data.toString()) as { kind: string; nonce: string };
      if (message.kind === 'challenge') {
        const hello = await helloOf(island, await newIdentity(), message.nonce, invitation);
        socket.send(JSON.stringify(hello));
      } else if (message.kind === 'admitted') socket.send(JSON.stringify(FRESH));
      else if (message.kind === 'welcome') resolve(socket);
      else if (message.kind === 'refused') reject(new Error(data.toString()));
    });
  });
}

const startMs = performance.now();
const sockets: WebSocket[] = [];
// Heartbeats spread evenly over their period.
const slices = 100;
let slice = 0;
setInterval(() => {
  for (let i = slice; i < sockets.length; i += slices) sockets[i]!.send('{"kind":"alive"}');
  slice = (slice + 1) % slices;
}, HEARTBEAT_MS / slices);
let next = Number(first);
const end = next + Number(count);
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (next < end) sockets.push(await join(next++));
  }),
);
process.send!({ kind: 'joined', seconds: (performance.now() - startMs) / 1000 });

setInterval(() => {
  const socket = sockets[Math.floor(Math.random() * sockets.length)]!;
  const sentMs = performance.now();
  socket.once('pong', () => process.send!({ kind: 'pong', ms: performance.now() - sentMs }));
  socket.ping();
}, 20);
