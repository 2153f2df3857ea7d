import { codecFor } from '../../src/outer/codecs/index.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import { type CodecName, NUMBER_CODECS } from '../../src/protocol/codec-names.ts';
import { type Content, encodeFrames, joined } from '../../src/protocol/frame.ts';
import { contentHash, PIECE_BYTES } from '../../src/protocol/hash.ts';
import { helloText, identityFromPem, updateText } from '../../src/protocol/identity.ts';
import { type Invitation, signInvitation } from '../../src/protocol/invitation.ts';
import { type Receipt, receiptText } from '../../src/protocol/receipts.ts';

/** What an island in another language is tested against, as this implementation has it. Bytes are in hexadecimal digits. */

/** The secret key of RFC 8032, section 7.1, test 1, in PKCS #8. */
export const TEST_KEY = `-----BEGIN PRIVATE KEY-----
${Buffer.from('302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex').toString('base64')}
-----END PRIVATE KEY-----`;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
/** Byte i is 7 · i modulo 256. */
const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => 7 * i);

export async function vectors(): Promise<Readonly<Record<string, unknown>>> {
  return { hashes: await hashes(), signatures: await signatures(), frames: await frames(), codecs: codecs() };
}

const hashes = async () => ({
  about:
    'The hash of a payload: SHA-256 over the SHA-256s of its pieces of 1,048,576 bytes. Byte i of a payload is 7 i mod 256.',
  payloads: await Promise.all(
    [0, 1, 255, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 17].map(async (bytes) => ({
      bytes,
      hash: await contentHash(pattern(bytes)),
    })),
  ),
});

const UPDATE = {
  fragment: 0,
  version: 3,
  round: 4,
  steps: 20,
  tokens: 20_480,
  form: 'parameters',
  codec: 'f32',
} as const;
const RUN = 'demo-00000000';

async function signatures() {
  const identity = await identityFromPem(TEST_KEY);
  const hash = await contentHash(new Uint8Array(Float32Array.of(1, -2).buffer));
  const invitation: Invitation = { run: RUN, role: 'island', id: 'abc', expiresAt: 1_800_000_000, uses: 3 };
  const texts = {
    hello: helloText('bm9uY2Utbm9uY2Utbm9uY2Utbm9u', RUN, 'attic'),
    update: updateText(RUN, UPDATE, hash),
  };
  const receipt: Receipt = {
    run: RUN,
    island: 'attic',
    key: identity.publicKey,
    fragment: 0,
    version: 3,
    merged: 4,
    round: 4,
    steps: 20,
    tokens: 20_480,
    share: 0.25,
    hash,
    atS: 1_800_000_000,
    handedIn: await identity.sign(texts.update),
    claimed: { steps: UPDATE.steps, tokens: UPDATE.tokens, form: UPDATE.form, codec: UPDATE.codec },
  };
  const signed = async (text: string) => ({ text, signature: await identity.sign(text) });
  return {
    about: 'Ed25519 (RFC 8032) of UTF-8 texts, with the secret key of RFC 8032, section 7.1, test 1.',
    secretKey: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    key: identity.publicKey,
    hello: await signed(texts.hello),
    update: { update: UPDATE, hash, ...(await signed(texts.update)) },
    receipt: { receipt, ...(await signed(receiptText(receipt))) },
    invitation: { invitation, text: await signInvitation(invitation, identity) },
  };
}

async function frames() {
  const identity = await identityFromPem(TEST_KEY);
  const payload = new Uint8Array(Float32Array.of(1, -2).buffer);
  const hash = await contentHash(payload);
  const signature = await identity.sign(updateText(RUN, UPDATE, hash));
  const small = async (content: Content, bytes: Uint8Array) => ({
    content,
    payload: hex(bytes),
    frames: [...encodeFrames({ content, payload: bytes, hash: await contentHash(bytes) })].map((f) => hex(joined(f))),
  });
  const long = pattern(2 * PIECE_BYTES + 3);
  const packed = { content: { kind: 'base' } as const, payload: long, hash: await contentHash(long) };
  return {
    about: 'Whole frames. Of long payloads only the heads are given: byte i of the payload is 7 i mod 256.',
    whole: [
      await small({ kind: 'contribution', ...UPDATE, signature }, payload),
      await small(
        { kind: 'merged', fragment: 0, version: 4, runStep: 40, form: 'update', codec: 'int8' },
        Uint8Array.of(1, 2, 3),
      ),
      await small({ kind: 'global', fragment: 0, version: 4, runStep: 40 }, payload),
      await small({ kind: 'preparation' }, new TextEncoder().encode('{}')),
      await small({ kind: 'base' }, new Uint8Array()),
    ],
    heads: { bytes: long.length, heads: [...encodeFrames(packed)].map(({ head }) => hex(head)) },
    from: { at: PIECE_BYTES, heads: [...encodeFrames(packed, PIECE_BYTES)].map(({ head }) => hex(head)) },
  };
}

function codecs() {
  const numbers = [1, -0.5, 0.3, 0, -0.01, 0.75];
  const longer = Array.from({ length: 600 }, (_, i) => Math.fround(Math.sin(i * i) / (1 + (i % 17))));
  const matrix = Array.from({ length: 36 }, (_, i) => (1 + Math.floor(i / 6)) * ((i % 6) - 2));
  const whole = (elements: number, rows: number): Fragment => ({
    index: 0,
    elements,
    tensors: [{ name: 'w', elements, rows, role: 'other' }],
  });
  const bytesOf = (name: CodecName, values: readonly number[], rows = 1): string => {
    const codec = codecFor(name, whole(values.length, rows));
    const zeros = new Float32Array(values.length);
    const memory = new Float32Array(codec.memoryElements);
    const update = {
      parameters: Float32Array.from(values),
      base: zeros,
      residual: zeros.slice(),
      sign: 1,
      memory,
    } as const;
    return hex(codec.send(update).payload);
  };
  const names: readonly CodecName[] = [...NUMBER_CODECS, 'top-1/3+int4', 'top-1/64+int8'];
  return {
    about:
      'Numbers (singles) and their bytes in each codec, with nothing left over before. The 6 × 6 matrix is (1 + row) (column − 2).',
    vectors: [numbers, longer].map((values) => ({
      values,
      bytes: Object.fromEntries(names.map((name) => [name, bytesOf(name, values)])),
    })),
    matrix: { rows: 6, values: matrix, bytes: { 'low-rank-1+int8': bytesOf('low-rank-1+int8', matrix, 6) } },
  };
}
