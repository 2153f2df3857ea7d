import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Channel } from '../../src/protocol/channel.ts';
import { type Content, encodeFrames, FrameAssembler, joined } from '../../src/protocol/frame.ts';
import { contentHash, PIECE_BYTES } from '../../src/protocol/hash.ts';
import { identityFromPem, updateText } from '../../src/protocol/identity.ts';
import {
  coordinatorMessageSchema,
  islandMessageSchema,
  MAX_MESSAGE_BYTES,
  parseMessage,
} from '../../src/protocol/messages.ts';

/** The secret key of RFC 8032, section 7.1, test 1, in PKCS #8. */
const TEST_KEY = `-----BEGIN PRIVATE KEY-----
${Buffer.from('302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex').toString('base64')}
-----END PRIVATE KEY-----`;
const update = {
  fragment: 0,
  version: 3,
  round: 4,
  steps: 20,
  tokens: 20_480,
  form: 'parameters',
  codec: 'f32',
} as const;
const DOCUMENTED = new Uint8Array(Float32Array.of(1, -2).buffer);
const signature = await (await identityFromPem(TEST_KEY)).sign(
  updateText('demo-00000000', update, await contentHash(DOCUMENTED)),
);
const contribution: Content = { kind: 'contribution', ...update, signature };
const framesOf = async (payload: Uint8Array, content: Content = contribution, from = 0): Promise<Uint8Array[]> =>
  [...encodeFrames({ content, payload, hash: await contentHash(payload) }, from)].map(joined);
const through = async (list: readonly Uint8Array[], assembler = new FrameAssembler({ most: 1e8 })) =>
  list.map((frame) => assembler.accept(frame)).at(-1);

const MERGED = { kind: 'merged', fragment: 0, version: 1, runStep: 1, form: 'update', codec: 'int4' } as const;

describe('frames', () => {
  it('carry any payload whole, in pieces', async () => {
    for (const length of [0, 1, 1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES]) {
      const payload = Uint8Array.from({ length }, (_, i) => i * 31);
      const cut = await framesOf(payload);
      expect(cut).toHaveLength(Math.max(1, Math.ceil(length / PIECE_BYTES)));
      expect(await through(cut)).toMatchObject({ content: contribution, payload });
    }
  });

  it('of what is not kept are passed over without a place for them, and what comes behind is whole', async () => {
    const [late, wanted] = [new Uint8Array(2.5 * PIECE_BYTES), Uint8Array.of(1, 2, 3, 4)];
    const places: number[] = [];
    const assembler = new FrameAssembler({
      most: 1e8,
      keeps: (content) => content.kind === 'merged',
      sink: (_, bytes) => {
        places.push(bytes);
        return new Uint8Array(bytes);
      },
    });
    const passed = await framesOf(late);
    expect(await through(passed.slice(0, 2), assembler)).toBeUndefined();
    expect(assembler.beginnings).toEqual([]);
    // In order it has to be all the same.
    expect(() => assembler.accept(passed[1]!)).toThrow(/where byte/);
    expect(await through(passed.slice(2), assembler)).toBeUndefined();
    expect(await through(await framesOf(wanted, MERGED), assembler)).toMatchObject({ payload: wanted });
    expect(places).toEqual([4]);
  });

  it('are of what the first of them says, which is what was decided on', async () => {
    const payload = new Uint8Array(1.5 * PIECE_BYTES);
    const [first] = await framesOf(payload);
    const [, last] = await framesOf(payload, { ...contribution, fragment: 5 } as Content);
    expect(await through([first!, last!])).toMatchObject({ content: contribution });
  });

  it('are the same for every receiver', async () => {
    const payload = new Uint8Array(2 * PIECE_BYTES + 5);
    expect(await framesOf(payload)).toEqual(await framesOf(payload.slice()));
  });

  it('go on on the next connection with what came on the one before', async () => {
    const payload = Uint8Array.from({ length: 2.5 * PIECE_BYTES }, (_, i) => i * 7);
    const content: Content = { kind: 'base' };
    const sent = (from: number): Promise<Uint8Array[]> => framesOf(payload, content, from);
    const hash = await contentHash(payload);
    const before = new FrameAssembler({ most: 1e8 });
    before.accept((await sent(0))[0]!);
    expect(before.beginnings).toMatchObject([{ hash, received: PIECE_BYTES }]);
    const again = (beginnings = before.beginnings) => {
      const assembler = new FrameAssembler({ most: 1e8 });
      assembler.resumeFrom(beginnings);
      return assembler;
    };
    const after = again();
    // Another transfer may come first.
    const other = await through(await framesOf(Uint8Array.of(1), { kind: 'preparation' }), after);
    expect(other?.payload).toEqual(Uint8Array.of(1));
    const rest = await sent(PIECE_BYTES);
    expect(rest).toHaveLength(2);
    expect(await through(rest, after)).toMatchObject({ content, payload });
    // Of a base that is whole nothing has to come again, until joining is over.
    const whole = again(after.beginnings);
    expect(await through(await sent(payload.length), whole)).toMatchObject({ content, payload });
    await through(await framesOf(Uint8Array.of(1), { ...MERGED }), whole);
    expect(whole.beginnings).toEqual([]);
    // Whoever goes on from elsewhere, or with something else, is refused; and a damaged beginning is found out.
    const late = (await sent(2 * PIECE_BYTES))[0]!;
    expect(() => again().accept(late)).toThrow(/where byte 0/);
    expect(() => new FrameAssembler({ most: 1e8 }).accept(rest[0]!)).toThrow(/where byte 0/);
    const damaged = again([{ ...before.beginnings[0]!, payload: payload.with(3, 0) }]);
    await expect(through(rest, damaged)).rejects.toThrow(/hash/);
    // It may also come from its beginning.
    expect(await through(await sent(0), again())).toMatchObject({ payload });
  });

  it('that are damaged are not gone on with, lest it comes never whole', async () => {
    const payload = Uint8Array.from({ length: 1.5 * PIECE_BYTES }, (_, i) => i * 7);
    const [first, second] = await framesOf(payload, { kind: 'base' });
    const assembler = new FrameAssembler({ most: 1e8 });
    await expect(through([first!, second!.with(second!.length - 1, 1)], assembler)).rejects.toThrow(/hash/);
    expect(assembler.beginnings).toEqual([]);
  });

  it('are the test vector of docs/protocol.md', async () => {
    const documented = readFileSync(path.resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8');
    const hex = /```hex\n([0-9a-f\s]+)```/.exec(documented)![1]!.replace(/\s/g, '');
    const [frame] = await framesOf(DOCUMENTED);
    expect(Buffer.from(frame!).toString('hex')).toBe(hex);
  });

  it.each<[string, (list: Uint8Array[]) => Uint8Array[], RegExp]>([
    ['one flipped bit of the payload', (l) => [l[0]!.with(l[0]!.length - 1, l[0]!.at(-1)! ^ 1), ...l.slice(1)], /hash/],
    ['a missing piece', (l) => [l[0]!, l[2]!], /where byte/],
    ['pieces in another order', (l) => [l[1]!], /where byte 0/],
    ['a piece that is cut short', (l) => [l[0]!.slice(0, -1)], /is not the last one/],
    ['another magic', (l) => [l[0]!.with(0, 0)], /does not begin with "HELI"/],
    ['another version', (l) => [l[0]!.with(4, 9)], /version 9, not 2/],
    ['a cut header', (l) => [l[0]!.slice(0, 40)], /header of \d+ bytes does not fit/],
    ['nothing', () => [new Uint8Array()], /0 bytes/],
  ])('refuse %s', async (_, damage, message) => {
    await expect(framesOf(new Uint8Array(2.5 * PIECE_BYTES)).then((list) => through(damage(list)))).rejects.toThrow(
      message,
    );
  });

  it('do not let a peer announce more than is expected of it', async () => {
    const list = await framesOf(new Uint8Array(101));
    await expect(through(list, new FrameAssembler({ most: 100 }))).rejects.toThrow(
      /announces 101 bytes and at most 100/,
    );
  });

  it('that announce more than there is memory for are refused like others', async () => {
    const [frame] = await framesOf(new Uint8Array(64));
    const text = Buffer.from(frame!).toString('latin1');
    const header = text.slice(12, -64).replace('"totalBytes":64', `"totalBytes":${2 ** 43}`);
    const bytes = Buffer.from(`${text.slice(0, 8)}____${header}`, 'latin1');
    bytes.writeUInt32LE(header.length, 8);
    expect(() => new FrameAssembler({ most: 2 ** 43 }).accept(bytes)).toThrow(/no memory for its 8796093022208 bytes/);
  });

  it('never fail otherwise than with their own error on foreign bytes', async () => {
    const [valid] = await framesOf(new Uint8Array(64));
    await fc.assert(
      fc.asyncProperty(fc.nat(valid!.length - 1), fc.nat(255), fc.nat(valid!.length), async (at, byte, cut) => {
        try {
          await through([valid!.with(at, byte).slice(0, cut)]);
        } catch (error) {
          expect(error).toMatchObject({ code: 'HELIO-4004' });
        }
      }),
    );
  });
});

describe('messages', () => {
  it.each([
    ['no JSON', '{', /not JSON/],
    ['no kind', '{"island":"a"}', /kind/],
    ['a kind that is no word', '{"kind":7}', /kind/],
    ['no object', '[]', /form|kind|malformed/],
    ['a negative counter', '{"kind":"due","fragment":-1,"version":0}', /fragment/],
    [
      'a number that is not finite',
      '{"kind":"evaluated","evaluation":1,"part":0,"lossSum":1e999,"tokens":1}',
      /lossSum/,
    ],
    [
      'an island name that could be a path',
      '{"kind":"hello","protocol":1,"island":"../x","software":"a","threads":1}',
      /island/,
    ],
    ['a message that is too long', `{"kind":"leaving","reason":"${'x'.repeat(MAX_MESSAGE_BYTES)}"}`, /more than/],
  ])('refuse %s', (_, data, message) => {
    expect(() => parseMessage(islandMessageSchema, data)).toThrow(message);
  });

  it('leave out what a newer version says beside, and pass over what it alone says', () => {
    expect(parseMessage(islandMessageSchema, '{"kind":"alive","extra":1}')).toEqual({ kind: 'alive' });
    expect(parseMessage(islandMessageSchema, '{"kind":"handshake-of-2030","x":{}}')).toBeUndefined();
    expect(parseMessage(coordinatorMessageSchema, '{"kind":"mask","share":"…"}')).toBeUndefined();
  });

  it('never fail otherwise than with their own error', () => {
    fc.assert(
      fc.property(fc.json(), (data) => {
        for (const schema of [islandMessageSchema, coordinatorMessageSchema]) {
          try {
            parseMessage(schema, data);
          } catch (error) {
            expect(error).toMatchObject({ code: 'HELIO-4004' });
          }
        }
      }),
    );
  });
});

describe('channel', () => {
  const silent = { send: () => {}, sendFrame: () => {} };

  it('counts the bytes of both directions alike', async () => {
    const wire: (string | Uint8Array)[] = [];
    const island = new Channel(
      {
        send: (text) => void wire.push(text),
        sendFrame: (frame, sent) => {
          wire.push(joined(frame));
          sent();
        },
      },
      coordinatorMessageSchema,
      1e6,
    );
    const coordinator = new Channel(silent, islandMessageSchema, 1e6);
    island.send({ kind: 'alive' });
    const payload = new Uint8Array(1000);
    await island.transfer({ content: contribution, payload, hash: await contentHash(payload) });
    for (const data of wire) typeof data === 'string' ? coordinator.message(data) : await coordinator.frame(data);
    expect(coordinator.receivedBytes).toBe(island.sentBytes);
    expect(island.sentBytes).toBeGreaterThan(1000);
  });

  it('reads no more while hashing lies behind, and then goes on', async () => {
    const did: string[] = [];
    const channel = new Channel<typeof coordinatorMessageSchema, unknown>(
      { ...silent, pause: () => void did.push('pause'), resume: () => void did.push('resume') },
      coordinatorMessageSchema,
      1e9,
    );
    const payload = new Uint8Array(100 * PIECE_BYTES);
    let whole: ReturnType<typeof channel.frame>;
    // All at once: nothing can be hashed in between.
    for (const frame of encodeFrames({ content: { kind: 'base' }, payload, hash: await contentHash(payload) }))
      whole = channel.frame(joined(frame));
    expect(did[0]).toBe('pause');
    expect((await whole!)!.payload).toHaveLength(payload.length);
    await expect.poll(() => did.at(-1)).toBe('resume');
  });

  it('sends in order, and no further ahead than a reader takes; only what waits for nothing goes past', async () => {
    const wire: string[] = [];
    const taken: (() => void)[] = [];
    const channel = new Channel<typeof islandMessageSchema, unknown>(
      {
        send: (text) => void wire.push(text),
        sendFrame: ({ piece }, sent) => {
          wire.push(`${piece.length}`);
          taken.push(sent);
        },
      },
      islandMessageSchema,
      1e6,
    );
    const payload = new Uint8Array(10 * PIECE_BYTES);
    let sent = false;
    const transfer = channel.transfer({ content: { ...MERGED }, payload, hash: 'aa' }).then(() => {
      sent = true;
    });
    channel.send('after');
    channel.sendAtOnce('at once');
    const piece = String(PIECE_BYTES);
    expect(wire).toEqual([piece, piece, piece, piece, '"at once"']);
    expect(channel.waitingBytes).toBe(payload.length);
    while (taken.length > 0) {
      expect(sent).toBe(false);
      taken.shift()!();
    }
    await transfer;
    expect(wire).toHaveLength(12);
    expect(wire.at(-1)).toBe('"after"');
    expect(channel.waitingBytes).toBe(0);
  });
});
