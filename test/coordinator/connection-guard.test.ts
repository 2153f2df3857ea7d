import { connect, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { countedAs, networksOf } from '../../src/coordinator/server/address.ts';
import { ConnectionGuard } from '../../src/coordinator/server/connection-guard.ts';
import { JoinRequests } from '../../src/coordinator/server/join-requests.ts';
import { type ConnectionLimits, connectionLimits } from '../../src/coordinator/server/limits.ts';
import { refusalOf } from '../../src/coordinator/server/origin-check.ts';
import type { Hello, Peer } from '../../src/coordinator/server/peer.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { ADMIN, type Hosted, helloOf, hosted, Puppet, patientLimits, resetInQueue } from './hosted.ts';

const USUAL = patientLimits(connectionLimits({ most: 20_000, open: 50 }));
let run: Hosted;
let served = false;
const open: { destroy(): unknown }[] = [];
const faults: string[] = [];
const serve = async (
  limits: Partial<ConnectionLimits> = {},
  change: Parameters<typeof hosted>[0] = {},
): Promise<void> => {
  served = true;
  run = await hosted({
    connectionLimits: { ...USUAL, ...limits },
    onFault: (error, place) => faults.push(`${place}: ${String(error)}`),
    ...change,
  });
};
afterEach(async () => {
  for (const each of open.splice(0)) each.destroy();
  if (served) await run.close();
  served = false;
  expect(faults.splice(0)).toEqual([]);
});

/** A connection that a stranger opened, and what came over it. */
const stranger = (localAddress = '127.0.0.1'): Promise<{ socket: Socket; text: () => string; closed: () => boolean }> =>
  new Promise((resolve) => {
    let [text, closed] = ['', false];
    const socket = connect({ port: run.server.port, host: '127.0.0.1', localAddress });
    open.push(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.on('close', () => {
      closed = true;
    });
    const came = () => resolve({ socket, text: () => text, closed: () => closed });
    socket.once('connect', came);
    socket.once('close', came);
  });
const upgrade = (target: string, headers = ''): string =>
  `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${headers}\r\n`;
const puppet = (name: string): Puppet => {
  const made = new Puppet(run.server.port, name);
  open.push({ destroy: () => made.close() });
  return made;
};
/** Somebody honest gets in. */
const honest = async (name = 'attic'): Promise<Puppet> => {
  const island = puppet(name);
  await island.hello(run.invite({ uses: 1_000 }));
  await island.hears('welcome');
  return island;
};
const metric = async (name: string): Promise<number> => {
  const asHost = { authorization: `Bearer ${ADMIN}` };
  const text = await (await fetch(`http://127.0.0.1:${run.server.port}/metrics`, { headers: asHost })).text();
  const line = text.split('\n').find((each) => each.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
};

describe('a request that makes no sense', () => {
  it.each([
    ['//', 400],
    ['http://[', 400],
    ['*', 400],
    ['/v1/run\\', 404],
    [`/${'x'.repeat(5_000)}`, 400],
    ['/other', 404],
    ['http://127.0.0.1/other', 404],
  ])('as an upgrade for %s, gets %i and ends nothing', async (target, status) => {
    await serve();
    const { socket, text } = await stranger();
    socket.write(upgrade(target));
    await expect.poll(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    await honest();
  });

  it.each([
    'GET // HTTP/1.1\r\n\r\n',
    'GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n',
    'nonsense\r\n\r\n',
    '\x16\x03\x01\x00',
  ])('as %j, is answered or closed', async (bytes) => {
    await serve();
    const { socket, text, closed } = await stranger();
    socket.write(bytes);
    await expect.poll(() => closed() || /^HTTP\/1.1 4\d\d /.test(text()), { timeout: 15_000 }).toBe(true);
    await honest();
  });

  it('and is reset at once, ends nothing: upgrades for wrong and right paths, and requests', async () => {
    await serve();
    for (let i = 0; i < 60; i++) {
      const { socket } = await stranger();
      socket.write(
        i % 3 === 0 ? upgrade('/wrong') : i % 3 === 1 ? upgrade('/v1/run') : 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
      );
      if (i % 2 === 0) await sleep(i % 5);
      socket.resetAndDestroy();
    }
    await honest();
  });

  it('of whatever bytes, ends nothing', async () => {
    await serve({ connections: { burst: 10_000, perS: 1_000 } });
    const start = fc.constantFrom('', upgrade('/v1/run'), 'POST /v1/join-requests/a HTTP/1.1\r\nHost: localhost\r\n');
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 3_000 }), fc.boolean(), async (text, bytes, reset) => {
        const { socket } = await stranger();
        socket.write(text);
        socket.write(bytes);
        await sleep(2);
        if (reset) socket.resetAndDestroy();
        else socket.destroy();
      }),
      { numRuns: 200 },
    );
    await honest();
  });
});

describe('strangers', () => {
  it('that say nothing are closed, and as many as one address may have make room for others', async () => {
    await serve({ strangers: 40, strangersPerAddress: 10, patienceMs: 60_000 });
    const idle = await Promise.all(Array.from({ length: 30 }, () => stranger()));
    await expect.poll(() => idle.filter(({ closed }) => closed()).length).toBe(20);
    await Promise.all(Array.from({ length: 40 }, (_, i) => stranger(`127.0.1.${1 + (i % 20)}`)));
    expect(await metric('heliotrope_strangers')).toBeLessThanOrEqual(40);
    // An address that has few gets in however many there are.
    await honest();
    expect(await metric('heliotrope_turned_away_total{why="crowded"')).toBeGreaterThanOrEqual(20);
  });

  it('that were reset before they were taken from the queue are nobody, and take no place', async () => {
    await serve({ strangers: 20, strangersPerAddress: 10 });
    await resetInQueue(run.server.port, 60);
    await expect.poll(() => metric('heliotrope_turned_away_total{why="gone"')).toBe(60);
    expect(await metric('heliotrope_strangers')).toBe(0);
    await Promise.all(Array.from({ length: 40 }, (_, i) => stranger(`127.0.1.${1 + i}`)));
    expect(await metric('heliotrope_strangers')).toBeLessThanOrEqual(20);
    await honest();
  });

  it('have so much time, wherever they stop', async () => {
    await serve({ patienceMs: 400 });
    const [silent, half, begun, greeted] = await Promise.all([stranger(), stranger(), stranger(), stranger()]);
    half.socket.write('GET /healthz HTT');
    begun.socket.write(upgrade('/v1/run'));
    greeted.socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    for (const each of [silent, half, begun, greeted]) await expect.poll(each.closed, { timeout: 10_000 }).toBe(true);
    expect(greeted.text()).toContain('ok');
    expect(begun.text()).toContain('challenge');
    const attic = await honest();
    await sleep(600);
    expect(attic.closed).toBe(false);
  });

  it('cannot make us keep bytes', async () => {
    await serve();
    // What strangers send is there once, so that what we keep of it is seen.
    const head = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x0d, 0xbb, 0xa0, 0, 0, 0, 0]);
    const almost = Buffer.alloc(899_999);
    const before = process.memoryUsage().arrayBuffers;
    const all = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = new WebSocket(`ws://127.0.0.1:${run.server.port}/v1/run`, { perMessageDeflate: false });
        open.push({ destroy: () => socket.terminate() });
        await new Promise((resolve) => socket.once('open', resolve));
        socket.on('error', () => {});
        // A message of 900 kB, of which the last byte does not come.
        const raw = (socket as unknown as { readonly _socket: Socket })._socket;
        raw.write(head);
        raw.write(almost);
        return socket;
      }),
    );
    for (const each of all) await expect.poll(() => each.readyState).toBe(WebSocket.CLOSED);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30 * 2 ** 20);
    await honest();
  });

  it('that were refused are not listened to any more', async () => {
    await serve();
    const liar = puppet('liar');
    const { nonce } = await liar.hears('challenge');
    const wrong = { ...(await helloOf('liar', await newIdentity(), nonce, null)), signature: 'A'.repeat(86) };
    for (let i = 0; i < 400; i++) liar.say(wrong);
    await liar.until(() => liar.closed);
    expect(liar.told.filter(({ kind }) => kind === 'refused')).toHaveLength(1);
    expect(await metric('heliotrope_refusals_total')).toBe(1);
  });

  it('that were refused are closed, also when they do not answer', async () => {
    await serve({ patienceMs: 60_000 });
    const { socket, text, closed } = await stranger();
    socket.write(upgrade('/v1/run'));
    await expect.poll(text, { timeout: 10_000 }).toContain('challenge');
    // A text of one byte, masked with zeros: no message.
    socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x21]));
    await expect.poll(text, { timeout: 10_000 }).toContain('refused');
    await expect.poll(closed, { timeout: 10_000 }).toBe(true);
  });

  it('that are refused again and again are not looked at for a while; others are', async () => {
    await serve({ refusals: { burst: 10, perS: 0.001 } });
    let answered = 0;
    for (let i = 0; i < 20; i++) {
      const liar = puppet(`liar-${i}`);
      await liar.until(() => liar.closed || liar.told.length > 0);
      if (liar.closed) continue;
      await liar.hello(run.invite({ expiresAt: 1 }));
      await liar.until(() => liar.closed);
      answered += liar.told.some((each) => each.kind === 'refused' && each.what.includes('expired')) ? 1 : 0;
    }
    expect(answered).toBe(10);
    const other = new Puppet(run.server.port, 'other', undefined, '127.0.0.77');
    open.push({ destroy: () => other.close() });
    await other.hello(run.invite());
    await other.hears('welcome');
  });

  it('come only so fast from one address', async () => {
    await serve({ connections: { burst: 5, perS: 0.001 } });
    const many = await Promise.all(Array.from({ length: 12 }, () => stranger('127.0.0.9')));
    await expect.poll(() => many.filter(({ closed }) => closed()).length).toBe(7);
    await honest();
  });
});

describe('requests', () => {
  const pipelined = (target: string, count: number): string =>
    `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(count);
  const answers = (text: string, status: number): number => text.split(`HTTP/1.1 ${status} `).length - 1;

  it('that come a thousand in one packet are not all answered', async () => {
    await serve({ requests: { burst: 1_000, perS: 0.001 } });
    const { socket, text, closed } = await stranger();
    socket.write(pipelined('/v1/openapi.json', 1_000));
    await expect.poll(closed, { timeout: 15_000 }).toBe(true);
    expect(answers(text(), 200)).toBeLessThanOrEqual(100);
  });

  it('of one address are so many, over all its connections, and others are answered', async () => {
    await serve({ requests: { burst: 30, perS: 0.001 } });
    const all = await Promise.all(Array.from({ length: 5 }, () => stranger()));
    for (const { socket } of all) socket.write(pipelined('/healthz', 10));
    const count = (status: number) => all.reduce((sum, { text }) => sum + answers(text(), status), 0);
    await expect.poll(() => count(429), { timeout: 10_000 }).toBeGreaterThan(0);
    expect(count(200)).toBe(30);
    const other = await stranger('127.0.0.78');
    other.socket.write(pipelined('/healthz', 1));
    await expect.poll(other.text, { timeout: 10_000 }).toContain('HTTP/1.1 200');
    await honest();
  });
});

describe('islands', () => {
  it('come in while strangers have all the places that islands leave', async () => {
    await serve({ sockets: 12, strangers: 10, strangersPerAddress: 10, patienceMs: 60_000 });
    for (let i = 0; i < 6; i++) await honest(`island-${i}`);
    await Promise.all(Array.from({ length: 30 }, (_, i) => stranger(`127.0.1.${1 + (i % 15)}`)));
    const attic = await honest('attic');
    expect(attic.closed).toBe(false);
    expect(await metric('heliotrope_connections')).toBe(7);
  });

  it('come back when others of their address are refused again and again; unknown ones are told to ask again later', async () => {
    await serve({ refusals: { burst: 3, perS: 0.001 } });
    const attic = await honest();
    for (let i = 0; i < 5; i++) {
      const liar = puppet(`liar-${i}`);
      await liar.hello(run.invite({ expiresAt: 1 }));
      await liar.until(() => liar.closed);
    }
    attic.close();
    const back = new Puppet(run.server.port, 'attic', attic.identity);
    open.push({ destroy: () => back.close() });
    await back.hello(null);
    await back.hears('welcome');
    const unknown = puppet('unknown');
    await unknown.hello(run.invite());
    expect(await unknown.hears('refused')).toMatchObject({
      retryAfterS: 10,
      what: expect.stringMatching(/this address/),
    });
  });
});

describe('a process that has more to do than it can', () => {
  it('looks at few strangers, and at everybody from where islands came before', async () => {
    await serve({ pressed: { burst: 3, perS: 0.001 }, quiet: { burst: 2, perS: 0.001 } });
    const attic = await honest();
    attic.close();
    // It has work for a while, as with strangers a thousand a second.
    const until = performance.now() + 30_000;
    const busy = setInterval(() => {
      for (const endMs = performance.now() + 40; performance.now() < endMs; );
    }, 1);
    try {
      let closed = 0;
      while (closed < 5 && performance.now() < until) {
        const each = await stranger('127.0.0.88');
        await sleep(20);
        if (each.closed()) closed++;
      }
      expect(closed).toBe(5);
      expect(await metric('heliotrope_turned_away_total{why="pressed"')).toBeGreaterThanOrEqual(5);
      await honest('cellar');
      // Nobody came from there yet, and nobody comes often.
      const seldom = new Puppet(run.server.port, 'shed', undefined, '127.0.0.89');
      open.push({ destroy: () => seldom.close() });
      await seldom.hello(run.invite({ uses: 1_000 }));
      await seldom.hears('welcome');
    } finally {
      clearInterval(busy);
    }
  });

  it('keeps from where islands came, for the process that follows it', async () => {
    let kept: readonly string[] = [];
    const onMembers = (addresses: readonly string[]): void => {
      kept = addresses;
    };
    await serve({}, { onMembers, members: ['192.0.2.7'] });
    await honest();
    await expect.poll(() => kept, { timeout: 10_000 }).toEqual(['192.0.2.7', '127.0.0.1']);
  });
});

describe('a web page', () => {
  it.each([
    ['of another origin', 'Origin: https://evil.example\r\n', 403],
    ['without an origin of its own', 'Origin: null\r\n', 403],
  ])('%s cannot open the WebSocket', async (_, header, status) => {
    await serve();
    const { socket, text } = await stranger();
    socket.write(upgrade('/v1/run', header));
    await expect.poll(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it('that was rebound to this address is sent away, with a sentence; an announced name is not', async () => {
    await serve({}, { hosts: ['solar.example.org'] });
    const ask = async (host: string): Promise<string> => {
      const { socket, text } = await stranger();
      socket.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      await expect.poll(text).toContain('\r\n\r\n');
      return text();
    };
    expect(await ask('evil.example')).toMatch(/^HTTP\/1.1 421 [\s\S]*not known by that name/);
    expect(await ask('solar.example.org:7420')).toMatch(/^HTTP\/1.1 200/);
    expect(await ask('[::1]:7420')).toMatch(/^HTTP\/1.1 200/);
  });

  it('of our own, or one that is allowed, may', () => {
    const known = { hosts: ['a.example'], origins: ['https://dashboard.example'] };
    const refused = (host: string, origin?: string) =>
      refusalOf({ host, ...(origin === undefined ? {} : { origin }) }, known);
    expect(refused('a.example:7420', 'http://a.example:7420')).toBeUndefined();
    expect(refused('127.0.0.1', 'https://dashboard.example')).toBeUndefined();
    expect(refused('localhost:1')).toBeUndefined();
    expect(refused('a.example:7420', 'http://a.example:7421')).toBe('origin');
    for (const host of ['', 'b.example', 'a.example@evil', '127.0.0.1.evil.example', 'a.example:99999999', '[zz]'])
      expect([host, refused(host)]).toEqual([host, 'host']);
    expect(refusalOf({}, known)).toBe('host');
  });
});

describe('who asks to join', () => {
  const asks = async (name: string, localAddress?: string, identity = newIdentity()): Promise<Puppet> => {
    const island = new Puppet(run.server.port, name, identity, localAddress);
    open.push({ destroy: () => island.close() });
    await island.hello(null);
    await island.until(
      () => island.closed || island.told.some(({ kind }) => kind === 'standing' || kind === 'refused'),
    );
    return island;
  };
  const waits = (island: Puppet): boolean => island.told.some(({ kind }) => kind === 'standing');

  it('cannot use up the list for others: not by asking, and not by being sent away', async () => {
    await serve();
    for (let i = 0; i < 100; i++) await asks(`idle-${i}`, `127.0.2.${1 + (i % 25)}`);
    expect(run.joinRequests.length).toBe(100);
    // A hundred wait, and one of another address still may.
    expect(waits(await asks('attic', '127.0.3.1'))).toBe(true);
    for (let i = 0; i < 15; i++) {
      const sent = await asks(`sent-${i}`, `127.0.4.${1 + i}`);
      if (waits(sent)) expect(run.server.answerJoinRequest(`sent-${i}`, false)).toBe(true);
    }
    expect(waits(await asks('cellar', '127.0.5.1'))).toBe(true);
  });

  it('cannot use up the list for others with many addresses of one network', async () => {
    await serve();
    for (let i = 0; i < 100; i++) expect(waits(await asks(`idle-${i}`, `127.50.${i}.1`))).toBe(true);
    expect(waits(await asks('attic', '127.60.0.1'))).toBe(true);
    expect(run.server.answerJoinRequest('attic', true)).toBe(true);
  });

  it('from everywhere, gives way when the host had time to see it', () => {
    let now = 0;
    const joinRequests = new JoinRequests(() => now);
    const expired: string[] = [];
    const ask = (i: number) =>
      joinRequests.add(
        { address: `${i}.1.1.1` } as Peer,
        { island: `i-${i}`, key: `key-${i}` } as Hello,
        (key) => expired.push(key) && joinRequests.takeKey(key),
      );
    for (let i = 0; i < 100; i++) ask(i);
    now = 30_000;
    expect(() => ask(100)).toThrow(/Too many islands ask to join/);
    now = 61_000;
    ask(101);
    expect(expired).toEqual(['key-0']);
    expect(joinRequests.list).toHaveLength(100);
  });

  it('is as many as one address may be, and does not come back after being sent away', async () => {
    await serve();
    const all = [];
    for (let i = 0; i < 7; i++) all.push(await asks(`many-${i}`));
    expect(all.map(waits)).toEqual([true, true, true, true, true, false, false]);
    const identity = await newIdentity();
    const first = await asks('garage', '127.0.6.1', Promise.resolve(identity));
    run.server.answerJoinRequest('garage', false);
    await first.until(() => first.closed);
    const again = await asks('garage', '127.0.6.1', Promise.resolve(identity));
    expect((await again.hears('refused')).what).toContain('declined this island');
    // Another of that address may still.
    expect(waits(await asks('shed', '127.0.6.1'))).toBe(true);
  });

  it('cannot take a name by asking for it first', async () => {
    await serve();
    const [one, other] = [await asks('attic', '127.0.7.1'), await asks('attic', '127.0.7.2')];
    expect([waits(one), waits(other)]).toEqual([true, true]);
    expect(() => run.server.answerJoinRequest('attic', true)).toThrow(/2 islands ask to join as attic/);
    const { publicKey } = await other.identity;
    expect(run.server.answerJoinRequest('attic', true, publicKey.slice(0, 8))).toBe(true);
    await other.hears('welcome');
    expect(one.told.some(({ kind }) => kind === 'welcome')).toBe(false);
  });
});

describe('the connection guard', () => {
  const socket = (remoteAddress: string | undefined, remotePort: number | undefined): Socket =>
    Object.defineProperties(new Socket(), {
      remoteAddress: { value: remoteAddress },
      remotePort: { value: remotePort },
    });
  const closed = (one: Socket): Promise<unknown> => new Promise((resolve) => one.once('close', resolve));

  it('keeps nothing of a connection that has no other end', async () => {
    const why: string[] = [];
    const guard = new ConnectionGuard(
      USUAL,
      () => 0,
      (cause) => why.push(cause),
    );
    for (let i = 0; i < 5; i++) guard.arrived(socket(undefined, undefined));
    expect([guard.strangers, guard.sockets, why]).toEqual([0, 0, Array(5).fill('gone')]);
  });

  it('knows two connections from one port apart, the older of which is not seen to be closed yet', async () => {
    const guard = new ConnectionGuard(
      { ...USUAL, strangers: 2 },
      () => 0,
      () => {},
    );
    const [older, newer] = [socket('192.0.2.1', 7), socket('192.0.2.1', 7)];
    guard.arrived(older);
    guard.arrived(newer);
    older.destroy();
    await closed(older);
    expect([guard.strangers, guard.sockets]).toEqual([1, 1]);
    guard.letIn(newer);
    expect([guard.strangers, guard.members]).toEqual([0, ['192.0.2.1']]);
    newer.destroy();
    await closed(newer);
    expect(guard.sockets).toBe(0);
  });

  it('makes room with every one that it puts out', () => {
    const guard = new ConnectionGuard(
      { ...USUAL, strangers: 3 },
      () => 0,
      () => {},
    );
    for (let i = 0; i < 20; i++) guard.arrived(socket('192.0.2.1', 7));
    expect(guard.strangers).toBe(3);
  });
});

describe('an address', () => {
  it('is counted by itself, and of IPv6 by its /64', () => {
    expect(countedAs('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(countedAs('192.0.2.1')).toBe('192.0.2.1');
    expect(countedAs('2001:db8:0:1::1')).toBe('2001:db8:0:1::/64');
    expect(countedAs('2001:0db8:0000:0001:aaaa:bbbb:cccc:dddd')).toBe('2001:db8:0:1::/64');
    expect(countedAs('2001:db8::')).toBe('2001:db8:0:0::/64');
    expect(countedAs('::1')).toBe('0:0:0:0::/64');
    expect(countedAs('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
    expect(networksOf('192.0.2.1')).toEqual(['192.0.2.1', '192.0.2', '192.0']);
    expect(networksOf('2001:db8:7:1::1')).toEqual(['2001:db8:7:1::/64', '2001:db8:7', '2001:db8']);
  });
});

describe('descriptors', () => {
  it('are kept back for the store', () => {
    expect(connectionLimits({ most: 160, open: 40 })).toMatchObject({ sockets: 56, strangers: 28 });
    expect(connectionLimits({ most: 1_000_000, open: 40 }).sockets).toBe(20_000);
  });
});

describe('the stores', () => {
  it('are what readiness looks at', async () => {
    const down = async (): Promise<never> => {
      throw new Error('postgres://secret@10.0.0.1 is away');
    };
    const { FileBlobs } = await import('../../src/coordinator/store/file-blobs.ts');
    const blobs = new FileBlobs('/nonexistent-folder');
    blobs.ping = down;
    await serve({}, { blobs });
    const answer = await fetch(`http://127.0.0.1:${run.server.port}/readyz`);
    expect([answer.status, await answer.text()]).toEqual([503, 'the store of blobs does not answer\n']);
  });
});
