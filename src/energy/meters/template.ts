import { z } from 'zod';
import { REGISTER_TYPE_NAMES } from './decode.ts';
import { parsePath } from './json-path.ts';
import { DEVICE_UNITS, type DeviceUnit, QUANTITIES, type Quantity, SIGNED, unitFits } from './reading.ts';

/**
 * A device in words: where its values are, and how each becomes a reading. One declaration is the validator, the type and the published
 * JSON Schema (schema/meter-template.schema.json). `{name}` in any text stands for a setting of the person whose device it is.
 */

const text = (most = 300) => z.string().min(1).max(most);
/** A whole setting, such as `{port}`. */
const placeholder = z.string().regex(/^\{[A-Za-z][A-Za-z0-9]{0,39}\}$/);
/** Settings are filled in as text: a number may come as one. */
const wholeNumber = (low: number, high: number) =>
  z.union([
    z.int().min(low).max(high),
    z
      .string()
      .regex(/^\d{1,5}$/)
      .refine((digits) => Number(digits) >= low && Number(digits) <= high, { error: `must be from ${low} to ${high}` }),
    placeholder,
  ]);
const port = wholeNumber(1, 65_535);
const yesOrNo = z.union([z.boolean(), z.enum(['true', 'false']), placeholder]);
const scale = z.number().min(-1e9).max(1e9).optional().describe('Multiplies the value; default 1.');
const optional = z
  .boolean()
  .optional()
  .describe('In a sum: counts as 0 where the device says that it has no such part, as a second string of panels.');
const is = text(100)
  .optional()
  .describe('The value is text: 1 when this is one of its words, else 0. For on/off quantities.');
const isNot = text(100)
  .optional()
  .describe('With `is`: the word that means 0. A text with neither, such as "starting", then says nothing.');
const jsonPath = text().refine((path) => parsePath(path.replace(/\{\w+\}/g, '0')) !== undefined, {
  error: 'no path; one is like a.b[0].c, list[field=value].c or ["odd name"].c',
});
/** It stays on the device: what begins with two slashes would name another one, and send it our password. */
const pathOnDevice = z
  .string()
  .max(500)
  .regex(/^\/(?![/\\])/, { error: 'must begin with one slash' });
/** One word of NUT's protocol. */
const nutName = z.string().regex(/^[\w.:-]{1,100}$|^\{[A-Za-z]\w{0,39}\}$/, { error: 'is no name of NUT' });
const register = z.enum(REGISTER_TYPE_NAMES);
const offset = z.int().min(0).max(1_000);

const TERMS = {
  http: z.strictObject({
    get: pathOnDevice.describe('Path and query, after the url.'),
    path: jsonPath.optional().describe('Where in the JSON of the answer; without it the answer is the value itself.'),
    is,
    isNot,
    scale,
    optional,
  }),
  modbus: z.union([
    z.strictObject({
      register: z.int().min(0).max(65_535),
      kind: z.enum(['input', 'holding']).default('holding'),
      type: register,
      lowWordFirst: z.boolean().optional(),
      noneBits: z.boolean().optional().describe('The device says "none" by the highest or lowest number of the type.'),
      scale,
      optional,
    }),
    z.strictObject({
      sunspec: z.array(z.int().min(1).max(65_534)).min(1).max(20).describe('Models in which it stands at this offset.'),
      offset: offset.describe('Registers from the beginning of the model, its id and length counted.'),
      type: register,
      scaleFactor: offset.optional().describe('Offset of the register with the power of ten.'),
      scale,
      optional,
    }),
  ]),
  mqtt: z.strictObject({ topic: text(), path: jsonPath.optional(), is, isNot, scale, optional }),
  'home-assistant': z.strictObject({ entity: text(), is, isNot, scale, optional }),
  nut: z.strictObject({ variable: nutName, is, isNot, scale, optional }),
} as const;

export type Source = keyof typeof TERMS;

/** A term; several added, as the phases of a meter; several multiplied, as a load in percent and a rated power; or the first that the device has. */
const expression = <T extends z.ZodType>(term: T) => {
  const simple = z.union([
    term,
    z.strictObject({ sum: z.array(term).min(1).max(20) }),
    z.strictObject({ product: z.array(term).min(2).max(4), scale }),
  ]);
  return z.union([simple, z.strictObject({ first: z.array(simple).min(1).max(10) })]);
};

const value = <T extends z.ZodType>(term: T) =>
  z.strictObject({
    quantity: z.union([z.enum(QUANTITIES), placeholder]).describe('What it is, in Heliotrope’s words.'),
    unit: z.enum(DEVICE_UNITS).optional().describe('The device’s unit. Home Assistant says it itself.'),
    scale,
    sign: z
      .union([z.literal(1), z.literal(-1)])
      .default(1)
      .describe('-1 where the device counts export or charging as positive.'),
    none: z
      .number()
      .optional()
      .describe('What it means when the device says "none", where its maker documents that: an inverter asleep is 0.'),
    quality: z
      .enum(['measured', 'modelled'])
      .default('measured')
      .describe('modelled: the device computes it from something else.'),
    from: expression(term),
  });

const common = {
  name: text(80).describe('What the device is called.'),
  about: text(300).describe('One line for `heliotrope meters list`.'),
  notes: text(600).optional().describe('What its owner has to switch on, and where.'),
  settings: z
    .record(
      z.string().regex(/^[A-Za-z][A-Za-z0-9]{0,39}$/),
      z.strictObject({
        about: text(200),
        default: z.union([z.string().max(300), z.number(), z.boolean()]).optional(),
        optional: z.boolean().optional().describe('What names it is left out when it is not given.'),
        secret: z.boolean().optional().describe('Never printed.'),
      }),
    )
    .default({})
    .describe('What the owner says of this one device; {name} stands for it in other texts.'),
  staleAfterS: z.number().min(1).max(86_400).default(120).describe('Older values count as unknown.'),
  timeoutS: z.number().min(0.1).max(60).default(5).describe('How long an answer may take.'),
};
const values = <T extends z.ZodType>(term: T) => z.array(value(term)).min(1).max(50);

const authorization = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('basic'), user: text(), password: z.string().max(300) }),
  z.strictObject({ kind: z.literal('digest'), user: text(), password: z.string().max(300) }),
  z.strictObject({ kind: z.literal('bearer'), token: text(4_000) }),
]);

const variants = {
  http: z.strictObject({
    source: z.literal('http'),
    ...common,
    url: text().describe('http://{host} or https://{host}'),
    selfSigned: yesOrNo.default(false).describe('Accept a certificate that nobody vouches for, as home devices have.'),
    authorization: authorization.optional(),
    login: z
      .strictObject({
        post: pathOnDevice,
        body: z.record(text(40), z.union([z.string().max(300), z.number(), z.boolean()])),
        token: jsonPath.optional().describe('Where in its answer the bearer token is.'),
        cookies: z.boolean().optional().describe('Its cookies are sent with what follows.'),
      })
      .optional(),
    values: values(TERMS.http),
  }),
  modbus: z.strictObject({
    source: z.literal('modbus'),
    ...common,
    host: text(),
    port: port.default(502),
    unit: wholeNumber(0, 255).describe('Unit id (slave id).'),
    values: values(TERMS.modbus),
  }),
  mqtt: z.strictObject({
    source: z.literal('mqtt'),
    ...common,
    url: text().describe('mqtt://{host}:{port}, or mqtts:'),
    selfSigned: yesOrNo.default(false),
    user: text().optional(),
    password: z.string().max(300).optional(),
    keepAlive: z
      .strictObject({ topic: text(), payload: z.string().max(300).default(''), everyS: z.number().min(1).max(3_600) })
      .optional()
      .describe('What the device wants to hear so that it goes on publishing.'),
    values: values(TERMS.mqtt),
  }),
  'home-assistant': z.strictObject({
    source: z.literal('home-assistant'),
    ...common,
    url: text().describe('http://{host}:{port}, or https:'),
    selfSigned: yesOrNo.default(false),
    token: text(4_000),
    values: z
      .union([z.literal('energy-dashboard'), values(TERMS['home-assistant'])])
      .describe('energy-dashboard: what its Energy settings name.'),
  }),
  nut: z.strictObject({
    source: z.literal('nut'),
    ...common,
    host: text(),
    port: port.default(3493),
    ups: nutName,
    user: text(100).optional(),
    password: z.string().max(300).optional(),
    values: values(TERMS.nut),
  }),
} as const;

export const templateSchema = z
  .discriminatedUnion('source', [
    variants.http,
    variants.modbus,
    variants.mqtt,
    variants['home-assistant'],
    variants.nut,
  ])
  .superRefine((template, { addIssue }) => {
    if (template.values === 'energy-dashboard') return;
    for (const [i, { quantity, unit, sign }] of template.values.entries()) {
      const issue = (key: string, message: string): void =>
        addIssue({ code: 'custom', path: ['values', i, key], message });
      if (unit === undefined && template.source !== 'home-assistant')
        issue('unit', 'is missing: say in which unit the device has it');
      if (!isQuantity(quantity)) continue;
      if (unit !== undefined && !unitFits(quantity, unit)) issue('unit', `${unit} is no unit of ${quantity}`);
      if (sign === -1 && !SIGNED.has(quantity)) issue('sign', `${quantity} has no direction that could be turned`);
    }
  });

export const isQuantity = (name: string): name is Quantity => (QUANTITIES as readonly string[]).includes(name);

export type MeterTemplate = z.output<typeof templateSchema>;
export type TemplateOf<S extends Source> = Extract<MeterTemplate, { source: S }>;
export type TermOf<S extends Source> = z.output<(typeof TERMS)[S]>;

export type Simple<T> =
  | T
  | { readonly sum: readonly T[] }
  | { readonly product: readonly T[]; readonly scale?: number | undefined };
export type Expression<T> = Simple<T> | { readonly first: readonly Simple<T>[] };

export interface ValueOf<T> {
  readonly quantity: Quantity;
  readonly unit?: DeviceUnit | undefined;
  readonly scale?: number | undefined;
  readonly sign: 1 | -1;
  readonly none?: number | undefined;
  readonly quality: 'measured' | 'modelled';
  readonly from: Expression<T>;
}
