import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Channel } from '../../src/protocol/channel.ts';
import { type Content, encodeFrames, FrameAssembler, joined, PIECE_BYTES, sha256 } from '../../src/protocol/frame.ts';
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
const signature = identityFromPem(TEST_KEY).sign(updateText('demo-00000000', update, sha256(DOCUMENTED)));
const contribution: Content = { kind: 'contribution', ...update, signature };
const frames = (payload: Uint8Array): Uint8Array[] => [...encodeFrames(0, contribution, payload)].map(joined);
const through = (list: readonly Uint8Array[], assembler = new FrameAssembler(1e8)) =>
  list.map((frame) => assembler.accept(frame)).at(-1);

const MERGED = {
  kind: 'merged',
  fragment: 0,
  version: 1,
  runStep: 1,
  stepsUntilDue: 1,
  round: 1,
  form: 'update',
  codec: 'int4',
} as const;

describe('frames', () => {
  it('carry any payload whole, in pieces', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1, 1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES),
        (length) => {
          const payload = Uint8Array.from({ length }, (_, i) => i * 31);
          const cut = frames(payload);
          expect(cut).toHaveLength(Math.max(1, Math.ceil(length / PIECE_BYTES)));
          expect(through(cut)).toMatchObject({ content: contribution, payload });
        },
      ),
      { numRuns: 7 },
    );
  });

  it('go on on the next connection with what came on the one before', () => {
    const payload = Uint8Array.from({ length: 2.5 * PIECE_BYTES }, (_, i) => i * 7);
    const content: Content = { kind: 'base' };
    const sent = (from: number, what = payload, kind: Content = content): Uint8Array[] =>
      [...encodeFrames(5, kind, what, sha256(what), from)].map(joined);
    const before = new FrameAssembler(1e8);
    before.accept(sent(0)[0]!);
    expect(before.beginnings).toMatchObject([{ hash: sha256(payload), received: PIECE_BYTES }]);
    const again = (beginnings = before.beginnings) => {
      const assembler = new FrameAssembler(1e8);
      assembler.goOnWith(beginnings);
      return assembler;
    };
    const after = again();
    // Another transfer may come first.
    expect(through(sent(0, Uint8Array.of(1), { kind: 'preparation' }), after)?.payload).toEqual(Uint8Array.of(1));
    const rest = sent(PIECE_BYTES);
    expect(rest).toHaveLength(2);
    expect(through(rest, after)).toMatchObject({ content, payload });
    // Of a base that is whole nothing has to come again, until joining is over.
    const whole = again(after.beginnings);
    expect(through(sent(payload.length), whole)).toMatchObject({ content, payload });
    through(sent(0, Uint8Array.of(1), { ...MERGED }), whole);
    expect(whole.beginnings).toEqual([]);
    // Whoever goes on from elsewhere, or with something else, is refused; and a damaged beginning is found out.
    expect(() => again().accept(sent(2 * PIECE_BYTES)[0]!)).toThrow(/came where byte 0/);
    expect(() => new FrameAssembler(1e8).accept(rest[0]!)).toThrow(/came where byte 0/);
    const damaged = again([{ ...before.beginnings[0]!, payload: payload.with(3, 0) }]);
    expect(() => through(rest, damaged)).toThrow(/SHA-256/);
    // It may also come from its beginning.
    expect(through(sent(0), again())).toMatchObject({ payload });
  });

  it('are the test vector of docs/protocol.md', () => {
    const documented = readFileSync(path.resolve(import.meta.dirname, '../../docs/protocol.md'), 'utf8');
    const hex = /```hex\n([0-9a-f\s]+)```/.exec(documented)![1]!.replace(/\s/g, '');
    const [frame] = frames(DOCUMENTED);
    expect(Buffer.from(frame!).toString('hex')).toBe(hex);
  });

  it.each<[string, (list: Uint8Array[]) => Uint8Array[], RegExp]>([
    [
      'one flipped bit of the payload',
      (l) => [l[0]!.with(l[0]!.length - 1, l[0]!.at(-1)! ^ 1), ...l.slice(1)],
      /SHA-256/,
    ],
    ['a missing piece', (l) => [l[0]!, l[2]!], /came where byte/],
    ['pieces in another order', (l) => [l[1]!], /came where byte 0/],
    ['another magic', (l) => [l[0]!.with(0, 0)], /does not begin with "HELI"/],
    ['another version', (l) => [l[0]!.with(4, 9)], /version 9, not 1/],
    ['a cut header', (l) => [l[0]!.slice(0, 40)], /header of \d+ bytes does not fit/],
    ['nothing', () => [new Uint8Array()], /0 bytes/],
  ])('refuse %s', (_, damage, message) => {
    expect(() => through(damage(frames(new Uint8Array(2.5 * PIECE_BYTES))))).toThrow(message);
  });

  it('do not let a peer announce more than is expected of it', () => {
    expect(() => through(frames(new Uint8Array(101)), new FrameAssembler(100))).toThrow(
      /announces 101 bytes and at most 100/,
    );
  });

  it('never fail otherwise than with their own error on foreign bytes', () => {
    const [valid] = frames(new Uint8Array(64));
    fc.assert(
      fc.property(fc.nat(valid!.length - 1), fc.nat(255), fc.nat(valid!.length), (at, byte, cut) => {
        try {
          through([valid!.with(at, byte).slice(0, cut)]);
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
    ['an unknown kind', '{"kind":"destroy"}', /kind/],
    ['an unknown field', '{"kind":"alive","extra":1}', /extra|Unrecognized/],
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
  it('counts the bytes of both directions alike', () => {
    const wire: (string | Uint8Array)[] = [];
    const island = new Channel(
      { send: (text) => void wire.push(text), sendFrame: (frame) => void wire.push(joined(frame)) },
      coordinatorMessageSchema,
      1e6,
    );
    const coordinator = new Channel({ send: () => {}, sendFrame: () => {} }, islandMessageSchema, 1e6);
    island.send({ kind: 'alive' });
    island.transfer(contribution, new Uint8Array(1000));
    for (const data of wire) typeof data === 'string' ? coordinator.message(data) : coordinator.frame(data);
    expect(coordinator.receivedBytes).toBe(island.sentBytes);
    expect(island.sentBytes).toBeGreaterThan(1000);
  });
});
