import { HelioError } from '../../errors.ts';

/** Reads a `config.json` with one clear error for each thing that does not fit. */
export interface ConfigReader {
  readonly modelType: string;
  value(key: string): unknown;
  /** The error that says what is wrong with `key`. */
  wrong(key: string, wanted: string): HelioError;
  /** A whole number of at least 1. */
  size(key: string): number;
  /** As {@link size}, or `otherwise` where the key is missing or null. */
  sizeOr(key: string, otherwise: number): number;
  number(key: string, otherwise: number): number;
  flag(key: string, otherwise: boolean): boolean;
  sizes(key: string): readonly number[];
  text(key: string, allowed: readonly string[]): string;
  /** Refuses any value of `key` but these; a missing key is fine, as `transformers` leaves defaults out. */
  expect(key: string, allowed: readonly unknown[]): void;
}

/** @throws HelioError HELIO-3001 */
export function configReader(json: string, file: string): ConfigReader {
  let config: Readonly<Record<string, unknown>>;
  try {
    config = JSON.parse(json) as Readonly<Record<string, unknown>>;
  } catch {
    throw foreignModel(file, 'it is not JSON');
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw foreignModel(file, 'it is no JSON object');
  const wrong = (key: string, wanted: string): HelioError =>
    foreignModel(file, `${key} is ${JSON.stringify(config[key]) ?? 'missing'}, and ${wanted} is needed`);
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1;
  const size = (key: string): number => {
    const value = config[key];
    if (!isSize(value) || value > 2 ** 31) throw wrong(key, 'a whole number of at least 1');
    return value;
  };
  return {
    modelType: String(config.model_type),
    value: (key) => config[key],
    wrong,
    size,
    sizeOr: (key, otherwise) => (config[key] === undefined || config[key] === null ? otherwise : size(key)),
    number(key, otherwise) {
      const value = config[key] ?? otherwise;
      if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(key, 'a number');
      return value;
    },
    flag(key, otherwise) {
      const value = config[key] ?? otherwise;
      if (typeof value !== 'boolean') throw wrong(key, 'true or false');
      return value;
    },
    sizes(key) {
      const value = config[key];
      if (!Array.isArray(value) || value.length > 100 || !value.every(isSize)) throw wrong(key, 'a list of sizes');
      return value as readonly number[];
    },
    text(key, allowed) {
      const value = config[key];
      if (typeof value !== 'string' || !allowed.includes(value)) throw wrong(key, allowed.join(' or '));
      return value;
    },
    expect(key, allowed) {
      const value = config[key];
      if (value !== undefined && !allowed.includes(value))
        throw wrong(key, allowed.map((v) => JSON.stringify(v)).join(' or '));
    },
  };
}

export const foreignModel = (file: string, detail: string): HelioError =>
  new HelioError(
    'HELIO-3001',
    `${file} is not part of a model that can be used: ${detail}.`,
    'Name the folder of a finished run, or of a GPT-2 or Llama model in Hugging Face layout.',
  );
