import { WebSocket } from 'ws';
import { Channel, overWebSocket } from '../../src/protocol/channel.ts';
import type { EnergyTotals } from '../../src/protocol/energy.ts';
import { joined } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { identityFromPem, updateText } from '../../src/protocol/identity.ts';
import {
  coordinatorMessageSchema,
  MAX_WELCOME_BYTES,
  NO_PROGRESS,
  type Progress,
} from '../../src/protocol/messages.ts';
import { FRESH, helloOf, hosted, RUN } from '../coordinator/hosted.ts';
import { TEST_KEY } from './vectors.ts';

/** One message of a session: a text as it was sent, or a frame in base64. */
export interface SessionLine {
  readonly from: 'island' | 'coordinator';
  readonly text?: string;
  readonly frame?: string;
}

/** A minute at 300 W, 210 of them from the panels of a home. */
const ENERGY: EnergyTotals = {
  coveredS: 60,
  drawingS: 60,
  tokens: 50,
  computeWh: { pv: 3.5, battery: 0, grid: 1.5, unallocated: 0 },
  qualityWh: { measured: 5, modelled: 0, assumed: 0 },
  attributionalG: 0.75,
  counterfactual: {
    extraImportWh: 1.5,
    lostExportWh: 3.5,
    usedSpillWh: 0,
    fromBatteryWh: 0,
    fromHouseholdWh: 0,
    averageG: 0.5,
    storedDebtWh: 0,
  },
  marginal: { extraImportWh: 1.5, g: 1.25, lostExportG: 2.5 },
  market: { wh: 0, g: 0 },
  cost: [{ currency: 'EUR', wh: 1.5, amount: 0.0005 }],
  embodiedG: null,
};

/** An island joins a real coordinator, hands in energy, measures the model, is merged once, is signed for, and leaves. */
export async function recordSession(): Promise<readonly SessionLine[]> {
  const run = await hosted({ dataFolder: '' });
  const identity = await identityFromPem(TEST_KEY);
  const invitation = await run.invite();
  const lines: SessionLine[] = [];
  const socket = new WebSocket(`ws://127.0.0.1:${run.server.port}/v1/run`, { perMessageDeflate: false });
  const wire = overWebSocket(socket);
  const channel = new Channel<typeof coordinatorMessageSchema, unknown>(
    {
      send(text) {
        lines.push({ from: 'island', text });
        wire.send(text);
      },
      sendFrame(frame, sent) {
        lines.push({ from: 'island', frame: Buffer.from(joined(frame)).toString('base64') });
        wire.sendFrame(frame, sent);
      },
    },
    coordinatorMessageSchema,
    1e6,
  );
  const progress: Progress = { ...NO_PROGRESS, step: 5, tokens: 50, loss: 3, gradNorm: 1, tokensPerS: 50, computeS: 1 };
  const contribute = async (): Promise<void> => {
    const payload = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const hash = await contentHash(payload);
    const update = {
      fragment: 0,
      version: 0,
      round: 1,
      steps: 5,
      tokens: 50,
      form: 'parameters',
      codec: 'f32',
    } as const;
    const signature = await identity.sign(updateText(RUN, update, hash));
    await channel.transfer({ content: { kind: 'contribution', ...update, signature }, payload, hash });
  };
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.on('message', async (data: Buffer, isBinary) => {
      if (isBinary) return void lines.push({ from: 'coordinator', frame: data.toString('base64') });
      const text = data.toString();
      lines.push({ from: 'coordinator', text });
      const message = channel.message(text, MAX_WELCOME_BYTES);
      switch (message?.kind) {
        case 'challenge':
          return channel.send(await helloOf('attic', identity, message.nonce, invitation));
        case 'admitted':
          return channel.send(FRESH);
        case 'welcome':
          channel.send({ kind: 'alive' });
          return channel.send({ kind: 'ready', restored: null });
        case 'evaluate':
          for (const part of message.parts)
            channel.send({ kind: 'evaluated', evaluation: message.evaluation, part, lossSum: 30, tokens: 10 });
          return;
        case 'start':
          channel.send({ kind: 'progress', ...progress });
          channel.send({ kind: 'energy', account: '0123456789abcdef', totals: ENERGY });
          return channel.send({ kind: 'due', fragment: 0, version: 0, slackMs: 0 });
        case 'pull':
          return contribute();
        case 'receipt':
          return channel.send({ kind: 'leaving', reason: 'stopped by its owner' });
        case 'refused':
          return reject(new Error(text));
        default:
          return;
      }
    });
  });
  await run.close();
  return lines;
}
