import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as secureConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { tlsOf } from '../../src/cli/tls.ts';
import type { ConnectionLimits } from '../../src/coordinator/server/limits.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { ADMIN, type Hosted, helloOf, hosted, patientLimits, resetInQueue } from './hosted.ts';

/** The same limits where connections are encrypted: each is seen twice there, as what comes over the wire and as what is in it. */
let folder = '';
let tls: { readonly cert: string; readonly key: string };
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-tls-'));
  tls = (await tlsOf({ tls: 'self-signed' }, folder))!;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let run: Hosted | undefined;
const faults: string[] = [];
const open: Socket[] = [];
const serve = async (limits: Partial<ConnectionLimits> = {}): Promise<void> => {
  const onFault = (error: unknown, place: string): void => void faults.push(`${place}: ${String(error)}`);
  run = await hosted({ tls, onFault, connectionLimits: { ...patientLimits(), ...limits } });
};
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await run?.close();
  run = undefined;
  expect(faults.splice(0)).toEqual([]);
});

const stranger = (localAddress = '127.0.0.1'): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect({ port: run!.server.port, host: '127.0.0.1', localAddress });
    open.push(socket);
    socket.on('error', () => {}).on('close', () => resolve(socket));
    socket.resume().once('connect', () => resolve(socket));
  });

/** An island gets in. */
const honest = async (name: string): Promise<WebSocket> => {
  const identity = await newIdentity();
  const invitation = await run!.invite({ uses: 1_000 });
  const socket = new WebSocket(`wss://127.0.0.1:${run!.server.port}/v1/run`, { rejectUnauthorized: false });
  return new Promise((resolve, reject) => {
    socket.on('error', reject).on('close', () => reject(new Error('closed')));
    socket.on('message', async (data: Buffer) => {
      const { kind, nonce } = JSON.parse(data.toString()) as { kind: string; nonce: string };
      if (kind === 'challenge') socket.send(JSON.stringify(await helloOf(name, identity, nonce, invitation)));
      if (kind === 'admitted') resolve(socket);
    });
  });
};

/** Metrics of the host, over the same port. */
const metric = (name: string): Promise<number> =>
  new Promise((resolve, reject) => {
    let text = '';
    const head = `GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN}\r\nConnection: close\r\n\r\n`;
    const socket = secureConnect({ port: run!.server.port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('error', reject).on('data', (data) => {
      text += data.toString();
    });
    socket.on('secureConnect', () => socket.write(head));
    socket.on('close', () => {
      const line = text.split('\n').find((each) => each.startsWith(name));
      resolve(Number(line?.split(' ').at(-1) ?? Number.NaN));
    });
  });

it('nonsense, half handshakes and resets end nothing', async () => {
  await serve();
  for (let i = 0; i < 40; i++) {
    const socket = await stranger();
    // A record of a handshake that says it has 512 bytes, of which a few come; a request in plain text; bytes.
    socket.write([Buffer.from([0x16, 3, 1, 2, 0, 1, 0]), 'GET / HTTP/1.1\r\n\r\n', Buffer.alloc(300, i)][i % 3]!);
    if (i % 2 === 0) await sleep(i % 7);
    socket.resetAndDestroy();
  }
  (await honest('attic')).terminate();
});

it('a handshake that is not ended is closed in time; an island stays', async () => {
  await serve({ patienceMs: 500 });
  const attic = await honest('attic');
  const [silent, half] = [await stranger(), await stranger()];
  half.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]));
  for (const socket of [silent, half]) await expect.poll(() => socket.closed, { timeout: 10_000 }).toBe(true);
  await sleep(700);
  expect(attic.readyState).toBe(WebSocket.OPEN);
  attic.terminate();
});

it('connections are counted once, strangers make room, and who was let in is no stranger', async () => {
  await serve({ strangers: 20, strangersPerAddress: 10, patienceMs: 60_000 });
  const attic = await honest('attic');
  for (let i = 0; i < 40; i++) await stranger(`127.0.1.${1 + (i % 8)}`);
  // The host's own look is let in by its token.
  expect(await metric('heliotrope_strangers')).toBeLessThanOrEqual(20);
  expect(await metric('heliotrope_connections')).toBe(1);
  (await honest('cellar')).terminate();
  expect(attic.readyState).toBe(WebSocket.OPEN);
  attic.terminate();
});

it('those that were reset before they were taken from the queue are nobody, and take no place', async () => {
  await serve({ strangers: 20, strangersPerAddress: 10 });
  await resetInQueue(run!.server.port, 60);
  await expect.poll(() => metric('heliotrope_turned_away_total{why="gone"')).toBe(60);
  expect(await metric('heliotrope_strangers')).toBe(0);
  for (let i = 0; i < 40; i++) await stranger(`127.0.1.${1 + i}`);
  expect(await metric('heliotrope_strangers')).toBeLessThanOrEqual(20);
  (await honest('attic')).terminate();
});

it.each(['127.0.0.1', 'localhost'])(
  'a program on this machine that trusts the certificate in the run folder may ask at %s',
  async (host) => {
    await serve();
    const headers = { authorization: `Bearer ${ADMIN}` };
    const request = get({ host, port: run!.server.port, path: '/metrics', ca: tls.cert, headers, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
  },
);
