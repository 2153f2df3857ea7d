import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRegisters, REGISTER_TYPE_NAMES, REGISTER_TYPES } from '../../../src/energy/meters/decode.ts';
import { at, parsePath } from '../../../src/energy/meters/json-path.ts';
import { filledIn, type Settings } from '../../../src/energy/meters/settings.ts';
import { parseTemplate } from '../../../src/energy/meters/template-file.ts';

const HTTP = `name: box
about: a box
source: http
settings:
  host: { about: address }
  password: { about: password, optional: true }
  quantity: { about: what, default: pv-power }
url: "http://{host}"
authorization: { kind: basic, user: admin, password: "{password}" }
values:
  - { quantity: "{quantity}", unit: W, from: { get: "/v?p={password}", path: a } }
  - { quantity: grid-power, unit: kW, sign: -1, from: { first: [{ get: /v, path: b }, { get: /v, path: c }] } }
`;
const changed = (from: string, to: string): string => {
  expect(HTTP).toContain(from);
  return HTTP.replace(from, to);
};

describe('a template file that is wrong is told with line and column', () => {
  it.each([
    ['YAML', changed('values:', 'values: ['), /^box\.yaml:\d+:\d+: /],
    ['an unknown key', changed('about: a box', 'abot: a box'), /^box\.yaml:.*(unknown key abot|about)/],
    [
      'an unknown key within',
      changed('unit: kW, sign', 'unit: kW, sgin'),
      /^box\.yaml:12:39: unknown key values\.1\.sgin/,
    ],
    [
      'an unknown key in a union within a union',
      changed('{ get: /v, path: c }', '{ get: /v, pth: c }'),
      /^box\.yaml:12:98: unknown key values\.1\.from\.first\.1\.pth/,
    ],
    ['an unknown source', changed('source: http', 'source: zigbee'), /^box\.yaml:3:1: source is "zigbee"/],
    [
      'an unknown quantity',
      changed('quantity: grid-power', 'quantity: grid'),
      /^box\.yaml:12:\d+: values\.1\.quantity is "grid"/,
    ],
    [
      'a unit of something else',
      changed('unit: kW', 'unit: "%"'),
      /values\.1\.unit is "%": % is no unit of grid-power/,
    ],
    ['no unit', changed('unit: kW, ', ''), /values\.1\.unit.*is missing: say in which unit/],
    [
      'a sign where there is no direction',
      changed('quantity: grid-power, unit: kW', 'quantity: load-power, unit: kW'),
      /load-power has no direction/,
    ],
    ['no path', changed('path: b', 'path: "b..c"'), /path is "b\.\.c": no path; one is like/],
    ['a request that leaves the device', changed('get: /v,', 'get: //evil.example/v,'), /must begin with one slash/],
    [
      'a sum of far too many',
      changed(
        'from: { first: [{ get: /v, path: b }, { get: /v, path: c }] }',
        `from: { sum: [${'{ get: /v, path: x }, '.repeat(21)}] }`,
      ),
      /too/i,
    ],
    ['a whole book', HTTP + '#'.repeat(200_001), /200000 at most/],
  ])('%s', (_, text, message) => {
    expect(() => parseTemplate(text, 'box.yaml')).toThrow(
      expect.objectContaining({ code: 'HELIO-6103', what: expect.stringMatching(message) }),
    );
  });
});

describe('settings', () => {
  const fill = (settings: Settings) => filledIn(parseTemplate(HTTP, 'box.yaml'), settings);

  it('what names one that is not given is left out, and the rest stands', () => {
    const { template } = fill({ host: '10.0.0.7' });
    expect(template).toMatchObject({ url: 'http://10.0.0.7', values: [{ quantity: 'grid-power' }] });
    expect(Object.hasOwn(template, 'authorization')).toBe(false);
  });

  it('within an address they are encoded, and elsewhere they are as they are; numbers are text', () => {
    const { template } = fill({ host: '10.0.0.7', password: 'a&b=c/d' });
    expect(template).toMatchObject({
      authorization: { password: 'a&b=c/d' },
      values: [{ quantity: 'pv-power', from: { get: '/v?p=a%26b%3Dc%2Fd' } }, {}],
    });
    expect(fill({ host: 'h', password: 12345 }).template).toMatchObject({ authorization: { password: '12345' } });
  });

  it.each<[string, Settings, RegExp]>([
    ['none', {}, /box needs host \(address\), and it is not given/],
    ['one that it does not have', { host: 'h', prot: 1 }, /box has no setting prot/],
    ['a quantity that there is not', { host: 'h', password: 'p', quantity: 'sun' }, /values\.0\.quantity/],
    ['a sign for what has none', { host: 'h', 'sign.pv-power': -1 }, /turns what has no direction/],
    ['half a sign', { host: 'h', sign: 0.5 }, /sign is 0.5/],
  ])('%s', (_, settings, message) => {
    expect(() => fill(settings)).toThrow(
      expect.objectContaining({ code: 'HELIO-6103', what: expect.stringMatching(message) }),
    );
  });

  it('turn what has a direction, one or all', () => {
    expect(fill({ host: 'h', sign: -1 }).signOf('grid-power')).toBe(-1);
    expect(fill({ host: 'h', sign: -1 }).signOf('pv-power')).toBe(1);
    expect(fill({ host: 'h', 'sign.battery-power': '-1' }).signOf('grid-power')).toBe(1);
  });

  it('a name that no template declares is a mistake in the template', () => {
    expect(() =>
      filledIn(parseTemplate(changed('"http://{host}"', '"http://{hots}"'), 'box.yaml'), { host: 'h' }),
    ).toThrow(/box names \{hots\}, which is none of its settings/);
  });
});

describe('a path in JSON', () => {
  const document = {
    a: { b: [{ c: 1 }, { c: 2, kind: 'net-consumption' }], 1: 'one' },
    'em:0': { p: 5 },
    list: [null, 7],
  };
  it.each([
    ['a.b[1].c', 2],
    ['a.b[kind=net-consumption].c', 2],
    ['a.1', 'one'],
    ['["em:0"].p', 5],
    ['list[1]', 7],
    ['a.b.0.c', 1],
    ['a.b[kind=none].c', undefined],
    ['a.x.y', undefined],
    ['list[0].x', undefined],
    ['constructor', undefined],
    ['a.__proto__', undefined],
    ['list.length', 2],
  ])('%s', (text, value) => {
    expect(at(document, parsePath(text)!)).toEqual(value);
  });
  it.each(['', '.', 'a.', '.a', 'a..b', 'a[', 'a[]', 'a[-1]', 'a[b=]', 'a b', 'a[0]b', Array(21).fill('a').join('.')])(
    '%j is none',
    (text) => {
      expect(parsePath(text)).toBeUndefined();
    },
  );
  it('whatever it is, it ends, and throws nothing', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), fc.jsonValue(), (text, json) => {
        const steps = parsePath(text);
        if (steps !== undefined) at(json, steps);
      }),
    );
  });
});

describe('numbers in registers', () => {
  it('come back as they were written, in either order of words', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...REGISTER_TYPE_NAMES),
        fc.bigInt(-(2n ** 63n), 2n ** 64n - 1n),
        fc.boolean(),
        (type, any, lowWordFirst) => {
          if (type === 'float32') return;
          const { words, none } = REGISTER_TYPES[type];
          const bits = BigInt.asUintN(16 * words, any);
          const big = Array.from({ length: words }, (_, i) => Number((bits >> BigInt(16 * (words - 1 - i))) & 0xffffn));
          const read = decodeRegisters(lowWordFirst ? big.toReversed() : big, type, { noneBits: true, lowWordFirst });
          const value = Number(type.startsWith('int') ? BigInt.asIntN(16 * words, any) : bits);
          expect(read).toBe(bits === none ? null : value);
        },
      ),
    );
  });
  it('floats, and the one that is no number', () => {
    // IEEE 754: 0x42f6e979 is 123.456001…
    expect(decodeRegisters([0x42f6, 0xe979], 'float32')).toBeCloseTo(123.456, 5);
    expect(decodeRegisters([0xe979, 0x42f6], 'float32', { lowWordFirst: true })).toBeCloseTo(123.456, 5);
    expect(decodeRegisters([0x7fc0, 0], 'float32')).toBeNull();
    expect(decodeRegisters([0x7f80, 0], 'float32')).toBeNull();
  });
});

it('the published schema has every source', () => {
  const schema = readFileSync(path.resolve(import.meta.dirname, '../../../schema/meter-template.schema.json'), 'utf8');
  for (const source of ['http', 'modbus', 'mqtt', 'home-assistant', 'nut'])
    expect(schema).toContain(`"const": "${source}"`);
});
