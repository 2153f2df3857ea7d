import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writeWhole } from '../../files.ts';
import { elementsOf } from '../tensor/parameters.ts';
import { writeSafetensors } from '../tensor/safetensors-layout.ts';
import type { TensorSource } from '../tensor/tensor-source.ts';
import { foreignModel } from './config-reader.ts';

/** Weights in Hugging Face layout: `model.safetensors`, or `model-00001-of-0000N.safetensors` and an index of which tensor is where. */

/** Bytes of one file at most, as `transformers` has it; a tensor that is larger has a file of its own. */
export const SHARD_BYTES = 5e9;

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const SHARD = /^model-\d{5,}-of-\d{5,}\.safetensors$/;

type Tensors = ReadonlyMap<string, TensorSource>;

/** Writes the files that hold the tensors, the index after them, and removes those that an earlier saving left. */
export function writeShards(folder: string, tensors: Tensors, shardBytes: number): void {
  const shards = cutIntoShards(tensors, shardBytes);
  if (shards.length === 1) {
    writeSafetensors(path.join(folder, SINGLE), tensors);
    rmSync(path.join(folder, INDEX), { force: true });
    return removeOthers(folder, new Set([SINGLE]));
  }
  const map: Record<string, string> = {};
  const names = shards.map((_, i) => `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) {
    writeSafetensors(path.join(folder, names[i]!), shard);
    for (const name of shard.keys()) map[name] = names[i]!;
  }
  const bytes = [...tensors.values()].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const index = { metadata: { total_size: bytes }, weight_map: map };
  writeWhole(path.join(folder, INDEX), `${JSON.stringify(index, null, 2)}\n`);
  removeOthers(folder, new Set(names));
}

const digits = (number: number): string => String(number).padStart(5, '0');
const bytesOf = (tensor: TensorSource): number => 4 * elementsOf(tensor);

/** Neighbouring tensors, until the next one would make the file too large. */
function cutIntoShards(tensors: Tensors, shardBytes: number): readonly Tensors[] {
  let last = new Map<string, TensorSource>();
  let filled = 0;
  const shards = [last];
  for (const [name, tensor] of tensors) {
    const bytes = bytesOf(tensor);
    if (last.size > 0 && filled + bytes > shardBytes) {
      last = new Map();
      shards.push(last);
      filled = 0;
    }
    last.set(name, tensor);
    filled += bytes;
  }
  return shards;
}

/** What is written over is read no more: the source of a copy may be an open file of the same name. */
function removeOthers(folder: string, kept: ReadonlySet<string>): void {
  for (const name of readdirSync(folder))
    if ((name === SINGLE || SHARD.test(name)) && !kept.has(name)) rmSync(path.join(folder, name), { force: true });
}

/** The files of a folder's weights. @throws HelioError HELIO-3001 when its index names what is no file beside it */
export function weightFiles(folder: string): readonly string[] {
  const index = path.join(folder, INDEX);
  if (!existsSync(index)) return [path.join(folder, SINGLE)];
  let names: readonly unknown[];
  try {
    names = Object.values((JSON.parse(readText(index)) as { weight_map: Record<string, unknown> }).weight_map);
  } catch {
    throw foreignModel(index, 'it has no weight_map');
  }
  return [...new Set(names)].map((name) => {
    if (typeof name !== 'string' || path.basename(name) !== name) throw foreignModel(index, `it names ${String(name)}`);
    return path.join(folder, name);
  });
}

/** @throws HelioError HELIO-3001 when it cannot be read */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw foreignModel(file, `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
}
