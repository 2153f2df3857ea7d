import type { AggregationState } from '../coordinator/aggregation.ts';
import { type BlobStore, hashOf } from '../coordinator/store/blobs.ts';
import { type ModelConfig, parametersOf } from '../ml/models/model.ts';
import { type ParameterArrays, trainable } from '../ml/tensor/parameters.ts';
import { decodeSafetensors } from '../ml/tensor/safetensors.ts';
import { encodeSafetensors } from '../ml/tensor/safetensors-layout.ts';

/** The tensors of a run's checkpoint: one safetensors file for each part, by the model's own names and shapes. */

const PARTS = ['parameters', 'velocity', 'second', 'residual'] as const;
/** What belongs to whole fragments: codecs' memories, and outer steps. */
const FRAGMENTS = 'fragments';

/** @returns the blobs that it is in, by part */
export async function saveCheckpoint(
  blobs: BlobStore,
  model: ModelConfig,
  state: AggregationState,
): Promise<Readonly<Record<string, string>>> {
  const memories = state.memories.map((data, i) => [String(i), { shape: [data.length], data }] as const);
  const files = [
    ...PARTS.filter((part) => state[part].size > 0).map(
      (part) => [part, encodeParameters(model, state[part])] as const,
    ),
    [FRAGMENTS, encodeSafetensors(new Map(memories), { steps: JSON.stringify(state.steps) })] as const,
  ];
  const named: Record<string, string> = {};
  for (const [part, bytes] of files) {
    named[part] = hashOf(bytes);
    await blobs.put(named[part], bytes);
  }
  return named;
}

/** @throws HelioError HELIO-3001 when a blob is missing or damaged */
export async function loadCheckpoint(
  blobs: BlobStore,
  named: Readonly<Record<string, string>>,
): Promise<AggregationState> {
  const read = async (part: string): Promise<ReturnType<typeof decodeSafetensors> | undefined> => {
    const hash = named[part];
    return hash === undefined ? undefined : decodeSafetensors(await blobs.get(hash), `blob ${hash}`);
  };
  const arrays = async (part: string): Promise<ParameterArrays> =>
    new Map([...((await read(part))?.tensors ?? [])].map(([key, { data }]) => [key, data]));
  const fragments = await read(FRAGMENTS);
  return {
    parameters: await arrays('parameters'),
    velocity: await arrays('velocity'),
    second: await arrays('second'),
    residual: await arrays('residual'),
    memories: Array.from({ length: fragments?.tensors.size ?? 0 }, (_, i) => fragments!.tensors.get(String(i))!.data),
    steps: JSON.parse(fragments?.metadata.steps ?? '[]') as readonly number[],
  };
}

function encodeParameters(model: ModelConfig, arrays: ParameterArrays): Uint8Array {
  const tensors = trainable(parametersOf(model)).map(
    ({ name, shape }) => [name, { shape, data: arrays.get(name)! }] as const,
  );
  return encodeSafetensors(new Map(tensors));
}
