import { readFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { configReader } from '../ml/models/config-reader.ts';
import { isLanguage, readModelConfig } from '../ml/models/model.ts';
import { STRATEGIES } from '../outer/settings.ts';
import { type Job, jobSchema, type RunFile, runFileSchema } from '../protocol/run-file.ts';
import { parseYaml } from '../yaml-document.ts';
import { readSource } from './source-file.ts';

/**
 * Reads and validates a run file, and makes every choice that it leaves open.
 *
 * @throws HelioError HELIO-1001 with file, line and column, or why it cannot be read
 */
export function readRunFile(file: string): { readonly job: Job; readonly folder: string } {
  const source = readSource(file, {
    code: 'HELIO-1001',
    what: 'run file',
    where: 'Check its name; `heliotrope train --help` shows a file to start from.',
  });
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
export const parseRunFile = (source: string, file: string): RunFile =>
  parseYaml(source, { file, schema: runFileSchema, code: 'HELIO-1001', published: 'schema/run.schema.json' });

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
