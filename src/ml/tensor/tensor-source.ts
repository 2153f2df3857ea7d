import { elementsOf, type ParameterArrays } from './parameters.ts';

/** A float32 tensor, wherever its numbers are: in memory, in a file, or computed when they are asked for. */
export interface TensorSource {
  readonly shape: readonly number[];
  /** Its elements from `begin` until `end`, row-major; a view or a copy, not to be changed. */
  read(begin: number, end: number): Float32Array;
}

export const inMemory = (shape: readonly number[], data: Float32Array): TensorSource => ({
  shape,
  read: (begin, end) => data.subarray(begin, end),
});

/** A tensor that is made when somebody reads it, and let go when another one of the same maker is read. */
export function lazySources(): (shape: readonly number[], make: () => Float32Array) => TensorSource {
  let made: { readonly by: () => Float32Array; readonly data: Float32Array } | undefined;
  return (shape, make) => ({
    shape,
    read(begin, end) {
      if (made?.by !== make) {
        // The one before is let go first: never two at once.
        made = undefined;
        made = { by: make, data: make() };
      }
      return made.data.subarray(begin, end);
    },
  });
}

/** Sources as the arrays that they are: each is read anew whenever it is asked for, and held by whoever asked. */
export class LazyArrays implements ParameterArrays {
  readonly sources: ReadonlyMap<string, TensorSource>;

  constructor(sources: ReadonlyMap<string, TensorSource>) {
    this.sources = sources;
  }

  get size(): number {
    return this.sources.size;
  }

  get(name: string): Float32Array | undefined {
    const source = this.sources.get(name);
    return source === undefined ? undefined : source.read(0, elementsOf(source));
  }

  has(name: string): boolean {
    return this.sources.has(name);
  }

  keys(): MapIterator<string> {
    return this.sources.keys();
  }

  *values(): Generator<Float32Array, undefined> {
    for (const name of this.keys()) yield this.get(name)!;
  }

  *entries(): Generator<[string, Float32Array], undefined> {
    for (const name of this.keys()) yield [name, this.get(name)!];
  }

  [Symbol.iterator](): Generator<[string, Float32Array], undefined> {
    return this.entries();
  }

  forEach(visit: (data: Float32Array, name: string, arrays: ParameterArrays) => void): void {
    for (const [name, data] of this) visit(data, name, this);
  }
}

/** One of the arrays, in its own shape, without reading it whole where it need not be. */
export function sourceOf(arrays: ParameterArrays, name: string, shape: readonly number[]): TensorSource {
  const source = arrays instanceof LazyArrays ? arrays.sources.get(name) : undefined;
  return source === undefined ? inMemory(shape, arrays.get(name)!) : { ...source, shape };
}

/** All of them, flat where no shape is known. */
export const sourcesOf = (arrays: ParameterArrays): Iterable<readonly [string, TensorSource]> =>
  arrays instanceof LazyArrays
    ? arrays.sources
    : [...arrays].map(([name, data]) => [name, inMemory([data.length], data)] as const);

/** The arrays of both; the later one counts where both have a name. */
export const joinArrays = (earlier: ParameterArrays, later: ParameterArrays): LazyArrays =>
  new LazyArrays(new Map([...sourcesOf(earlier), ...sourcesOf(later)]));
