import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { ReconnectingConnection } from '../../src/island/node/reconnecting-connection.ts';
import type { Route } from '../../src/island/node/route-search.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { FRESH, type Hosted, helloOf, hosted, Puppet } from '../coordinator/hosted.ts';

/** Ways to a coordinator that fail, over real sockets: only its own word ends an island. */

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const at = (port: number, change: Partial<Route> = {}): Route => ({
  url: `ws://127.0.0.1:${port}/v1/run`,
  fingerprint: undefined,
  localAddress: undefined,
  ...change,
});
const portOf = (server: { address(): AddressInfo | string | null }): number => (server.address() as AddressInfo).port;

async function listening<S extends Server>(server: S): Promise<S> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket.on('error', () => {}).on('close', () => open.delete(socket)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return server;
}

async function coordinator(change: Parameters<typeof hosted>[0] = {}, leaseMs = 3_000): Promise<Hosted> {
  const each = await hosted(change, { leaseMs, islands: 2 });
  ends.push(() => each.close());
  return each;
}

/** Passes bytes on to that port, until `flows` says no. */
const passing = (port: () => number, flows: () => boolean = () => true): Promise<Server> =>
  listening(
    createServer((island) => {
      const server = connect(port(), '127.0.0.1');
      for (const [from, to] of [
        [island, server],
        [server, island],
      ] as const) {
        // One that is half open passes on neither bytes nor ends.
        from.on('error', () => {}).on('close', () => flows() && to.destroy());
        from.on('data', (data) => flows() && to.write(data));
      }
    }),
  );

/** An island that joins, and remembers what it heard. */
async function island(routes: readonly Route[], invitation: string | null, patienceS = 20) {
  const sentences: string[] = [];
  const heard: string[] = [];
  const connection = new ReconnectingConnection({ routes, patienceS, log: (sentence) => sentences.push(sentence) });
  ends.push(() => connection.close());
  const identity = await newIdentity();
  const live = async (): Promise<void> => {
    for (let item = await connection.next(1_000); item !== null; item = await connection.next(1_000)) {
      if (item === 'timeout') continue;
      heard.push(item.kind === 'told' ? item.message.kind : item.kind);
      if (item.kind !== 'told') continue;
      const { message } = item;
      if (message.kind === 'challenge') connection.send(await helloOf('attic', identity, message.nonce, invitation));
      if (message.kind === 'admitted') connection.send({ ...FRESH, holds: [], beginnings: [] });
      if (message.kind === 'refused') throw new Error(`refused: ${message.what}`);
    }
  };
  const ended = live().then(
    () => undefined,
    (error: unknown) => error as Error & { code?: string },
  );
  const hears = (kind: string, times = 1): Promise<void> =>
    expect.poll(() => heard.filter((each) => each === kind).length, { timeout: 40_000 }).toBeGreaterThanOrEqual(times);
  return { connection, sentences, heard, hears, ended };
}

describe('an island comes by another route', () => {
  it('when the first accepts it and never speaks', async () => {
    const silent = await listening(createHttp());
    const sockets = new WebSocketServer({ server: silent });
    const { server, invite } = await coordinator();
    const attic = await island([at(portOf(silent)), at(server.port)], await invite());
    await attic.hears('welcome');
    expect(sockets.clients.size).toBe(0);
    expect(attic.sentences).toEqual([
      expect.stringMatching(/no answer within 5 s; trying on/),
      `connected by 127.0.0.1:${server.port}`,
    ]);
  });

  it('when the first accepts its connection and does not even answer the request', async () => {
    const silent = await listening(createServer());
    const { server, invite } = await coordinator();
    const attic = await island([at(portOf(silent)), at(server.port)], await invite());
    await attic.hears('welcome');
  });

  it('when an uplink is half open, before the coordinator counts it as gone', async () => {
    let flows = true;
    const { server, invite, records } = await coordinator({}, 8_000);
    const uplink = await passing(
      () => server.port,
      () => flows,
    );
    const attic = await island([at(portOf(uplink)), at(server.port)], await invite());
    await attic.hears('welcome');
    flows = false;
    await attic.hears('welcome', 2);
    expect(attic.sentences[0]).toMatch(/connection lost \(silent for \d s\); training on/);
    const reasons = records.flatMap((r) => (r.kind === 'island' && r.status === 'gone' ? [r.reason] : []));
    expect(reasons).toEqual(['the island connected anew']);
  });

  it('when nobody knows the name of the first, nobody listens at the second, and the third is of no form', async () => {
    const { server, invite } = await coordinator();
    const closed = await listening(createServer());
    const closedPort = portOf(closed);
    closed.close();
    const routes = [
      at(0, { url: 'ws://nobody.invalid:7420/v1/run' }),
      at(closedPort),
      at(server.port, { localAddress: 'nonsense' }),
      at(server.port),
    ];
    const attic = await island(routes, await invite());
    await attic.hears('welcome');
    expect(attic.sentences.join('\n')).toMatch(/nobody\.invalid.*\n.*ECONNREFUSED.*\n.*nonsense.*\nconnected by/s);
  });

  it('when the first has another certificate, to which it says nothing', async () => {
    const [theirs, ours] = await Promise.all([0, 1].map(() => generate([{ name: 'commonName', value: 'x' }])));
    const fingerprint = createHash('sha256').update(new X509Certificate(ours!.cert).raw).digest('hex');
    let messages = 0;
    const thief = await listening(createSecure({ cert: theirs!.cert, key: theirs!.private }));
    new WebSocketServer({ server: thief }).on('connection', (socket) => {
      socket.send(JSON.stringify({ kind: 'challenge', protocol: 6, oldest: 6, nonce: 'x'.repeat(32) }));
      socket.on('message', () => messages++);
    });
    const { server, invite } = await coordinator({ tls: { cert: ours!.cert, key: ours!.private } });
    const [first, second] = [portOf(thief), server.port].map((port) =>
      at(port, { url: `wss://127.0.0.1:${port}/v1/run`, fingerprint }),
    );
    const attic = await island([first!, second!], await invite());
    await attic.hears('welcome');
    expect([messages, attic.sentences[0]]).toEqual([0, expect.stringContaining('not the one that the invitation')]);
  });
});

describe('an island comes again', () => {
  it('after a 502 of a proxy, and whatever else is no word of the coordinator', async () => {
    const { server, invite } = await coordinator();
    const statuses = [502, 503, 404, 429, 500, 403];
    const proxy = await listening(createHttp());
    proxy.on('upgrade', (request, client: Socket, head) => {
      const status = statuses.shift();
      if (status !== undefined) return client.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`);
      const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const behind = connect(server.port, '127.0.0.1', () => {
        behind.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
        behind.write(head);
        client.pipe(behind).pipe(client);
      });
      for (const socket of [client, behind])
        socket.on('error', () => {}).on('close', () => [client, behind].map((s) => s.destroy()));
      return undefined;
    });
    const attic = await island([at(portOf(proxy))], await invite(), 60);
    await attic.hears('welcome');
    expect([statuses, attic.sentences.map((s) => /HTTP (\d+)/.exec(s)?.[1])]).toEqual([
      [],
      ['502', '503', '404', '429', '500', '403'],
    ]);
  });

  it('when the coordinator is killed at any point of the handshake', async () => {
    const { server, invite } = await coordinator();
    // After so many bytes of its answer; of the upgrade first, and then of its challenge, its admission, and its welcome.
    const cuts = [0, 60, 130, 250, 500, 2_000];
    const link = await listening(
      createServer((client) => {
        let left = cuts.shift() ?? Number.POSITIVE_INFINITY;
        const behind = connect(server.port, '127.0.0.1');
        for (const socket of [client, behind])
          socket.on('error', () => {}).on('close', () => [client, behind].map((s) => s.destroy()));
        client.on('data', (data) => (left === 0 ? client.resetAndDestroy() : behind.write(data)));
        behind.on('data', (data) => {
          client.write(data.subarray(0, left));
          left = Math.max(0, left - data.length);
          if (left === 0) client.resetAndDestroy();
        });
      }),
    );
    const attic = await island([at(portOf(link))], await invite(), 60);
    await attic.hears('received');
    expect(cuts).toEqual([]);
  });

  it('when the coordinator closes before its welcome, with whatever code', async () => {
    const { server, invite } = await coordinator();
    const codes = [1000, 1001, 1008, 1011, 1012, 1013];
    const http = await listening(createHttp());
    const sockets = new WebSocketServer({ noServer: true });
    let [closing, passed] = [true, 0];
    http.on('upgrade', (request, socket: Socket, head) => {
      sockets.handleUpgrade(request, socket, head, (each) => {
        closing = codes.length > 0;
        if (closing) each.close(codes.shift());
        else passed++;
      });
    });
    const attic = await island([at(portOf(http)), at(server.port)], await invite(), 60);
    await attic.hears('welcome');
    expect(passed).toBe(0);
    attic.connection.close();
    const alone = await island([at(portOf(http))], await invite(), 2);
    const error = await alone.ended;
    expect([codes, error?.code]).toEqual([[], 'HELIO-4002']);
  });

  it('when the coordinator says that there is no place now, after as long as it says', async () => {
    const { server, invite } = await coordinator();
    const full = await listening(createHttp());
    const sockets = new WebSocketServer({ noServer: true });
    const atMs: number[] = [];
    full.on('upgrade', (request, socket: Socket, head) => {
      if (atMs.push(performance.now()) > 2) {
        const behind = connect(server.port, '127.0.0.1');
        const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
        behind.on('error', () => {}).write(`GET ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
        socket.pipe(behind).pipe(socket);
        return;
      }
      sockets.handleUpgrade(request, socket, head, (each) => {
        each.send(JSON.stringify({ kind: 'challenge', protocol: 6, oldest: 6, nonce: 'x'.repeat(32) }));
        each.on('message', () => {
          const refusal = { kind: 'refused', code: 'HELIO-4003', what: 'The run is full.', remedy: 'Wait.' };
          each.send(JSON.stringify({ ...refusal, retryAfterS: 2 }));
          each.close(1008);
        });
      });
    });
    // It is there, so that patience has no say.
    const attic = await island([at(portOf(full))], await invite(), 1);
    await attic.hears('welcome');
    expect(atMs[1]! - atMs[0]!).toBeGreaterThan(1_990);
    expect(atMs[2]! - atMs[1]!).toBeGreaterThan(1_990);
    expect(attic.heard).not.toContain('refused');
    expect(attic.sentences[0]).toMatch(/The run is full\. Asking again in [23] s/);
  });

  it('when its own connection of before, that nobody knows to be gone, still asks to join', async () => {
    const { server } = await coordinator();
    const identity = await newIdentity();
    const [before, now] = [0, 1].map(() => new Puppet(server.port, 'attic', identity));
    ends.push(() => [before, now].map((each) => each!.close()));
    await before!.hello(null);
    await before!.hears('standing');
    await now!.hello(null);
    expect(await now!.hears('refused')).toMatchObject({ code: 'HELIO-4003', retryAfterS: 15 });
    before!.close();
    // Once the coordinator has seen it go.
    const asksAgain = async (): Promise<boolean> => {
      const later = new Puppet(server.port, 'attic', identity);
      ends.push(() => later.close());
      await later.hello(null);
      return later.hears('standing').then(
        () => true,
        () => false,
      );
    };
    await expect.poll(asksAgain, { timeout: 20_000, interval: 500 }).toBe(true);
  });

  it('not when the coordinator says its last word', async () => {
    const { server, invite } = await coordinator();
    let connections = 0;
    const counted = await passing(
      () => server.port,
      () => true,
    );
    counted.on('connection', () => connections++);
    const attic = await island([at(portOf(counted)), at(server.port)], await invite({ run: 'another-run' }));
    expect((await attic.ended)?.message).toMatch(/refused: /);
    await sleep(1_000);
    expect([connections, attic.heard.filter((kind) => kind === 'connected')]).toEqual([1, ['connected']]);
  });
});

describe('an island ends', () => {
  it('when its patience is over, and says what it tried', async () => {
    const silent = await listening(createServer());
    const bad = await listening(createHttp());
    bad.on('upgrade', (_, socket: Socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n'));
    const attic = await island([at(portOf(silent)), at(portOf(bad))], null, 3);
    const error = await attic.ended;
    expect(error).toMatchObject({ code: 'HELIO-4002' });
    expect(error?.message).toMatch(/127\.0\.0\.1:\d+ \(no answer within 3 s\); 127\.0\.0\.1:\d+ \(HTTP 502\)/);
  });

  it.each<[string, boolean, (own: string) => Partial<Route>, RegExp, RegExp]>([
    [
      'another certificate',
      true,
      () => ({ fingerprint: 'ab'.repeat(32) }),
      /not the one that/,
      /its certificate was replaced/,
    ],
    [
      'a certificate that nobody vouches for',
      true,
      () => ({}),
      /names no fingerprint/,
      /Copy the invitation link whole/,
    ],
    [
      'a coordinator that encrypts, to whom it speaks plainly',
      true,
      (own) => ({ url: own.replace('wss', 'ws') }),
      /closed without an answer/,
      /may begin with https/,
    ],
    [
      'a coordinator that does not encrypt, to whom it speaks encrypted',
      false,
      (own) => ({ url: own.replace('ws', 'wss'), fingerprint: 'ab'.repeat(32) }),
      /does not encrypt/,
      /may begin with http:/,
    ],
  ])('with what is to be done, when it finds %s', async (_, secure, change, why, remedy) => {
    const [pair] = await Promise.all([generate([{ name: 'commonName', value: 'x' }])]);
    const tls = secure ? { cert: pair.cert, key: pair.private } : undefined;
    const { server, invite } = await coordinator({ tls });
    const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${server.port}/v1/run`;
    const attic = await island([at(server.port, { url, ...change(url) })], await invite(), 1);
    const error = (await attic.ended) as (Error & { remedy?: string }) | undefined;
    expect(error?.message).toMatch(why);
    expect(error?.remedy).toMatch(remedy);
    expect(attic.sentences[0]).toMatch(why);
    expect(attic.sentences[0]).toMatch(remedy);
  });

  it('when a coordinator falls silent and stays so; no sooner', async () => {
    let flows = true;
    const { server, invite } = await coordinator({}, 2_000);
    const link = await passing(
      () => server.port,
      () => flows,
    );
    const attic = await island([at(portOf(link))], await invite(), 3);
    await attic.hears('welcome');
    // Nothing but heartbeats for longer than lease and patience.
    await sleep(6_000);
    expect(attic.heard).not.toContain('lost');
    flows = false;
    expect(await attic.ended).toMatchObject({ code: 'HELIO-4002' });
    expect(attic.sentences[0]).toMatch(/connection lost \(silent for \d s\)/);
  });

  it('when what answers makes no sense again and again', async () => {
    const http = await listening(createHttp());
    let connections = 0;
    new WebSocketServer({ server: http }).on('connection', (socket) => {
      connections++;
      socket.on('error', () => {}).send('<html>');
    });
    const attic = await island([at(portOf(http))], null, 60);
    expect([await attic.ended, connections]).toEqual([expect.objectContaining({ code: 'HELIO-4004' }), 5]);
  });
});

it('a coordinator that is stopped and continued has its island back', async () => {
  const script = path.join(import.meta.dirname, '../coordinator/hosting.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, '2000'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  ends.push(() => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout);
  const [first] = (await once(lines, 'line')) as [string];
  const { port, invitation } = JSON.parse(first) as { port: number; invitation: string };
  const attic = await island([at(port)], invitation, 60);
  await attic.hears('welcome');
  child.kill('SIGSTOP');
  await attic.hears('lost');
  await sleep(2_000);
  child.kill('SIGCONT');
  await attic.hears('welcome', 2);
});

it('an answer goes on the connection that the question came from', async () => {
  const http = await listening(createHttp());
  const heard: string[][] = [];
  let send = (): void => {};
  new WebSocketServer({ server: http }).on('connection', (socket) => {
    const own: string[] = [];
    heard.push(own);
    socket.on('message', (data) => own.push((JSON.parse(String(data)) as { nonce: string }).nonce));
    const nonce = String(heard.length).repeat(32);
    socket.send(JSON.stringify({ kind: 'challenge', protocol: 6, oldest: 6, nonce }));
    if (heard.length === 1) send = () => socket.close(1012);
  });
  const connection = new ReconnectingConnection({ routes: [at(portOf(http))], patienceS: 20, log: () => {} });
  ends.push(() => connection.close());
  await expect.poll(() => heard.length).toBe(1);
  await sleep(300);
  // Busy with a long step, it reads nothing, while one connection ends and the next begins.
  send();
  await expect.poll(() => heard.length).toBe(2);
  await sleep(300);
  for (let item = await connection.next(0); item !== 'timeout' && item !== null; item = await connection.next(0))
    if (item.kind === 'told' && item.message.kind === 'challenge')
      connection.send({ kind: 'leaving', reason: '', nonce: item.message.nonce } as never);
  await expect.poll(() => heard[1]).toEqual(['2'.repeat(32)]);
  expect(heard[0]).toEqual([]);
});
