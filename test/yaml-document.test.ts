import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { HelioError } from '../src/errors.ts';
import { describeFault, firstFault, parseYaml } from '../src/yaml-document.ts';

const errorOf = (schema: z.ZodType, source: string): HelioError => {
  try {
    parseYaml(source, { file: 'a.yaml', schema, code: 'HELIO-1011', published: 'a.schema.json' });
  } catch (error) {
    if (error instanceof HelioError) return error;
    throw error;
  }
  throw new Error('There is no error.');
};

const device = z.strictObject({ address: z.string().min(3), port: z.int().max(65_535).optional() });
const file = z.strictObject({ path: z.string(), column: z.string() });
/** A union within a union, as a term of a meter template or the data of a run file. */
const source = z.union([z.string(), z.union([device, file]), z.strictObject({ first: z.array(device) })]);

describe('of a union within a union the alternative that was meant is told, with its line and column', () => {
  it.each([
    ['a wrong value', 'from: { address: x }', 'a.yaml:1:9: from.address is "x": too small: expected string to have'],
    ['a key that is missing', 'from: { path: x }', 'a.yaml:1:1: from.column is missing.'],
    ['a key that is misspelt', 'from: { adress: abc }', 'a.yaml:1:9: unknown key from.adress. Did you mean address?'],
    ['a key of no alternative', 'from: { path: x, column: y, z: 1 }', 'a.yaml:1:29: unknown key from.z. Known here:'],
    [
      'a wrong value deep within',
      'from:\n  first:\n    - { address: abc }\n    - { address: abc, port: 70000 }',
      'a.yaml:4:23: from.first.1.port is 70000: too big',
    ],
    ['what none of them is', 'from: 5', 'a.yaml:1:1: from is 5: expected string, received number.'],
  ])('%s', (_, text, message) => {
    expect(errorOf(z.strictObject({ from: source }), text).message).toContain(message);
  });

  it('by the key that distinguishes them', () => {
    const weather = z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('sky'), clouds: z.number() }),
      z.strictObject({ kind: z.literal('file'), path: z.string() }),
    ]);
    const listed = z.strictObject({ fallback: z.array(weather) });
    expect(errorOf(listed, 'fallback:\n  - kind: fog').message).toContain(
      `a.yaml:2:5: fallback.0.kind is "fog": expected 'sky' | 'file'.`,
    );
    expect(errorOf(listed, 'fallback:\n  - kind: file\n    zzzzz: 1').message).toBe(
      'a.yaml:3:5: unknown key fallback.0.zzzzz. Known here: kind, path.',
    );
  });
});

describe('in a list', () => {
  const panels = z.strictObject({ arrays: z.array(z.strictObject({ peakW: z.number(), tiltDeg: z.number() })) });

  it.each([
    [
      'a wrong value',
      '    tiltDeg: steep',
      'a.yaml:5:5: arrays.1.tiltDeg is "steep": expected number, received string.',
    ],
    ['a list for a number', '    tiltDeg: [30]', 'a.yaml:5:5: arrays.1.tiltDeg: expected number, received array.'],
    ['a key that is missing', '    # none', 'a.yaml:4:5: arrays.1.tiltDeg is missing.'],
    ['a key that is misspelt', '    titlDeg: 3', 'a.yaml:5:5: unknown key arrays.1.titlDeg. Did you mean tiltDeg?'],
  ])('%s is told with line and column', (_, line, message) => {
    const text = `arrays:\n  - peakW: 1\n    tiltDeg: 30\n  - peakW: 2\n${line}\n`;
    expect(errorOf(panels, text).message).toContain(message);
  });

  it('a wrong member', () => {
    const { message } = errorOf(z.strictObject({ paths: z.array(z.string()) }), 'paths:\n  - a\n  - 7\n');
    expect(message).toContain('a.yaml:3:5: paths.1 is 7: expected string, received number.');
  });
});

it('a value is shown at its own key only, and never at one within it', () => {
  const name = z.string().superRefine((_, { addIssue }) => addIssue({ code: 'custom', path: ['city'], message: 'no' }));
  expect(errorOf(z.strictObject({ name }), 'name: Freiburg').what).toBe('a.yaml:1:1: name.city: no.');
});

it('what is no YAML is told where it ends to be', () => {
  expect(errorOf(z.unknown(), 'a: [1,\nb: 2').what).toMatch(/^a\.yaml:2:\d+: /);
});

it('a fault is told without a document as well', () => {
  const { error } = z.strictObject({ from: source }).safeParse({ from: { path: 1, column: 'y' } });
  const fault = firstFault(error!);
  expect([fault.key, describeFault(fault)]).toEqual([['from', 'path'], 'from.path: expected string, received number']);
});
