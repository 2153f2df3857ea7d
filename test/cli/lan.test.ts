import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { type Candidate, linkByCode } from '../../src/cli/lan/by-code.ts';
import { joinerBegins, joinerFinishes } from '../../src/cli/lan/opaque-messages.ts';
import { type CodeTried, OpaqueServer } from '../../src/cli/lan/opaque-server.ts';
import { postJson } from '../../src/cli/lan/post-json.ts';
import { unseal } from '../../src/cli/lan/sealed.ts';
import { type Tls, tlsOf } from '../../src/cli/tls.ts';
import { WebSocketConnection } from '../../src/island/node/connection.ts';
import { type InvitationLink, readLink, writeLink } from '../../src/protocol/invitation.ts';
import { type Hosted, hosted, Puppet, RUN } from '../coordinator/hosted.ts';

/** Real coordinators, real sockets, and people in between. */

const CODE = 'amber-fox-42';
const closing: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const close of closing.splice(0)) await close();
});

interface Coded extends Hosted {
  readonly codes: OpaqueServer;
  readonly tried: CodeTried[];
  readonly address: string;
  readonly tls: Tls | undefined;
  /** Moves the clock of its limits on. */
  later(ms: number): void;
}

async function coded({ code = CODE, encrypted = false } = {}): Promise<Coded> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-lan-'));
  closing.push(() => rmSync(folder, { recursive: true }));
  const tls = encrypted ? await tlsOf({ tls: 'self-signed' }, folder) : undefined;
  const tried: CodeTried[] = [];
  let aheadMs = 0;
  let given = 0;
  const codes = await OpaqueServer.open({
    code,
    nowMs: () => performance.now() + aheadMs,
    onTried: (each) => tried.push(each),
    invite: async () => {
      const id = `code-${++given}`;
      const invitation = await host.invite({ uses: 1, id });
      const addresses = [`127.0.0.1:${host.server.port}`];
      return { id, link: writeLink({ addresses, secure: encrypted, fingerprint: tls?.fingerprint, invitation }) };
    },
  });
  const host: Hosted = await hosted({ codes, tls });
  closing.push(() => host.close());
  const later = (ms: number): void => {
    aheadMs += ms;
  };
  return { ...host, codes, tried, tls, later, address: `127.0.0.1:${host.server.port}` };
}

const candidate = (address: string, secure: boolean | 'unknown' = false): Candidate => ({
  name: RUN,
  addresses: [address],
  secure: secure === 'unknown' ? undefined : secure,
});

interface Found {
  readonly link?: InvitationLink;
  readonly error?: unknown;
  readonly said: readonly string[];
}
async function search(code: string, ...candidates: readonly Candidate[]): Promise<Found> {
  const said: string[] = [];
  const outcome = await linkByCode({
    code,
    candidates: async (found) => {
      for (const each of candidates) found(each);
    },
    say: (sentence) => said.push(sentence),
    signal: new AbortController().signal,
  }).then(
    (link) => ({ link }),
    (error: unknown) => ({ error }),
  );
  return { ...outcome, said };
}

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const answering = (listener: RequestListener): Promise<string> => listening(createHttpServer(listener));

/** Passes on what is said to a host, and what it answers, as `change` has it. */
const relay =
  (
    to: string,
    secure: boolean,
    change: (path: string, body: unknown) => unknown = (_, body) => body,
  ): RequestListener =>
  (request, response) => {
    let text = '';
    request.on('data', (data) => {
      text += data;
    });
    request.on('end', async () => {
      const answer = await postJson(to, secure, request.url!, JSON.parse(text), new AbortController().signal);
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(change(request.url!, answer.body)));
    });
  };

describe('who knows the code of a run', () => {
  it('is given an invitation of his own, and is in without being asked for', async () => {
    const host = await coded();
    const { link, said } = await search(CODE, candidate(host.address));
    expect([link?.addresses, link?.secure, said]).toEqual([[host.address], false, []]);
    const island = new Puppet(host.server.port, 'attic');
    closing.push(() => island.close());
    await island.hello(link!.invitation);
    await island.hears('admitted');
    expect([host.joinRequests, host.tried]).toEqual([
      [],
      [{ outcome: 'right', address: '127.0.0.1', invitation: 'code-1', wrong: 0, turnedAway: 0 }],
    ]);
  });

  it('learns the certificate of its host, though he trusts nobody’s before', async () => {
    const host = await coded({ encrypted: true });
    const { link } = await search(CODE, candidate(host.address, true));
    expect([link?.secure, link?.fingerprint]).toEqual([true, host.tls!.fingerprint]);
    // Where nobody said whether it is encrypted, both are tried.
    expect((await search(CODE, candidate(host.address, 'unknown'))).link?.fingerprint).toBe(host.tls!.fingerprint);
    const plain = await coded();
    expect((await search(CODE, candidate(plain.address, 'unknown'))).link?.secure).toBe(false);
  });

  it('goes by another address of the host when the first does not answer', async () => {
    const host = await coded();
    const nobody = await listening(createTcpServer((socket) => socket.destroy()));
    const { link } = await search(CODE, { name: RUN, addresses: [nobody, host.address], secure: false });
    expect(link?.addresses).toEqual([host.address]);
  });
});

describe('who does not know it', () => {
  it('learns that, and nothing of the run', async () => {
    const host = await coded();
    const { error, said } = await search('amber-fox-43', candidate(host.address));
    expect(error).toMatchObject({
      code: 'HELIO-4003',
      message: expect.stringMatching(/None of 1 run .* amber-fox-43/),
    });
    expect(said).toEqual([expect.stringMatching(/passed over: it does not know this code/)]);
  });

  it('is counted when he tries: one guess for each exchange that begins, finished or not', async () => {
    const host = await coded();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { request } = await joinerBegins('amber-fox-43');
    const begun = host.codes.begin('192.168.1.9', request);
    expect(begun.kind).toBe('begun');
    // A joiner that finds the code wrong says nothing any more.
    vi.advanceTimersByTime(30_000);
    expect(host.tried).toEqual([
      { outcome: 'wrong', address: '192.168.1.9', invitation: null, wrong: 1, turnedAway: 0 },
    ]);
    const garbage = host.codes.begin('192.168.1.9', 'AAAA');
    expect([garbage.kind, host.tried.length]).toEqual(['malformed', 2]);
  });

  it('cannot finish what he did not prove, nor anything twice', async () => {
    const { codes, tried } = await coded();
    const begin = async () => {
      const { state, request } = await joinerBegins(CODE);
      const begun = codes.begin('192.168.1.9', request);
      if (begun.kind !== 'begun') throw new Error(begun.kind);
      return { ...begun, proved: joinerFinishes(CODE, state, begun.response)! };
    };
    const [one, other] = [await begin(), await begin()];
    expect(await codes.finish('a'.repeat(24), one.proved.request)).toBeUndefined();
    expect(await codes.finish(one.attempt, other.proved.request)).toBeUndefined();
    expect(await codes.finish(one.attempt, one.proved.request)).toBeUndefined();
    const sealed = await codes.finish(other.attempt, other.proved.request);
    expect(readLink(unseal(sealed!, other.proved.sessionKey, other.attempt)!).invitation).not.toBeNull();
    expect(await codes.finish(other.attempt, other.proved.request)).toBeUndefined();
    expect(tried.map((each) => each.outcome)).toEqual(['wrong', 'right']);
  });

  it('is told to come later after ten wrong codes, also with the right one; the host hears of it once a minute', async () => {
    const host = await coded();
    for (let i = 0; i < 10; i++) await search(`wrong-fox-${i}`, candidate(host.address));
    const { request } = await joinerBegins(CODE);
    const ask = () => postJson(host.address, false, '/v1/lan/begin', { request }, new AbortController().signal);
    for (let i = 0; i < 5; i++) expect(await ask()).toMatchObject({ status: 429, retryAfterS: expect.any(Number) });
    expect(host.tried.filter((each) => each.outcome === 'turned away')).toHaveLength(1);
    // From elsewhere it opens all the while.
    expect(host.codes.begin('192.168.1.9', request).kind).toBe('begun');
    host.later(61_000);
    expect((await search(CODE, candidate(host.address))).link).toBeDefined();
  });

  it('is not listened to from outside the local network', async () => {
    const host = await coded();
    const { request } = await joinerBegins(CODE);
    expect(host.codes.begin('203.0.113.9', request)).toEqual({ kind: 'elsewhere' });
  });

  it.each<[string, unknown]>([
    ['no JSON object', 'x'],
    ['no request', {}],
    ['a request that is too long', { request: 'A'.repeat(2_000) }],
    ['a request of other letters', { request: '<script>' }],
    ['more than was asked for', { request: 'AAAA', more: 1 }],
  ])('is refused with %s before anything is computed', async (_, body) => {
    const host = await coded();
    const answer = await postJson(host.address, false, '/v1/lan/begin', body, new AbortController().signal);
    expect([answer.status, host.tried]).toEqual([400, []]);
  });
});

describe('who says to be the run and is not', () => {
  const rogues: readonly (readonly [string, () => Promise<string>, RegExp])[] = [
    [
      'another host under its name',
      async () => (await coded({ code: 'bold-bat-1' })).address,
      /does not know this code/,
    ],
    ['a page', () => answering((_, response) => response.end('<html>')), /takes no codes/],
    ['one without codes', async () => `127.0.0.1:${(await plainHost()).server.port}`, /takes no codes/],
    [
      'one that answers what it likes',
      () =>
        answering((_, response) =>
          response.end(JSON.stringify({ attempt: 'a'.repeat(20), response: 'A'.repeat(427) })),
        ),
      /does not know this code/,
    ],
    [
      'one that never stops',
      () =>
        answering((_, response) => {
          response.write('x'.repeat(20_000));
        }),
      /takes no codes/,
    ],
  ];
  const silentOne = (): Promise<string> => listening(createTcpServer((socket) => socket.destroy()));

  async function plainHost(): Promise<Hosted> {
    const host = await hosted();
    closing.push(() => host.close());
    return host;
  }

  it.each(rogues)('is passed over with a sentence: %s', async (_, rogue, sentence) => {
    const { error, said } = await search(CODE, candidate(await rogue()));
    expect([(error as { code?: string }).code, said]).toEqual(['HELIO-4003', [expect.stringMatching(sentence)]]);
  });

  it('that does not answer is not said to have answered', async () => {
    const { error, said } = await search(CODE, candidate(await silentOne()));
    expect([(error as { code?: string }).code, said]).toEqual([
      'HELIO-4002',
      [expect.stringMatching(/nobody answers there/)],
    ]);
    expect(String(error)).toMatch(/1 run was found on this network, and none can be reached/);
  });

  it('does not keep anybody from the right one: all of them at once, and one that never answers', async () => {
    const host = await coded();
    const silent = await listening(createTcpServer((socket) => void socket.on('error', () => {})));
    const others = await Promise.all([silentOne(), ...rogues.map(([, rogue]) => rogue())]);
    const { link } = await search(CODE, ...[silent, ...others, host.address].map((address) => candidate(address)));
    expect(link?.addresses).toEqual([host.address]);
  });
});

describe('who stands in between', () => {
  async function between(change?: (path: string, body: unknown) => unknown) {
    const host = await coded({ encrypted: true });
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-between-'));
    closing.push(() => rmSync(folder, { recursive: true }));
    const own = (await tlsOf({ tls: 'self-signed' }, folder))!;
    const heard: string[] = [];
    const server = createSecureServer(own, relay(host.address, true, change));
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (said) => void heard.push(String(said))));
    return { host, own, heard, address: await listening(server) };
  }

  it('and passes everything on with a certificate of his own, is not in the invitation', async () => {
    const { host, own, heard, address } = await between();
    const { link } = await search(CODE, candidate(address, true));
    expect([link?.addresses, link?.fingerprint]).toEqual([[host.address, address], host.tls!.fingerprint]);
    expect(link?.fingerprint).not.toBe(own.fingerprint);
    // Whoever is led to him all the same says nothing there.
    const route = { url: `wss://${address}/v1/run`, fingerprint: link!.fingerprint, localAddress: undefined };
    const why = await new Promise((resolve) => {
      const given = { route, before: [], connectMs: 10_000, ofLease: 1, nowMs: () => performance.now() };
      new WebSocketConnection(given, { opened: () => {}, put: () => {}, ended: (ended) => resolve(ended.why) });
    });
    expect(why).toMatch(/is not the one/);
    expect(heard).toEqual([]);
  });

  it.each<[string, (sealed: string) => string]>([
    [
      'changes a bit of the answer',
      (sealed) => `${sealed.slice(0, 60)}${sealed[60] === 'A' ? 'B' : 'A'}${sealed.slice(61)}`,
    ],
    ['cuts it short', (sealed) => sealed.slice(0, -8)],
    ['gives one of his own', () => Buffer.from('https://127.0.0.1:1/join#invitation=mine').toString('base64url')],
    ['gives an empty one', () => 'A'],
  ])('and %s, is passed over', async (_, change) => {
    const { address } = await between((at, body) =>
      at.endsWith('finish') ? { sealed: change((body as { sealed: string }).sealed) } : body,
    );
    const { error, said } = await search(CODE, candidate(address, true));
    expect((error as { code: string }).code).toBe('HELIO-4003');
    expect(said).toEqual([expect.stringMatching(/changed on the way; somebody may be listening/)]);
  });

  it('and answers with what an earlier joiner was told, is passed over', async () => {
    const kept: unknown[] = [];
    const { address } = await between((at, body) => {
      if (at.endsWith('finish')) kept.push(body);
      return at.endsWith('finish') ? kept[0] : body;
    });
    expect((await search(CODE, candidate(address, true))).link).toBeDefined();
    expect((await search(CODE, candidate(address, true))).said).toEqual([expect.stringMatching(/changed on the way/)]);
  });

  it('learns neither the code nor the invitation from what he sees', async () => {
    const seen: string[] = [];
    const { address } = await between((_, body) => {
      seen.push(JSON.stringify(body));
      return body;
    });
    const { link } = await search(CODE, candidate(address, true));
    for (const secret of [link!.invitation!, CODE, 'amber'])
      for (const form of [secret, Buffer.from(secret).toString('base64url')]) expect(seen.join()).not.toContain(form);
  });
});

describe('searching', () => {
  it('says that nobody is there', async () => {
    expect((await search(CODE)).error).toMatchObject({ code: 'HELIO-4002', remedy: expect.stringContaining('--at') });
  });

  it('listens to so many candidates, and no more', async () => {
    let asked = 0;
    const address = await answering((_, response) => {
      asked++;
      response.end('no');
    });
    await search(CODE, ...Array.from({ length: 200 }, () => candidate(address)));
    expect(asked).toBe(32);
  });
});
