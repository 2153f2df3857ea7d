import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { PACKAGE_FOLDER } from '../../src/cli/context.ts';
import { nodeRuntime } from '../../src/ml/engine/node-runtime.ts';
import { fetchFloats, floatTensor, intTensor } from '../../src/ml/engine/session.ts';
import { openWeights } from '../../src/ml/models/hugging-face.ts';
import { isLanguage, parametersOf, withContext } from '../../src/ml/models/model.ts';
import { loadFolderTokenizer } from '../../src/ml/models/tokenizer-files.ts';
import { outputsGraph } from '../../src/ml/training/training-graph.ts';

/** How far another reader's logarithm of a next token's probability is from ours, at most. */
export interface Reading {
  readonly reader: string;
  readonly furthest: number;
  readonly most: number;
  readonly note: string;
}

const TEXT = 'It is a truth universally acknowledged, that 12345 naïve readers …';
const LLAMA = path.join(PACKAGE_FOLDER, '.heliotrope/llama-cpp/node_modules/node-llama-cpp');
const PYTHON = path.join(PACKAGE_FOLDER, '.heliotrope/python/bin/python');

/** Those that are installed here, by `npm run llama-cpp` and `npm run pytorch`. */
export async function readByOthers(run: string, gguf: string, transformers: string): Promise<readonly Reading[]> {
  const { tokens, logarithms } = await ownReading(run);
  const compare = (program: string, args: readonly string[]): { readonly ids: boolean; readonly furthest: number } => {
    const input = JSON.stringify({ text: TEXT, tokens });
    const output = execFileSync(program, args, {
      input,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const theirs = JSON.parse(output.trim().split('\n').at(-1)!) as {
      readonly ids: number[];
      readonly logarithms: (number | null)[];
    };
    let furthest = 0;
    for (const [id, other] of theirs.logarithms.entries())
      if (other !== null) furthest = Math.max(furthest, Math.abs(other - logarithms[id]!));
    return { ids: JSON.stringify(theirs.ids) === JSON.stringify(tokens), furthest };
  };
  const note = (ids: boolean): string => (ids ? 'the same tokens of a text' : 'OTHER tokens of a text');
  const readings: Reading[] = [];
  if (existsSync(LLAMA)) {
    const { ids, furthest } = compare(process.execPath, [path.join(import.meta.dirname, 'read-gguf.mjs'), LLAMA, gguf]);
    readings.push({
      reader: 'llama-cpp',
      furthest: ids ? furthest : Number.NaN,
      most: 0.05,
      note: `weights and cache in half precision; ${note(ids)}`,
    });
  } else console.error('llama.cpp is not installed: npm run llama-cpp');
  if (existsSync(PYTHON)) {
    const { ids, furthest } = compare(PYTHON, [path.join(import.meta.dirname, 'read_transformers.py'), transformers]);
    readings.push({ reader: 'transformers', furthest: ids ? furthest : Number.NaN, most: 1e-3, note: note(ids) });
  } else console.error('transformers is not installed: npm run pytorch');
  return readings;
}

/** What the model of a run says comes after a text. */
async function ownReading(
  run: string,
): Promise<{ readonly tokens: readonly number[]; readonly logarithms: Float64Array }> {
  const { tokenizer } = loadFolderTokenizer(run);
  const tokens = tokenizer.encode(TEXT);
  const { model, parameters, close } = openWeights(run);
  if (!isLanguage(model)) throw new TypeError('it writes no text');
  const used = withContext(model, tokens.length);
  const session = await nodeRuntime().compile(outputsGraph(used, 1), 'outputs', { threads: 2 });
  const weights = parametersOf(used).map(
    ({ name, shape }) => [name, floatTensor(parameters.get(name)!, shape)] as const,
  );
  const ids = BigInt64Array.from(tokens, BigInt);
  const { outputs } = await session.run({ ...Object.fromEntries(weights), input: intTensor(ids, [1, ids.length]) });
  const logits = (await fetchFloats(outputs!)).slice(-used.vocabularySize);
  await session.release();
  close();
  const most = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, x) => total + Math.exp(x - most), 0);
  return { tokens, logarithms: Float64Array.from(logits, (x) => x - most - Math.log(sum)) };
}
