import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { HelioError } from '../../errors.ts';
import { type MeterTemplate, templateSchema } from './template.ts';

const SEE = 'schema/meter-template.schema.json says what a template may hold, docs/meters.md how to write one.';
/** Longest template that is read. */
export const TEMPLATE_BYTES = 200_000;

/**
 * @param source YAML (or JSON) text
 * @param file its name, for messages
 * @throws HelioError HELIO-6103 with file, line and column
 */
export function parseTemplate(source: string, file: string): MeterTemplate {
  if (source.length > TEMPLATE_BYTES)
    throw new HelioError('HELIO-6103', `${file} has ${source.length} characters; ${TEMPLATE_BYTES} at most.`, SEE);
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [syntax] = document.errors;
  if (syntax !== undefined)
    throw new HelioError(
      'HELIO-6103',
      `${where(syntax.pos[0])}: ${syntax.message.replace(/\.$/, '')}.`,
      'Correct the YAML there.',
    );
  const result = templateSchema.safeParse(document.toJS({ maxAliasCount: 50 }) ?? {});
  if (result.success) return result.data;
  const issue = furthest(result.error.issues[0]!);
  const path = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  const node = locate(document.contents, path);
  throw new HelioError('HELIO-6103', `${where(node?.offset ?? 0)}: ${described(issue, path, node?.value)}.`, SEE);
}

/** A checked file whose settings are filled in is checked again: a setting may be no port, or no quantity. */
export function checkFilled(filled: unknown, name: string): MeterTemplate {
  const result = templateSchema.safeParse(filled);
  if (result.success) return result.data;
  const issue = furthest(result.error.issues[0]!);
  throw new HelioError(
    'HELIO-6103',
    `${name}, with its settings: ${described(issue, issue.path, undefined)}.`,
    'Correct the setting.',
  );
}

type Issue = z.core.$ZodIssue;

/** Of the alternatives of a union, and of those within them, the one that got furthest says most. */
function furthest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const leaves = issue.errors
    .flatMap((issues) => (issues[0] === undefined ? [] : [furthest(issues[0])]))
    .toSorted((a, b) => rank(b) - rank(a));
  return leaves[0] === undefined ? issue : { ...leaves[0], path: [...issue.path, ...leaves[0].path] };
}

/** What is wrong with a key that is there says more than what another alternative would need. */
const rank = (issue: Issue): number =>
  issue.path.length * 3 +
  (issue.code === 'unrecognized_keys' ? 0 : issue.message.endsWith('received undefined') ? 1 : 2);

function described(issue: Issue, path: readonly PropertyKey[], value: unknown): string {
  const key = path.join('.') || 'the file';
  if (issue.code === 'unrecognized_keys') return `unknown key ${key}`;
  const shown = value === undefined ? '' : ` is ${JSON.stringify(value)}`;
  return `${key}${shown}: ${issue.message.replace(/^Invalid input: /, '').replace(/^Too/, 'too')}`;
}

/** The place and value of a key, or the place of the nearest parent that is there. */
function locate(
  root: unknown,
  path: readonly PropertyKey[],
): { readonly offset: number; readonly value: unknown } | undefined {
  let node = root as Node | null;
  let offset = node?.range?.[0];
  let value: unknown;
  for (const key of path) {
    value = undefined;
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
