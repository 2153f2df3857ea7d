import { WebSocket } from 'ws';
import { overWebSocket } from '../../src/protocol/channel.ts';
import { encodeFrames } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { newIdentity, updateText } from '../../src/protocol/identity.ts';
import { FRESH, helloOf, RUN } from '../../test/coordinator/hosted.ts';

/**
 * `node training-clients.ts PORT COUNT FIRST INVITATION`: so many islands that train without computing. They are due when they have what was merged, and hand in when they are
 * asked. They come from many addresses of the loopback network, as from many homes.
 */
const [port, count, first, invitation] = process.argv.slice(2) as [string, string, string, string];
const AT_ONCE = 16;
const payload = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const hash = await contentHash(payload);

function join(number: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const identity = newIdentity();
    const island = `trains-${number}`;
    const localAddress = `127.0.${1 + (number % 200)}.1`;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/run`, { perMessageDeflate: false, localAddress });
    const wire = overWebSocket(socket);
    const say = (message: object): void => socket.send(JSON.stringify(message));
    let place = { version: 0, round: 0 };
    socket.on('error', reject);
    socket.on('close', (code) => process.send!({ kind: 'closed', code }));
    socket.on('message', async (data: Buffer, isBinary) => {
      if (isBinary) {
        const header = JSON.parse(data.subarray(12, 12 + data.readUInt32LE(8)).toString()) as {
          content: { kind: string };
        };
        if (header.content.kind === 'merged') say({ kind: 'due', fragment: 0, version: place.version, slackMs: 0 });
        return;
      }
      const message = JSON.parse(data.toString()) as {
        kind: string;
        nonce: string;
        evaluation: number;
        parts: number[];
        version: number;
        round: number;
      };
      switch (message.kind) {
        case 'challenge':
          return say(await helloOf(island, await identity, message.nonce, invitation));
        case 'admitted':
          return say(FRESH);
        case 'welcome':
          say({ kind: 'ready', restored: null });
          return resolve();
        case 'place':
          place = message;
          return;
        case 'evaluate':
          for (const part of message.parts)
            say({ kind: 'evaluated', evaluation: message.evaluation, part, lossSum: 3, tokens: 1 });
          return;
        case 'start':
          return say({ kind: 'due', fragment: 0, version: place.version, slackMs: 0 });
        case 'pull': {
          const round = place.round + 1;
          const { version } = place;
          const update = {
            fragment: 0,
            version,
            round,
            steps: 5,
            tokens: 50,
            form: 'parameters',
            codec: 'f32',
          } as const;
          const signature = await (await identity).sign(updateText(RUN, update, hash));
          const content = { kind: 'contribution', ...update, signature } as const;
          for (const frame of encodeFrames({ content, payload, hash })) wire.sendFrame(frame, () => {});
          return;
        }
        case 'checkpoint':
          return say({ kind: 'saved', checkpoint: (message as unknown as { checkpoint: string }).checkpoint });
        case 'refused':
          reject(new Error(data.toString()));
      }
    });
  });
}

let next = Number(first);
const end = next + Number(count);
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (next < end) await join(next++);
  }),
);
process.send!({ kind: 'joined' });
