import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { HelioError } from '../../errors.ts';
import { elementsOf, type ParameterArrays } from '../../ml/tensor/parameters.ts';
import { openSafetensors, type Safetensors } from '../../ml/tensor/safetensors.ts';
import { writeSafetensors } from '../../ml/tensor/safetensors-layout.ts';
import { LazyArrays, sourcesOf, type TensorSource } from '../../ml/tensor/tensor-source.ts';
import type { TrainerState } from '../../ml/training/trainer.ts';
import type { FragmentClock } from '../fragment-clock.ts';
import type { ExchangeState } from '../fragment-exchange.ts';

/** What an island keeps of itself: parameters, moments, place in schedule and data, and its fragments' clocks. */
export interface IslandCheckpoint {
  readonly run: string;
  readonly checkpoint: string;
  readonly trainer: TrainerState;
  readonly clocks: readonly FragmentClock[];
  readonly exchange: ExchangeState;
}

/** Checkpoints that an island keeps: as many as a run does, and one under way. */
export const KEPT_CHECKPOINTS = 3;
const NAME = /^checkpoint-([a-z0-9-]{1,64})\.safetensors$/;

const fileOf = (folder: string, checkpoint: string): string =>
  path.join(folder, `checkpoint-${checkpoint}.safetensors`);

/** Writes a checkpoint whole, piece by piece from where its arrays are, and forgets the oldest ones. */
export function saveIslandCheckpoint(
  folder: string,
  { run, checkpoint, trainer, clocks, exchange }: IslandCheckpoint,
): void {
  const tensors = new Map<string, TensorSource>();
  const add = (kind: string, arrays: ParameterArrays): void => {
    for (const [name, { read, shape }] of sourcesOf(arrays))
      tensors.set(`${kind}/${name}`, { shape: [elementsOf({ shape })], read });
  };
  add('parameter', trainer.parameters);
  add('moment', trainer.moments);
  const numbered = (arrays: readonly Float32Array[]) => new Map(arrays.map((array, i) => [String(i), array]));
  add('residual', numbered(exchange.residuals));
  add('memory', numbered(exchange.memories));
  const metadata = {
    run,
    checkpoint,
    step: String(trainer.step),
    age: String(trainer.age),
    lossScale: String(trainer.lossScale),
    goodSteps: String(trainer.goodSteps),
    clocks: JSON.stringify(clocks),
  };
  writeSafetensors(fileOf(folder, checkpoint), tensors, metadata);
  for (const old of checkpointsIn(folder).slice(0, -KEPT_CHECKPOINTS)) rmSync(fileOf(folder, old), { force: true });
}

/** A checkpoint whose parameters and moments are read from its file when they are asked for. */
export interface OpenedCheckpoint extends IslandCheckpoint {
  close(): void;
}

/**
 * Opens the named checkpoint, or without a name the newest, if there is one of this run.
 *
 * @throws HelioError HELIO-3001 when it is damaged or another run's
 */
export function openIslandCheckpoint(folder: string, run: string, name: string | null): OpenedCheckpoint | undefined {
  const known = checkpointsIn(folder);
  const checkpoint = name === null ? known.at(-1) : known.find((id) => id === name);
  if (checkpoint === undefined) return undefined;
  const file = fileOf(folder, checkpoint);
  const opened = open(file);
  try {
    if (opened.metadata.run === run) return { run, checkpoint, ...contentOf(opened), close: () => opened.close() };
    throw new HelioError(
      'HELIO-3001',
      `${file} belongs to run ${opened.metadata.run ?? 'unknown'}, not to ${run}.`,
      'Give this run another --state folder.',
    );
  } catch (error) {
    opened.close();
    throw error;
  }
}

function contentOf({ metadata, tensors }: Safetensors): Pick<IslandCheckpoint, 'trainer' | 'clocks' | 'exchange'> {
  const arrays = (kind: string): LazyArrays =>
    new LazyArrays(
      new Map(
        [...tensors].flatMap(([key, tensor]) =>
          key.startsWith(`${kind}/`) ? [[key.slice(kind.length + 1), tensor] as const] : [],
        ),
      ),
    );
  return {
    trainer: {
      step: Number(metadata.step),
      age: Number(metadata.age),
      lossScale: Number(metadata.lossScale ?? 1),
      goodSteps: Number(metadata.goodSteps ?? 0),
      parameters: arrays('parameter'),
      moments: arrays('moment'),
    },
    clocks: JSON.parse(metadata.clocks ?? '[]') as readonly FragmentClock[],
    exchange: { residuals: [...arrays('residual').values()], memories: [...arrays('memory').values()] },
  };
}

function open(file: string): Safetensors {
  try {
    return openSafetensors(file);
  } catch (error) {
    const what = error instanceof HelioError ? error.what : `${file} cannot be read.`;
    const remedy =
      'Restore it from a copy, or delete it: the island then goes on with the run’s model and fresh moments.';
    throw new HelioError('HELIO-3001', what, remedy, { cause: error });
  }
}

/** Ids of the checkpoints in a folder, oldest first. */
function checkpointsIn(folder: string): readonly string[] {
  let files: readonly string[];
  try {
    files = readdirSync(folder);
  } catch {
    return [];
  }
  return files.flatMap((file) => NAME.exec(file)?.[1] ?? []).sort();
}
