import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { BaseFile, BaseFiles } from '../../src/island/node/base-file.ts';
import { MOST_BASE_BYTES, MOST_PREPARATION_BYTES, mostBytesOf } from '../../src/island/payload-bounds.ts';
import { openSafetensors } from '../../src/ml/tensor/safetensors.ts';
import { encodeSafetensors, layOutSafetensors } from '../../src/ml/tensor/safetensors-layout.ts';
import { inMemory } from '../../src/ml/tensor/tensor-source.ts';
import { codecFor } from '../../src/outer/codecs/index.ts';
import { fragmentsIn } from '../../src/outer/fragments.ts';
import { NUMBER_CODECS } from '../../src/protocol/codec-names.ts';
import { type Content, encodeFrames, FrameAssembler, joined } from '../../src/protocol/frame.ts';
import { contentHash, PIECE_BYTES } from '../../src/protocol/hash.ts';

const made: BaseFiles[] = [];
afterEach(() => {
  for (const files of made.splice(0)) files.close();
});
const files = (): BaseFiles => {
  const one = new BaseFiles();
  made.push(one);
  return one;
};

/** A base that is read from its arrays as it goes, and its frames. */
async function travelling(elements: number) {
  const data = Float32Array.from({ length: elements }, (_, i) => Math.sin(i));
  const layout = layOutSafetensors(new Map([['w', inMemory([elements], data)]]));
  const packed = { content: { kind: 'base' } as const, payload: layout, hash: await contentHash(layout) };
  const frames = (from = 0) => [...encodeFrames(packed, from)].map(joined);
  return { data, frames, whole: encodeSafetensors(new Map([['w', { shape: [elements], data }]])) };
}

const assembler = (bases: BaseFiles) => new FrameAssembler({ most: 2 ** 30, sink: (_, bytes) => bases.make(bytes) });

describe('a base on its way', () => {
  it('is hashed and sent from where it lies, and put together in a file, with the bytes of the whole', async () => {
    const { frames, whole, data } = await travelling(3 * 2 ** 18 + 1000);
    const into = assembler(files());
    const transfer = await frames()
      .map((frame) => into.accept(frame))
      .at(-1)!;
    expect(transfer.payload.length).toBe(0);
    expect(readFileSync(transfer.sink!.file!)).toEqual(Buffer.from(whole));
    const opened = openSafetensors(transfer.sink!.file!);
    expect(opened.read('w')).toEqual(data);
    opened.close();
  });

  it('goes on in its file where the connection before broke off, at any piece, and need not come again when it is there', async () => {
    const { frames, whole } = await travelling(2 * 2 ** 18);
    const bases = files();
    for (let cut = 1; cut <= frames().length; cut++) {
      const before = assembler(bases);
      for (const frame of frames().slice(0, cut)) await before.accept(frame);
      const after = assembler(bases);
      after.resumeFrom(before.beginnings);
      const { received } = before.beginnings[0]!;
      expect(received).toBe(Math.min(cut * PIECE_BYTES, whole.length));
      const transfer = await frames(received)
        .map((frame) => after.accept(frame))
        .at(-1)!;
      expect(readFileSync(transfer.sink!.file!)).toEqual(Buffer.from(whole));
    }
  });

  it('is refused when a byte of it is another', async () => {
    const { frames } = await travelling(2 ** 18);
    const [first, ...rest] = frames();
    first![first!.length - 1]! ^= 1;
    const into = assembler(files());
    await expect([first!, ...rest].map((frame) => into.accept(frame)).at(-1)).rejects.toThrow(/hash is not the one/);
  });

  it('leaves no more than two files, and none at the end', () => {
    const bases = files();
    const all = Array.from({ length: 5 }, () => bases.make(10));
    expect(all.map(({ file }) => existsSync(file))).toEqual([false, false, false, true, true]);
    expect(() => all[0]!.set(new Uint8Array(1), 0)).toThrow(/newer bases have come/);
    expect(() => all[0]!.subarray(0, 1)).toThrow(/newer bases have come/);
    const folder = path.dirname(all[4]!.file);
    expect(readdirSync(folder)).toHaveLength(2);
    bases.close();
    expect(existsSync(folder)).toBe(false);
  });

  it('has in any part what was put there, as an array has', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-sink-'));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(), fc.nat(), (bytes, a, b) => {
        const file = new BaseFile(path.join(folder, 'f'), bytes.length);
        const half = a % bytes.length;
        file.set(bytes.subarray(half), half);
        file.set(bytes.subarray(0, half), 0);
        const [begin, end] = [a % bytes.length, b % (bytes.length + 5)].toSorted((x, y) => x - y);
        expect(file.subarray(begin!, end!)).toEqual(bytes.slice(begin, end));
        file.close();
      }),
    );
  });
});

describe('what a coordinator may send', () => {
  const manifest = { tensors: [{ name: 'w', shape: [1000, 10], role: 'other' as const, fragment: 0, offset: 0 }] };
  const of = (content: object) => mostBytesOf(content as Content, manifest);

  it('follows from the manifest: every codec fits, and what it does not name is not expected', () => {
    expect(of({ kind: 'global', fragment: 0 })).toBeGreaterThanOrEqual(4 * 10_000);
    expect(of({ kind: 'merged', fragment: 0 })).toBeLessThan(8 * 10_000 + 2 ** 21);
    expect(of({ kind: 'merged', fragment: 1 })).toBe(0);
    expect(mostBytesOf({ kind: 'global', fragment: 0 } as Content, undefined)).toBe(0);
    expect(of({ kind: 'contribution', fragment: 0 })).toBe(0);
  });

  it.each([...NUMBER_CODECS, 'top-1/2+f32', 'top-1/64+int4', 'low-rank-1+sign', 'low-rank-256+f32'] as const)(
    'has room for every payload of %s',
    (name) => {
      const [fragment] = fragmentsIn(manifest);
      expect(codecFor(name, fragment!).mostBytes).toBeLessThanOrEqual(of({ kind: 'merged', fragment: 0 }) - 2 ** 20);
    },
  );

  it('has stated bounds for what comes before the model', () => {
    expect([of({ kind: 'base' }), of({ kind: 'preparation' })]).toEqual([MOST_BASE_BYTES, MOST_PREPARATION_BYTES]);
    const into = new FrameAssembler({ most: (content) => mostBytesOf(content, undefined) });
    const [frame] = encodeFrames({
      content: { kind: 'global', fragment: 0, version: 0, runStep: 0 },
      payload: new Uint8Array(8),
      hash: '0'.repeat(64),
    });
    expect(() => into.accept(joined(frame!))).toThrow(/announces 8 bytes and at most 0 are expected/);
  });
});
