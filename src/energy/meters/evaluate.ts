import { HelioError } from '../../errors.ts';
import { unusable } from './fault.ts';
import { at, parsePath } from './json-path.ts';
import type { Expression, Simple } from './template.ts';

/** What every kind of term has. */
export interface AnyTerm {
  readonly scale?: number | undefined;
  readonly optional?: boolean | undefined;
}

/** One term of one poll: a number, or null where the device says that it has none. It throws where it failed. */
export type ReadTerm<T> = (term: T) => Promise<number | null>;

/** What an expression of terms stands for. */
export interface Evaluated {
  /** null where the device says that it has none. */
  readonly value: number | null;
  /** It was computed from several that were measured, as a load in percent and a rated power. */
  readonly modelled: boolean;
}

/** @throws HelioError of the first term that failed */
export async function evaluate<T extends AnyTerm>(expression: Expression<T>, read: ReadTerm<T>): Promise<Evaluated> {
  if (!('first' in expression)) return simple(expression, read);
  let failure: HelioError | undefined;
  let none = false;
  for (const alternative of expression.first) {
    try {
      const evaluated = await simple(alternative, read);
      if (evaluated.value !== null) return evaluated;
      none = true;
    } catch (error) {
      // Only what the device does not have leads to the next way; a device that is not there has none.
      if (!(error instanceof HelioError) || error.code !== 'HELIO-6102') throw error;
      failure ??= error;
    }
  }
  if (!none && failure !== undefined) throw failure;
  return { value: null, modelled: false };
}

async function simple<T extends AnyTerm>(expression: Simple<T>, read: ReadTerm<T>): Promise<Evaluated> {
  if ('sum' in expression) return { value: await sumOf(expression.sum, read), modelled: false };
  if (!('product' in expression)) return { value: await scaled(expression, read), modelled: false };
  let product = expression.scale ?? 1;
  for (const term of expression.product) {
    const value = await scaled(term, read);
    if (value === null) return { value: null, modelled: true };
    product *= value;
  }
  return { value: product, modelled: true };
}

/** Where every part is optional and none is there, there is none at all. */
async function sumOf<T extends AnyTerm>(terms: readonly T[], read: ReadTerm<T>): Promise<number | null> {
  let sum: number | null = null;
  for (const term of terms) {
    const value = await scaled(term, read);
    if (value !== null) sum = (sum ?? 0) + value;
    else if (term.optional !== true) return null;
  }
  return sum;
}

async function scaled<T extends AnyTerm>(term: T, read: ReadTerm<T>): Promise<number | null> {
  const value = await read(term);
  return value === null ? null : value * (term.scale ?? 1);
}

const NUMBER = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?$/i;
/** How devices and Home Assistant write "I have none". */
const NONE = /^(?:|unavailable|unknown|none|null|nan|n\/?a|-)$/i;
const MOST_SHOWN = 60;

/** Of a text with words, the one that means 1, and the one that means 0. */
export interface Words {
  readonly is?: string | undefined;
  readonly isNot?: string | undefined;
}

/**
 * A value as a device wrote it.
 *
 * @param words when it is text: what means 1, and what means 0 (all else, where nothing is said to)
 * @param where for the message: `a.b of /status`
 * @throws HelioError HELIO-6102 for what is not there, or is no number
 */
export function numberOf(raw: unknown, { is, isNot }: Words, device: string, where: string): number | null {
  if (raw === undefined) throw unusable(device, `there is no ${where} in its answer`);
  if (raw === null) return null;
  if (is !== undefined) {
    const has = (word: string): boolean => String(raw) === word || String(raw).split(/\s+/).includes(word);
    return has(is) ? 1 : isNot === undefined || has(isNot) ? 0 : null;
  }
  if (typeof raw === 'boolean') return raw ? 1 : 0;
  if (typeof raw === 'number' && Number.isFinite(raw)) return raw;
  if (typeof raw === 'string') {
    const text = raw.trim();
    if (NUMBER.test(text)) return Number(text);
    if (NONE.test(text)) return null;
  }
  const shown = JSON.stringify(raw)?.slice(0, MOST_SHOWN);
  throw unusable(device, `${where} is ${shown}, which is no number`);
}

/**
 * @param body text of an answer or message
 * @param path where in its JSON; undefined: the text is the value
 * @throws HelioError HELIO-6102
 */
export function inText(
  body: string,
  path: string | undefined,
  words: Words,
  device: string,
  where: string,
): number | null {
  if (path === undefined) return numberOf(body.slice(0, 1_000), words, device, where);
  // A device that has gone from a bus says so with an empty message.
  if (body.trim() === '') return null;
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    const html = /^\s*</.test(body) ? ' (it looks like a web page: a login, or another device)' : '';
    throw unusable(device, `${where} is no JSON${html}: ${JSON.stringify(body.slice(0, MOST_SHOWN))}`);
  }
  return numberOf(at(document, parsePath(path)!), words, device, `${path} in ${where}`);
}
