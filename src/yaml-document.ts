import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { type ErrorCode, HelioError } from './errors.ts';

/** A file that a person writes: what is wrong in it is said with its line and column. */
export interface YamlKind<S extends z.ZodType> {
  /** Its name, for messages. */
  readonly file: string;
  readonly schema: S;
  readonly code: ErrorCode;
  /** Where its schema is published. */
  readonly published: string;
}

/**
 * @param source YAML (or JSON) text
 * @throws HelioError with the kind's code, and file, line and column
 */
export function parseYaml<S extends z.ZodType>(
  source: string,
  { file, schema, code, published }: YamlKind<S>,
): z.output<S> {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [syntax] = document.errors;
  if (syntax !== undefined)
    throw new HelioError(
      code,
      `${where(syntax.pos[0])}: ${syntax.message.replace(/\.$/, '')}.`,
      'Correct the YAML there.',
    );
  const value: unknown = document.toJS({ maxAliasCount: 50 }) ?? {};
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fault = firstFault(result.error);
  const node = locate(document.contents, fault.key);
  throw new HelioError(
    code,
    `${where(node?.offset ?? 0)}: ${describeFault(fault, node?.value)}.`,
    remedy(fault, knownKeys(schema as unknown as Part, value, fault.issue.path), published),
  );
}

type Issue = z.core.$ZodIssue;

/** Of all that a schema refuses, what says most. */
export interface Fault {
  /** From the outermost key to the one that is wrong. */
  readonly key: readonly PropertyKey[];
  readonly issue: Issue;
}

/** What to tell of a value that a schema refused; of unions within unions, of the alternative that was meant. */
export function firstFault({ issues }: z.ZodError): Fault {
  const issue = telling(issues)!;
  return { issue, key: keyOf(issue) };
}

/** A key that is misspelt is missing as well: that it is unknown says more. Of alternatives, the one that got furthest says most. */
function telling(issues: readonly Issue[]): Issue | undefined {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  if (issue?.code !== 'invalid_union') return issue;
  const leaves = issue.errors.flatMap((alternative) => telling(alternative) ?? []);
  const [best] = leaves.toSorted((a, b) => rank(b) - rank(a));
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}

/** As deep as it goes; at one depth a wrong value, before a key that is missing, before keys that belong to another alternative. */
function rank(issue: Issue): number {
  const says = issue.code === 'unrecognized_keys' ? 1 / (1 + issue.keys.length) : isMissing(issue) ? 1 : 2;
  return keyOf(issue).length * 3 + says;
}

const keyOf = (issue: Issue): readonly PropertyKey[] =>
  issue.code === 'unrecognized_keys' ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;

const isMissing = ({ message }: Issue): boolean => message.endsWith('received undefined');

/** One sentence without its full stop. @param value what stands there, where that is no list and no mapping */
export function describeFault({ key, issue }: Fault, value?: unknown): string {
  const name = key.join('.') || 'the file';
  if (issue.code === 'unrecognized_keys') return `unknown key ${name}`;
  if (isMissing(issue)) return `${name} is missing`;
  const shown = value === undefined ? '' : ` is ${JSON.stringify(value)}`;
  const message = issue.message.replace(/^Invalid [a-z ]+[:.] [Ee]xpected/, 'expected').replace(/^Too/, 'too');
  return `${name}${shown}: ${message}`;
}

/** The place and value of a key, or the place of the nearest parent that is there. */
function locate(
  root: unknown,
  key: readonly PropertyKey[],
): { readonly offset: number; readonly value: unknown } | undefined {
  let node = root as Node | null;
  let offset = node?.range?.[0];
  let value: unknown;
  for (const part of key) {
    value = undefined;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      node = (node.items[Number(part)] as Node | undefined) ?? null;
      offset = node?.range?.[0] ?? offset;
    } else break;
    value = isScalar(node) ? node.value : undefined;
  }
  return offset === undefined ? undefined : { offset, value };
}

function remedy({ key, issue }: Fault, known: readonly string[], published: string): string {
  const see = `See ${key[0] === undefined ? 'what there may be' : `"${String(key[0])}"`} in ${published}.`;
  if (issue.code !== 'unrecognized_keys' || known.length === 0) return see;
  const given = issue.keys[0]!;
  const nearest = known.toSorted((a, b) => editDistance(a, given) - editDistance(b, given))[0]!;
  const distance = editDistance(nearest, given);
  return distance <= 3 && distance < given.length ? `Did you mean ${nearest}?` : `Known here: ${known.join(', ')}.`;
}

/** What a schema of zod is made of, as far as keys go. */
interface Part {
  readonly shape?: Readonly<Record<string, Part>>;
  readonly def: {
    readonly innerType?: Part;
    readonly element?: Part;
    readonly options?: readonly Part[];
    readonly discriminator?: string;
  };
  safeParse(value: unknown): { readonly success: boolean };
}

/** Keys that the schema has at `path`, of the alternatives that the value there has chosen. */
function knownKeys(part: Part | undefined, value: unknown, path: readonly PropertyKey[]): readonly string[] {
  if (part === undefined) return [];
  const { shape, def } = part;
  if (def.innerType !== undefined) return knownKeys(def.innerType, value, path);
  if (def.options !== undefined)
    return [...new Set(chosen(def.options, def.discriminator, value).flatMap((each) => knownKeys(each, value, path)))];
  const [key, ...rest] = path;
  if (key === undefined) return Object.keys(shape ?? {});
  return knownKeys(typeof key === 'number' ? def.element : shape?.[String(key)], within(value, key), rest);
}

/** Of a union by one key those that have its value; else all. */
function chosen(options: readonly Part[], discriminator: string | undefined, value: unknown): readonly Part[] {
  if (discriminator === undefined) return options;
  return options.filter(({ shape }) => shape?.[discriminator]?.safeParse(within(value, discriminator)).success);
}

const within = (value: unknown, key: PropertyKey): unknown =>
  (value as Readonly<Record<PropertyKey, unknown>> | null | undefined)?.[key];

/** Levenshtein's distance. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
