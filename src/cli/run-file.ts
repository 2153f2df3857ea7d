import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, stringify } from 'yaml';
import type { z } from 'zod';
import { HelioError } from '../errors.ts';
import { configReader } from '../ml/models/config-reader.ts';
import { isLanguage, readModelConfig } from '../ml/models/model.ts';
import { STRATEGIES } from '../outer/settings.ts';
import { type Job, jobSchema, type RunFile, runFileSchema } from '../protocol/run-file.ts';

/**
 * Reads and validates a run file, and makes every choice that it leaves open.
 *
 * @throws HelioError HELIO-1001 with file, line and column
 */
export function readRunFile(file: string): { readonly job: Job; readonly folder: string } {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new HelioError(
      'HELIO-1001',
      `The run file ${file} cannot be read (${code}).`,
      code === 'ENOENT'
        ? 'Check its name; `heliotrope train --help` shows a file to start from.'
        : 'Check its permissions.',
      { cause: error },
    );
  }
  const name = path
    .basename(file)
    .replace(/\.ya?ml$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '-');
  const folder = path.dirname(path.resolve(file));
  const read = parseRunFile(source, file);
  const context = read.context ?? defaultContext(read.model.base, folder);
  return { job: resolveJob({ ...read, context }, name), folder };
}

/** @param source YAML text; @param file its name, for messages */
export function parseRunFile(source: string, file: string): RunFile {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    throw new HelioError(
      'HELIO-1001',
      `${where(syntax.pos[0])}: ${syntax.message.replace(/\.$/, '')}.`,
      'Correct the YAML there.',
    );
  }
  const result = runFileSchema.safeParse(document.toJS() ?? {});
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]!);
  const key = [...issue.path, ...(issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
  const node = locate(document.contents, key);
  throw new HelioError(
    'HELIO-1001',
    `${where(node?.offset ?? 0)}: ${describe(issue, key, node?.value)}.`,
    remedy(issue, key),
  );
}

/** Every choice made: a strategy's settings under what the file says, and Muon's or AdamW's own rate. */
export function resolveJob(file: RunFile, name: string): Job {
  const { strategy, ...given } = file.outer;
  const codecs = { upCodec: given.upCodec, downCodec: given.downCodec };
  const { optimizer, rate = defaultRate(optimizer, file), adamRate = ADAM_SHARE * rate } = file.inner;
  return jobSchema.parse({
    ...file,
    name: file.name ?? name,
    context: file.context ?? FRESH_CONTEXT,
    inner: { ...file.inner, rate, adamRate },
    outer: {
      strategy,
      ...STRATEGIES[strategy]({ islands: file.islands, steps: file.stop.steps, inner: optimizer, ...codecs }),
      ...given,
    },
  });
}

/**
 * Muon's falls with the root of the run's length, and AdamW beside it has a share of it: docs/decisions/0012-inner-optimizer.md. A base has
 * learned already, and is not to unlearn that: docs/decisions/0015-fine-tuning-rates.md.
 */
function defaultRate(optimizer: RunFile['inner']['optimizer'], { model, stop }: RunFile): number {
  if (model.base !== undefined) return FINE_TUNING[model.lora === undefined ? 'whole' : 'lora'][optimizer];
  const { steps } = stop;
  if (optimizer === 'muon') return Math.min(0.03, Math.max(0.004, Number((0.6 / Math.sqrt(steps)).toPrecision(2))));
  return optimizer === 'adamw' ? 0.004 : 0.05;
}
const FINE_TUNING = {
  whole: { muon: 0.002, adamw: 0.0005, sgd: 0.005 },
  lora: { muon: 0.005, adamw: 0.002, sgd: 0.05 },
} as const;
const ADAM_SHARE = 0.8;

const FRESH_CONTEXT = 128;
/** Of a base's thousands of positions few pay at the batches of an island, and memory grows with each. */
const BASE_CONTEXT = 256;

/** A base that cannot be read is the matter of whoever opens it. */
function defaultContext(base: string | undefined, folder: string): number {
  if (base === undefined) return FRESH_CONTEXT;
  try {
    const file = path.resolve(folder, base, 'config.json');
    const model = readModelConfig(configReader(readFileSync(file, 'utf8'), file));
    return isLanguage(model) ? Math.min(model.contextLength, BASE_CONTEXT) : FRESH_CONTEXT;
  } catch {
    return FRESH_CONTEXT;
  }
}

export const writeRunFile = (job: Job): string => stringify(job);

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

function remedy(issue: Issue, key: readonly PropertyKey[]): string {
  if (issue.code !== 'unrecognized_keys')
    return `See ${key[0] === undefined ? 'the schema' : `"${String(key[0])}"`} in schema/run.schema.json.`;
  const known = knownKeys(issue.path);
  const nearest = known.toSorted((a, b) => editDistance(a, issue.keys[0]!) - editDistance(b, issue.keys[0]!))[0];
  const close = nearest !== undefined && editDistance(nearest, issue.keys[0]!) <= 3;
  return close ? `Did you mean ${nearest}?` : `Known here: ${known.join(', ')}.`;
}

/** Keys that the schema has at `path`. */
function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = runFileSchema;
  const open = (s: unknown): unknown => {
    const def = (s as { def?: { innerType?: unknown } }).def;
    return def?.innerType === undefined ? s : open(def.innerType);
  };
  for (const key of path) schema = open((open(schema) as { shape?: Record<string, unknown> }).shape?.[String(key)]);
  const shaped = open(schema) as {
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
