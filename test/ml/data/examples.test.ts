import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import {
  applyScaling,
  applyTargetScaling,
  exampleBatchesOf,
  exampleEvaluationBatches,
  measureScaling,
  measureTargets,
  shardOfRows,
  splitExamples,
} from '../../../src/ml/data/examples.ts';
import { readIdx } from '../../../src/ml/data/idx.ts';
import { layOut, readRows, toExamples } from '../../../src/ml/data/table.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-examples-'));
const file = (name: string, content: string | Uint8Array): string => {
  const place = path.join(folder, name);
  writeFileSync(place, content);
  return place;
};

describe('tables', () => {
  const csv = 'age,colour,note,label\n30,red,"a, b",yes\n40,blue,c,no\n50,red,"a, b",no\n';

  it('takes numbers as they are, and a feature for each name', async () => {
    const rows = await readRows([file('t.csv', csv)]);
    const layout = layOut(rows, ['label'], 'classification', 't.csv');
    const set = toExamples(rows, layout, 't.csv');
    expect(set).toMatchObject({ count: 3, shape: [5], outputs: 2 });
    expect([...set.features]).toEqual([30, 0, 1, 1, 0, 40, 1, 0, 0, 1, 50, 0, 1, 1, 0]);
    expect([...set.targets]).toEqual([1n, 0n, 0n]);
  });

  it('reads the same from Parquet, in every compression that it writes', async () => {
    const columnData = [
      { name: 'age', data: [30, 40, 50] },
      { name: 'size', data: [1.5, 2.5, 3.5] },
      { name: 'label', data: ['yes', 'no', 'no'] },
    ];
    const parquet = file('t.parquet', new Uint8Array(parquetWriteBuffer({ columnData, codec: 'SNAPPY' })));
    const rows = await readRows([parquet]);
    const set = toExamples(rows, layOut(rows, ['label'], 'classification', 't'), 't');
    expect([...set.features]).toEqual([30, 1.5, 40, 2.5, 50, 3.5]);
    expect([...set.targets]).toEqual([1n, 0n, 0n]);
  });

  it('predicts numbers, also several', async () => {
    const rows = await readRows([file('r.csv', 'x,y,z\n1,2,3\n4,5,6\n')]);
    const set = toExamples(rows, layOut(rows, ['y', 'z'], 'regression', 'r.csv'), 'r.csv');
    expect(set.outputs).toBe(2);
    expect([...set.targets]).toEqual([2, 3, 5, 6]);
  });

  it('says which row and column has no finite number', async () => {
    const rows = await readRows([file('nan.csv', 'x,label\n1,a\nNaN,b\n3,a\n')]);
    const clean = layOut(
      await readRows([file('ok.csv', 'x,label\n1,a\n2,b\n')]),
      ['label'],
      'classification',
      'ok.csv',
    );
    expect(() => toExamples(rows, clean, 'nan.csv')).toThrow(
      /nan\.csv, row 2: x is "NaN", and a finite number is needed/,
    );
    expect(layOut(rows, ['label'], 'classification', 'nan.csv').features).toEqual([{ name: 'x', kind: 'number' }]);
    const blank = await readRows([file('blank.csv', 'x,label\n1,a\n,b\n')]);
    expect(() => toExamples(blank, clean, 'blank.csv')).toThrow(/row 2: x is missing/);
    const noName = await readRows([file('noname.csv', 'x,colour,label\n1,red,a\n2,,b\n3,blue,\n')]);
    const named = layOut(noName, ['label'], 'classification', 'noname.csv');
    expect(named.targets).toEqual([{ name: 'label', kind: 'category', values: ['a', 'b'] }]);
    expect(() => toExamples(noName, named, 'noname.csv')).toThrow(/row 2: colour is missing, and a name is needed/);
    expect(() => toExamples([noName[0]!, noName[2]!], named, 'noname.csv')).toThrow(/row 2: label is missing/);
    const nulls = [
      { label: 'a', x: 1 },
      { label: null, x: 2 },
    ];
    expect(() => toExamples(nulls, layOut(nulls, ['label'], 'classification', 'n'), 'n')).toThrow(/label is missing/);
    const unknown = await readRows([file('u.csv', 'x,label\n1,c\n')]);
    expect(() => toExamples(unknown, clean, 'u.csv')).toThrow(
      /label is "c", which the run does not know.*It knows a, b/s,
    );
  });

  it.each([
    ['a column that is not there', 'a,b\n1,2\n', ['c'], /has no column c to predict; it has a, b/],
    [
      'a column of too many names',
      `n,label\n${Array.from({ length: 300 }, (_, i) => `name${i},1`).join('\n')}\n`,
      ['label'],
      /column n has 300 different values/,
    ],
  ])('refuses %s', async (_, content, target, message) => {
    const rows = await readRows([file('bad.csv', content)]);
    expect(() => layOut(rows, target, 'classification', 'bad.csv')).toThrow(message);
  });

  it('refuses files that are no tables', async () => {
    await expect(readRows([file('x.bin', 'x')])).rejects.toThrow(/ends neither in \.csv, \.tsv nor \.parquet/);
    await expect(readRows([file('x.parquet', 'no parquet at all')])).rejects.toThrow(/x\.parquet cannot be used/);
    await expect(readRows([file('x.csv', 'a,b\n1,2,3\n')])).rejects.toThrow(
      /x\.csv cannot be used: Invalid Record Length/,
    );
    await expect(readRows([file('empty.csv', 'a,b\n')])).rejects.toThrow(/it has no rows/);
  });
});

describe('IDX', () => {
  const idx = (shape: readonly number[], data: readonly number[]): Uint8Array => {
    const header = new Uint8Array(4 + 4 * shape.length);
    header.set([0, 0, 8, shape.length]);
    shape.forEach((d, i) => {
      new DataView(header.buffer).setUint32(4 + 4 * i, d);
    });
    return Uint8Array.from([...header, ...data]);
  };
  const labels = (): string => file('labels', idx([2], [0, 3]));

  it('reads images and labels, plain and gzipped', () => {
    const images = idx([2, 1, 2], [0, 255, 51, 102]);
    for (const place of [file('images', images), file('images.gz', gzipSync(images))]) {
      const set = readIdx(place, labels());
      expect(set).toMatchObject({ count: 2, shape: [1, 1, 2], outputs: 4 });
      expect([...set.features].map((x) => Number(x.toFixed(3)))).toEqual([0, 1, 0.2, 0.4]);
      expect([...set.targets]).toEqual([0n, 3n]);
    }
  });

  it.each([
    ['what is no IDX', Uint8Array.of(1, 2, 3, 4), /does not begin with two zero bytes/],
    ['numbers of another type', Uint8Array.of(0, 0, 13, 1, 0, 0, 0, 0), /type 0xd/],
    [
      'a header that promises more than there is',
      idx([2, 200, 200], [1]),
      /header says 2 × 200 × 200, 80016 bytes, and it has 17/,
    ],
    ['a header that is cut short', Uint8Array.of(0, 0, 8, 3, 0), /header is cut short/],
    ['as many images as there are no labels for', idx([3, 1, 1], [1, 2, 3]), /2 labels for 3 images/],
  ])('refuses %s', (_, images, message) => {
    const place = file('broken', images);
    expect(() => readIdx(place, labels())).toThrow(message);
  });
});

describe('examples', () => {
  const set = {
    count: 20,
    shape: [2],
    features: Float32Array.from({ length: 40 }, (_, i) => i),
    targets: BigInt64Array.from({ length: 20 }, (_, i) => BigInt(i % 3)),
    outputs: 3,
  };

  it('are held out, dealt out to shards, and each drawn once an epoch', () => {
    const { training, validation } = splitExamples(20, 0.1);
    expect([...validation]).toEqual([9, 19]);
    const shards = [0, 1, 2].map((i) => [...shardOfRows(training, i, 3)]);
    expect(shards.flat()).toEqual([...training]);
    const source = exampleBatchesOf(set, training, 6, 1);
    const drawn = [0, 1, 2].flatMap((step) => [0, 1, 2, 3, 4, 5].map((row) => source(step).input[row * 2]! as number));
    expect(drawn.map(Number).toSorted((a, b) => a - b)).toEqual([...training].map((row) => row * 2));
    expect(source(2)).toEqual(exampleBatchesOf(set, training, 6, 1)(2));
  });

  it.each([0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.123])('are held out in the share %d that was asked for', (share) => {
    const { training, validation } = splitExamples(1_000, share);
    expect([validation.length, training.length]).toEqual([
      Math.round(1_000 * share),
      1_000 - Math.round(1_000 * share),
    ]);
    for (const from of [0, 250, 500]) {
      const here = validation.filter((row) => row >= from && row < from + 500).length;
      expect(Math.abs(here - 500 * share)).toBeLessThanOrEqual(1);
    }
  });

  it('keep the digits of large numbers until they are scaled', async () => {
    const rows = await readRows([file('time.csv', 't,y\n1700000000,1\n1700000001,2\n1700000002,3\n')]);
    const times = toExamples(rows, layOut(rows, ['y'], 'regression', 't'), 't');
    applyScaling(times, measureScaling(times, Uint32Array.of(0, 1, 2), 1));
    applyTargetScaling(times, measureTargets(times, Uint32Array.of(0, 1, 2)));
    const expected = [-Math.sqrt(1.5), 0, Math.sqrt(1.5)];
    for (const values of [times.features, times.targets])
      expected.forEach((x, i) => {
        expect(Number(values[i])).toBeCloseTo(x, 6);
      });
  });

  it('are evaluated once each; rows that fill up do not count', () => {
    const batches = [...exampleEvaluationBatches(set, Uint32Array.of(1, 2, 3), 2, 100)];
    expect(batches.map((b) => b.count)).toEqual([2, 1]);
    expect([...batches[1]!.weights]).toEqual([1, 0]);
  });

  it('are scaled to mean 0 and deviation 1; a constant feature becomes 0', () => {
    const copy = { ...set, features: Float32Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 5 : i)) };
    const rows = Uint32Array.from({ length: 20 }, (_, i) => i);
    applyScaling(copy, measureScaling(copy, rows, 2));
    const column = (c: number) => Array.from(rows, (r) => copy.features[r * 2 + c]!);
    expect(new Set(column(0))).toEqual(new Set([0]));
    const second = column(1);
    expect(second.reduce((a, b) => a + b) / 20).toBeCloseTo(0, 5);
    expect(second.reduce((a, b) => a + b * b, 0) / 20).toBeCloseTo(1, 5);
  });
});
