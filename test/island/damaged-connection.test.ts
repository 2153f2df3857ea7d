import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { ReconnectingConnection } from '../../src/island/node/reconnecting-connection.ts';
import { Channel, overWebSocket } from '../../src/protocol/channel.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { type CoordinatorMessage, islandMessageSchema } from '../../src/protocol/messages.ts';
import { OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../src/protocol/versions.ts';

let server: WebSocketServer | undefined;
let connection: ReconnectingConnection | undefined;
afterEach(() => {
  connection?.close();
  server?.close();
});

it('of what comes after a damaged transfer nothing is heeded: it was meant for whoever has that one', async () => {
  const good = new Uint8Array(Float32Array.of(1, 2).buffer);
  const hash = await contentHash(good);
  const wrong = 'ab'.repeat(32);
  const versions = { protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL };
  let connections = 0;
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    const channel = new Channel<typeof islandMessageSchema, CoordinatorMessage>(
      overWebSocket(socket),
      islandMessageSchema,
      1e6,
    );
    channel.send({ kind: 'challenge', ...versions, nonce: 'a'.repeat(32), run: 'r' });
    if (++connections > 1) return;
    channel.send({
      kind: 'welcome',
      run: 'r',
      job: {},
      manifest: { tensors: [{ name: 'w', shape: [2], role: 'other', fragment: 0, offset: 0 }] },
      hostKey: 'A'.repeat(43),
      dataFolder: '',
      shard: { index: 0, count: 1 },
      fragments: [],
      restore: null,
      beginnings: [],
    });
    const merged = (version: number, named: string): void => {
      channel.send({ kind: 'place', fragment: 0, version, stepsUntilDue: 5, round: 0 });
      const content = { kind: 'merged', fragment: 0, version, runStep: 5, form: 'update', codec: 'f32' } as const;
      void channel.transfer({ content, payload: good, hash: named });
    };
    merged(1, hash);
    merged(2, wrong);
    merged(3, hash);
    channel.send({ kind: 'pull', fragment: 0, version: 3 });
  });
  await new Promise((resolve) => server!.once('listening', resolve));
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  connection = new ReconnectingConnection({
    routes: [{ url, fingerprint: undefined, localAddress: undefined }],
    patienceS: 20,
    log: () => {},
  });
  const heard: string[] = [];
  while (connections < 2) {
    const item = await connection.next(10_000);
    if (item === null || item === 'timeout') break;
    const { kind } = item;
    if (item.kind === 'told')
      heard.push('version' in item.message ? `${item.message.kind} ${item.message.version}` : item.message.kind);
    else
      heard.push(item.kind === 'received' && item.content.kind === 'merged' ? `merged ${item.content.version}` : kind);
    if (kind === 'lost') break;
  }
  expect(heard).toEqual(['connected', 'challenge', 'welcome', 'place 1', 'merged 1', 'place 2', 'lost']);
});
