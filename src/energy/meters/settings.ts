import { HelioError } from '../../errors.ts';
import { type Quantity, SIGNED } from './reading.ts';
import type { MeterTemplate } from './template.ts';
import { checkFilled } from './template-file.ts';

export type Setting = string | number | boolean;
export type Settings = Readonly<Record<string, Setting>>;

export interface Filled {
  readonly template: MeterTemplate;
  /** What the owner turns, over what the template says. */
  signOf(quantity: Quantity): 1 | -1;
}

/**
 * A template for one device of one home: every `{name}` replaced by its setting. What names a setting that is optional and not given is left
 * out. Beside a template's own settings `sign: -1` turns what has a direction, `sign.grid-power: -1` one of it, and `selfSigned: true`
 * accepts a certificate that nobody vouches for.
 *
 * @throws HelioError HELIO-6103 for a setting that is missing, unknown or of no use
 */
export function filledIn(template: MeterTemplate, settings: Settings): Filled {
  const given = new Map(Object.entries(settings));
  const signs = takeSigns(given, template.name);
  const selfSigned = Object.hasOwn(template.settings, 'selfSigned') ? undefined : given.get('selfSigned');
  if (selfSigned !== undefined) given.delete('selfSigned');
  const known = Object.keys(template.settings);
  for (const name of given.keys())
    if (!known.includes(name))
      throw new HelioError(
        'HELIO-6103',
        `${template.name} has no setting ${name}.`,
        `It has: ${[...known, 'sign', 'selfSigned'].join(', ')}.`,
      );
  const values = new Map<string, Setting | undefined>();
  for (const [name, { about, default: standard, optional }] of Object.entries(template.settings)) {
    const value = given.get(name) ?? standard;
    if (value === undefined && optional !== true)
      throw new HelioError(
        'HELIO-6103',
        `${template.name} needs ${name} (${about}), and it is not given.`,
        `Give it: --set ${name}=…${name === 'host' || name === 'port' ? ` or --${name} …` : ''}.`,
      );
    values.set(name, value);
  }
  const { settings: declared, ...rest } = template;
  const filled = fill(rest, values, template.name) as Record<string, unknown>;
  const checked = checkFilled(
    { ...filled, settings: declared, ...(selfSigned === undefined ? {} : { selfSigned }) },
    template.name,
  );
  return {
    template: checked,
    signOf: (quantity) => (SIGNED.has(quantity) ? (signs.get(quantity) ?? signs.get('') ?? 1) : 1),
  };
}

/** A text that names what is not given. */
const ABSENT = Symbol('absent');

function fill(node: unknown, values: ReadonlyMap<string, Setting | undefined>, name: string, depth = 0): unknown {
  if (typeof node === 'string') return fillText(node, values, name);
  if (Array.isArray(node)) {
    const items = node.map((item) => fill(item, values, name, depth + 1)).filter((item) => item !== ABSENT);
    return items.length === 0 && node.length > 0 ? ABSENT : items;
  }
  if (typeof node !== 'object' || node === null) return node;
  const filled: [string, unknown][] = [];
  for (const [key, child] of Object.entries(node)) {
    const value = fill(child, values, name, depth + 1);
    if (value !== ABSENT) filled.push([key, value]);
    // At the top a part is left out; within one, the part as a whole.
    else if (depth > 0) return ABSENT;
  }
  return Object.fromEntries(filled);
}

const NAMED = /\{([A-Za-z][A-Za-z0-9]{0,39})\}/g;

function fillText(text: string, values: ReadonlyMap<string, Setting | undefined>, name: string): unknown {
  const whole = /^\{([A-Za-z][A-Za-z0-9]{0,39})\}$/.exec(text)?.[1];
  const of = (key: string): Setting | undefined => {
    if (!values.has(key))
      throw new HelioError(
        'HELIO-6103',
        `${name} names {${key}}, which is none of its settings.`,
        `Declare it under settings, or correct it: ${[...values.keys()].join(', ')}.`,
      );
    return values.get(key);
  };
  if (whole !== undefined) {
    const value = of(whole);
    return value === undefined ? ABSENT : String(value);
  }
  let absent = false;
  const filled = text.replace(NAMED, (_, key: string) => {
    const value = of(key);
    if (value === undefined) absent = true;
    // Within an address a setting is a part of it, and cannot begin another.
    return text.startsWith('/') ? encodeURIComponent(String(value)) : String(value);
  });
  return absent ? ABSENT : filled;
}

/** `sign` and `sign.QUANTITY`, taken out of what was given. */
function takeSigns(given: Map<string, Setting>, name: string): ReadonlyMap<string, 1 | -1> {
  const signs = new Map<string, 1 | -1>();
  for (const [key, value] of [...given]) {
    if (key !== 'sign' && !key.startsWith('sign.')) continue;
    const quantity = key.slice('sign.'.length);
    if (key !== 'sign' && !([...SIGNED] as string[]).includes(quantity))
      throw new HelioError(
        'HELIO-6103',
        `${name}: ${key} turns what has no direction.`,
        `Only ${[...SIGNED].join(' and ')} have one.`,
      );
    if (Number(value) !== 1 && Number(value) !== -1)
      throw new HelioError('HELIO-6103', `${name}: ${key} is ${value}.`, 'It is 1 or -1.');
    signs.set(quantity, Number(value) as 1 | -1);
    given.delete(key);
  }
  return signs;
}
