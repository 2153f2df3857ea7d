import { WebSocket } from 'ws';
import { overWebSocket } from '../../src/protocol/channel.ts';
import { encodeFrames } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { newIdentity, updateText } from '../../src/protocol/identity.ts';
import { FRESH, helloOf } from '../../test/coordinator/hosted.ts';

/**
 * `node step-clients.ts PORT ISLANDS RUN BYTES CODEC INVITATION`: islands that hand in a contribution of so many bytes when they are asked, and take what was
 * merged. Prints how long it took from the first pull to the last byte of the last merged fragment.
 */
const [port, islands, run, bytes, codec, invitation] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const payload = new Uint8Array(Number(bytes));
const hash = await contentHash(payload);
let firstPullMs = Number.POSITIVE_INFINITY;

const lives = Array.from({ length: Number(islands) }, async (_, m) => {
  const identity = await newIdentity();
  const island = `step-${m}`;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/run`, {
    perMessageDeflate: false,
    maxPayload: 2 ** 31,
    generateMask: (mask) => void mask.fill(0),
  });
  const wire = overWebSocket(socket);
  const say = (message: object): void => socket.send(JSON.stringify(message));
  return new Promise<number>((resolve, reject) => {
    let mergedBytes = 0;
    socket.on('error', reject);
    socket.on('message', async (data: Buffer, isBinary) => {
      if (isBinary) {
        const header = JSON.parse(data.subarray(12, 12 + data.readUInt32LE(8)).toString()) as {
          content: { kind: string };
          totalBytes: number;
        };
        if (header.content.kind === 'global' && mergedBytes === 0) return;
        if (header.content.kind !== 'merged') return;
        mergedBytes += data.length - 12 - data.readUInt32LE(8);
        if (mergedBytes >= header.totalBytes) resolve(performance.now());
        return;
      }
      const message = JSON.parse(data.toString()) as {
        kind: string;
        nonce: string;
        evaluation: number;
        parts: number[];
      };
      switch (message.kind) {
        case 'challenge':
          return say(await helloOf(island, identity, message.nonce, invitation));
        case 'admitted':
          return say(FRESH);
        case 'welcome':
          return say({ kind: 'ready', restored: null });
        case 'evaluate':
          for (const part of message.parts)
            say({ kind: 'evaluated', evaluation: message.evaluation, part, lossSum: 3, tokens: 1 });
          return;
        case 'start':
          return say({ kind: 'due', fragment: 0, version: 0, slackMs: 0 });
        case 'pull': {
          firstPullMs = Math.min(firstPullMs, performance.now());
          const update = { fragment: 0, version: 0, round: 1, steps: 5, tokens: 50, form: 'update', codec } as const;
          const signature = await identity.sign(updateText(run, update, hash));
          const content = { kind: 'contribution', ...update, signature } as never;
          for (const frame of encodeFrames({ content, payload, hash })) wire.sendFrame(frame, () => {});
          return;
        }
        case 'refused':
          reject(new Error(data.toString()));
      }
    });
  });
});
const endMs = Math.max(...(await Promise.all(lives)));
console.log(JSON.stringify({ seconds: (endMs - firstPullMs) / 1000 }));
process.exit(0);
