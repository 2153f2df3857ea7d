import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { helloText, type Identity, newIdentity } from '../../src/protocol/identity.ts';
import { RUN_PATH } from '../../src/protocol/messages.ts';
import { helloOf } from '../../test/coordinator/hosted.ts';

/**
 * Strangers of every kind, as bytes on real connections: whoever can reach a coordinator's port, and has no leave to join. They may be turned away, cut off or kept
 * waiting, and nothing that happens to one of them is an error here.
 */
export const STRANGER_KINDS = [
  'silent',
  'half-request',
  'slow-body',
  'keep-alive',
  'many-requests',
  'bad-target',
  'reset',
  'other-origin',
  'other-host',
  'silent-websocket',
  'half-hello',
  'huge-frame',
  'wrong-hello',
  'wrong-hellos',
  'flood',
  'asks-to-join',
] as const;
export type StrangerKind = (typeof STRANGER_KINDS)[number];

/** Strangers that were sent; those who were not turned away stay until they are closed. */
export interface Crowd {
  /** How many are connected now. */
  readonly open: number;
  close(): void;
}

export interface Ways {
  /** Addresses of the loopback network that they come from, 127.0.100.1 and following; undefined: the one that the system chooses. */
  readonly addresses?: number;
  /** How many connect at the same time. */
  readonly atOnce?: number;
}

/** Hellos on one connection of kind `wrong-hellos`. */
export const WRONG_HELLOS = 400;
const CONNECT_MS = 10_000;
const MEBIBYTE = Buffer.alloc(2 ** 20, 'a');

/** Sends `count` strangers of a kind. Resolves when each is connected, or was not let connect; it never rejects. */
export async function strangers(
  kind: StrangerKind,
  host: string,
  port: number,
  count: number,
  { addresses, atOnce = 64 }: Ways = {},
): Promise<Crowd> {
  const identity = await newIdentity();
  const lines = { at: `${host}:${port}`, identity, wrongHello: await wrongHello(identity) };
  const sockets = new Set<Socket>();
  let [sent, isOver] = [0, false];
  const one = async (): Promise<void> => {
    while (sent < count && !isOver) {
      const localAddress = addresses === undefined ? {} : { localAddress: `127.0.100.${1 + (sent % addresses)}` };
      sent++;
      const socket = connect({ host, port, ...localAddress });
      sockets.add(socket);
      // Whatever the coordinator does with it is what a stranger has to expect.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
      if (await isConnected(socket)) SCRIPTS[kind](socket, lines);
      else socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, one));
  return {
    get open() {
      return sockets.size;
    },
    close() {
      isOver = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

function isConnected(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), CONNECT_MS);
    const done = (is: boolean): void => {
      clearTimeout(late);
      resolve(is);
    };
    socket.once('connect', () => done(true));
    socket.once('close', () => done(false));
  });
}

/** What strangers of one crowd have in common. */
interface Lines {
  readonly at: string;
  readonly identity: Identity;
  readonly wrongHello: Buffer;
}

const SCRIPTS: Readonly<Record<StrangerKind, (socket: Socket, lines: Lines) => void>> = {
  silent: (socket) => void socket.resume(),
  'half-request': (socket, { at }) => say(socket, `GET /healthz HTTP/1.1\r\nHost: ${at}\r\nX-Slow: `),
  'slow-body': (socket, { at }) =>
    say(socket, `POST /v1/join-requests/attic HTTP/1.1\r\nHost: ${at}\r\nContent-Length: 4000\r\n\r\n{`),
  'keep-alive': (socket, { at }) => say(socket, `GET /healthz HTTP/1.1\r\nHost: ${at}\r\n\r\n`),
  'many-requests': (socket, { at }) =>
    say(socket, `GET /v1/openapi.json HTTP/1.1\r\nHost: ${at}\r\n\r\n`.repeat(1_000)),
  'bad-target': (socket, { at }) => say(socket, upgrade(at, [], Math.random() < 0.5 ? '//' : 'http://[')),
  reset: (socket, { at }) => {
    socket.write(upgrade(at, [], '/elsewhere'));
    setTimeout(() => socket.resetAndDestroy(), 1);
  },
  'other-origin': (socket, { at }) => say(socket, upgrade(at, ['Origin: https://page.example'])),
  'other-host': (socket) => say(socket, upgrade('rebound.example', [])),
  'silent-websocket': upgraded(() => {}),
  'half-hello': upgraded((socket) => {
    // The first fragment of a message that goes on, but for its last byte.
    socket.write(frame(TEXT, MEBIBYTE, MEBIBYTE.length, false));
  }),
  'huge-frame': upgraded((socket) => void socket.write(frame(BINARY, MEBIBYTE, 2 ** 40))),
  'wrong-hello': upgraded((socket, { wrongHello: hello }) => void socket.write(hello)),
  'wrong-hellos': upgraded((socket, { wrongHello: hello }) => {
    for (let i = 0; i < WRONG_HELLOS && socket.writable; i++) socket.write(hello);
  }),
  flood: upgraded((socket) => {
    const alive = frame(TEXT, Buffer.from('{"kind":"alive"}'));
    socket.write(Buffer.concat(Array.from({ length: 5_000 }, () => alive)));
  }),
  'asks-to-join': upgraded(async (socket, { identity }, nonce) => {
    const island = `stranger-${randomBytes(6).toString('hex')}`;
    const hello = await helloOf(island, identity, nonce, null);
    if (socket.writable) socket.write(frame(TEXT, Buffer.from(JSON.stringify(hello))));
  }),
};

function say(socket: Socket, text: string): void {
  socket.resume();
  socket.write(text);
}

/** Opens the WebSocket, and goes on when the challenge is there. */
function upgraded(then: (socket: Socket, lines: Lines, nonce: string) => void): (socket: Socket, lines: Lines) => void {
  return (socket, lines) => {
    let heard = '';
    socket.on('data', (data) => {
      if (heard.length > 10_000) return;
      heard += data.toString('latin1');
      const nonce = /"nonce":"([^"]+)"/.exec(heard)?.[1];
      if (nonce === undefined) return;
      heard = ' '.repeat(10_001);
      then(socket, lines, nonce);
    });
    socket.write(upgrade(lines.at, []));
  };
}

const upgrade = (host: string, more: readonly string[], target: string = RUN_PATH): string =>
  [
    `GET ${target} HTTP/1.1`,
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${createHash('md5').update('heliotrope').digest('base64')}`,
    ...more,
    '\r\n',
  ].join('\r\n');

const TEXT = 1;
const BINARY = 2;

/** A frame of RFC 6455, section 5.2, with a mask of zeros, that claims to have `length` bytes. */
function frame(opcode: number, payload: Buffer, length = payload.length, isLast = true): Buffer {
  const head = Buffer.alloc(14);
  head[0] = (isLast ? 0x80 : 0) | opcode;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

/** A hello that is well-formed, and signed for another connection: the dearest to refuse, as its signature is looked at. */
async function wrongHello(identity: Identity): Promise<Buffer> {
  const hello = await helloOf('stranger', identity, 'another-nonce', null);
  const signature = await identity.sign(helloText('of-yesterday', 'another', 'stranger'));
  return frame(TEXT, Buffer.from(JSON.stringify({ ...hello, signature })));
}
