import { HelioError } from '../errors.ts';
import { type Fragment, shapeOf } from '../outer/fragments.ts';

/**
 * A run's tensors part by part and piece by piece, so that nobody holds all of them besides the aggregation itself: they are several times as
 * large as the model.
 */

/** Everything of a run's tensors that a checkpoint holds; arrays by tensor name. */
export interface AggregationState {
  readonly parameters: ReadonlyMap<string, Float32Array>;
  /** The outer optimizer's v, and its second array where it keeps one. */
  readonly velocity: ReadonlyMap<string, Float32Array>;
  readonly second: ReadonlyMap<string, Float32Array>;
  /** What lossy updates to the islands have left over so far. */
  readonly residual: ReadonlyMap<string, Float32Array>;
  /** By fragment: what the downward codec remembers, and the outer steps taken. */
  readonly memories: readonly Float32Array[];
  readonly steps: readonly number[];
}

/** θ, what the outer optimizer remembers, what lossy updates left over, and what codecs remember. */
export const STATE_PARTS = ['parameters', 'velocity', 'second', 'residual', 'memory'] as const;
export type StatePart = (typeof STATE_PARTS)[number];

/** Numbers of one part of one fragment, from `offset` on. */
export interface StatePiece {
  readonly part: StatePart;
  readonly fragment: number;
  readonly offset: number;
  /** In a buffer of its own: it is handed over. */
  readonly data: Float32Array<ArrayBuffer>;
}

export interface StatePieces {
  /** Outer steps taken, by fragment; none of a new run. */
  readonly steps: readonly number[];
  readonly pieces: AsyncIterable<StatePiece> | Iterable<StatePiece>;
}

/** Elements of a piece that is cut from an array. */
const PIECE_ELEMENTS = 2 ** 24;

/** Pieces of arrays by name; those of a new run are its parameters alone. An array is asked for when its turn comes. */
export function* piecesOf(
  fragments: readonly Fragment[],
  state: Pick<AggregationState, 'parameters'> & Partial<AggregationState>,
): Generator<StatePiece> {
  for (const part of ['parameters', 'velocity', 'second', 'residual'] as const) {
    const arrays = state[part];
    if (arrays === undefined || arrays.size === 0) continue;
    for (const [fragment, { tensors }] of fragments.entries()) {
      let offset = 0;
      for (const { name, elements } of tensors) {
        const array = arrays.get(name);
        if (array?.length !== elements) throw unfitting(name, array?.length, elements);
        yield* cut(part, fragment, offset, array);
        offset += elements;
      }
    }
  }
  for (const [fragment, memory] of (state.memories ?? []).entries()) yield* cut('memory', fragment, 0, memory);
}

function* cut(part: StatePart, fragment: number, offset: number, array: Float32Array): Generator<StatePiece> {
  for (let at = 0; at < array.length; at += PIECE_ELEMENTS)
    yield { part, fragment, offset: offset + at, data: array.slice(at, at + PIECE_ELEMENTS) };
}

/** Where tensors are, by name: their fragment, their place in it, and their shape. */
export function placesOf(fragments: readonly Fragment[]) {
  const places = new Map<
    string,
    {
      readonly fragment: number;
      readonly offset: number;
      readonly elements: number;
      readonly shape: readonly number[];
    }
  >();
  for (const [fragment, { tensors }] of fragments.entries()) {
    let offset = 0;
    for (const tensor of tensors) {
      places.set(tensor.name, { fragment, offset, elements: tensor.elements, shape: shapeOf(tensor) });
      offset += tensor.elements;
    }
  }
  return places;
}

/** Puts pieces where they belong, and knows whether all have come. */
export class PlacedPieces {
  readonly #fragments: readonly Fragment[];
  readonly #array: (part: StatePart, fragment: number) => Float32Array;
  readonly #placed = new Map<string, number>();

  /** @param array the aggregation's own; empty where it keeps nothing of that part */
  constructor(fragments: readonly Fragment[], array: (part: StatePart, fragment: number) => Float32Array) {
    this.#fragments = fragments;
    this.#array = array;
  }

  /** @throws HelioError HELIO-3001 when it does not fit */
  put({ part, fragment, offset, data }: StatePiece): void {
    const array = this.#array(part, fragment);
    // The settings have changed since: this part is no longer kept.
    if (array.length === 0) return;
    if (offset + data.length > array.length) throw unfitting(`${part} ${fragment}`, offset + data.length, array.length);
    array.set(data, offset);
    const key = `${part} ${fragment}`;
    this.#placed.set(key, (this.#placed.get(key) ?? 0) + data.length);
  }

  /** @throws HelioError HELIO-3001 when a tensor is missing: parameters all have to come, of the rest all of a fragment or nothing */
  requireAll(): void {
    for (const fragment of this.#fragments.keys()) {
      for (const part of STATE_PARTS) {
        const [placed, wanted] = [this.#placed.get(`${part} ${fragment}`) ?? 0, this.#array(part, fragment).length];
        if (placed !== wanted && (part === 'parameters' || placed > 0))
          throw unfitting(`${part} ${fragment}`, placed, wanted);
      }
    }
  }
}

export const unfitting = (name: string, found: number | undefined, wanted: number): HelioError =>
  new HelioError(
    'HELIO-3001',
    `Tensor ${name} has ${found ?? 'no'} elements where ${wanted} belong.`,
    'The weights belong to another model; take those of this run.',
  );
