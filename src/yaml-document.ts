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
  const result = schema.safeParse(document.toJS({ maxAliasCount: 50 }) ?? {});
  if (result.success) return result.data;
  // A key that is misspelt is missing as well: that it is unknown says more.
  const { issues } = result.error;
  const issue = deepest(issues.find(({ code: kind }) => kind === 'unrecognized_keys') ?? issues[0]!);
  const key = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  const node = locate(document.contents, key);
  throw new HelioError(
    code,
    `${where(node?.offset ?? 0)}: ${describe(issue, key, node?.value)}.`,
    remedy(issue, key, schema, published),
  );
}

type Issue = z.core.$ZodIssue;

/** Of the alternatives of a union, the one that got furthest says most. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
  const candidates = issue.errors.map((issues) => issues[0]!).filter((i) => i !== undefined);
  const best = candidates.toSorted((a, b) => rank(b) - rank(a))[0];
  return best === undefined ? issue : deepest({ ...best, path: [...issue.path, ...best.path] });
}

const rank = (issue: Issue): number => issue.path.length * 2 + (issue.code === 'unrecognized_keys' ? 0 : 1);

/** The place and value of a key, or of the nearest parent that is there. */
function locate(
  root: unknown,
  keys: readonly PropertyKey[],
): { readonly offset: number; readonly value: unknown } | undefined {
  let node = root as Node | null;
  let offset = node?.range?.[0];
  let value: unknown;
  for (const key of keys) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      node = (node.items[Number(key)] as Node | undefined) ?? null;
      offset = node?.range?.[0] ?? offset;
    }
    value = isScalar(node) ? node.value : undefined;
  }
  return offset === undefined ? undefined : { offset, value };
}

function describe(issue: Issue, key: readonly PropertyKey[], value: unknown): string {
  const name = key.join('.') || 'the file';
  if (issue.code === 'unrecognized_keys') return `unknown key ${name}`;
  if (value === undefined && issue.code === 'invalid_type') return `${name} is missing or no ${issue.expected}`;
  const shown = value === undefined ? '' : ` is ${JSON.stringify(value)}`;
  return `${name}${shown}: ${issue.message.replace(/^Invalid input: /, '').replace(/^Too/, 'too')}`;
}

function remedy(issue: Issue, key: readonly PropertyKey[], schema: unknown, published: string): string {
  if (issue.code !== 'unrecognized_keys')
    return `See ${key[0] === undefined ? 'what there may be' : `"${String(key[0])}"`} in ${published}.`;
  const known = knownKeys(schema, issue.path);
  const nearest = known.toSorted((a, b) => editDistance(a, issue.keys[0]!) - editDistance(b, issue.keys[0]!))[0];
  const close = nearest !== undefined && editDistance(nearest, issue.keys[0]!) <= 3;
  return close ? `Did you mean ${nearest}?` : `Known here: ${known.join(', ')}.`;
}

/** Keys that the schema has at `path`. */
function knownKeys(root: unknown, path: readonly PropertyKey[]): readonly string[] {
  let schema = root;
  const open = (s: unknown): unknown => {
    const def = (s as { def?: { innerType?: unknown; element?: unknown } } | undefined)?.def;
    const inner = def?.innerType ?? def?.element;
    return inner === undefined ? s : open(inner);
  };
  // A place in a list has no name.
  for (const key of path)
    if (typeof key !== 'number')
      schema = open((open(schema) as { shape?: Record<string, unknown> } | undefined)?.shape?.[String(key)]);
  const shaped = (open(schema) ?? {}) as {
    shape?: Record<string, unknown>;
    options?: readonly { shape: Record<string, unknown> }[];
  };
  return shaped.shape !== undefined
    ? Object.keys(shaped.shape)
    : (shaped.options ?? []).flatMap((o) => Object.keys(o.shape ?? {}));
}

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
