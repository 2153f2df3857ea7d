import { HelioError } from '../errors.ts';
import { elementsOfShape, type Manifest } from '../protocol/manifest.ts';
import type { Fragmentation } from './settings.ts';

/** A named array, all that the outer room knows of a parameter. */
export interface TensorLayout {
  readonly name: string;
  readonly elements: number;
  /** Left out where only the number of elements matters. */
  readonly shape?: readonly number[];
  /** Of a matrix, its rows. */
  readonly rows?: number;
  /** The layer that it is in; left out outside of all. */
  readonly layer?: number;
  /** Embeddings (and heads) merge by mean and are packed apart from the rest. */
  readonly role: 'embedding' | 'other';
}

/** A part of the parameters that is exchanged at once: its tensors laid end to end in this order. */
export interface Fragment {
  readonly index: number;
  readonly tensors: readonly TensorLayout[];
  readonly elements: number;
}

/**
 * Cuts tensors into `count` fragments; embeddings share one only with each other when there are three or more. Within a
 * fragment the tensors keep the model's order.
 *
 * @throws HelioError HELIO-1001 when there are fewer tensors, or layers, than fragments
 */
export function cutIntoFragments(
  tensors: readonly TensorLayout[],
  count: number,
  how: Fragmentation,
): readonly Fragment[] {
  if (count > tensors.length) throw tooMany(count, `${tensors.length} tensors`, tensors.length);
  const bins = how === 'balanced' ? balanced(tensors, count) : byLayers(tensors, count, how);
  const order = new Map(tensors.map((tensor, i) => [tensor.name, i]));
  return bins.map((bin, index) => ({
    index,
    tensors: bin.toSorted((a, b) => order.get(a.name)! - order.get(b.name)!),
    elements: bin.reduce((sum, t) => sum + t.elements, 0),
  }));
}

const tooMany = (count: number, what: string, most: number): HelioError =>
  new HelioError('HELIO-1001', `outer.fragments ${count} is more than the model's ${what}.`, `Choose at most ${most}.`);

/** Nearly equal bytes by greedy packing of whole tensors, largest first (Decoupled DiLoCo, balanced tensor fragmentation). */
function balanced(tensors: readonly TensorLayout[], count: number): readonly (readonly TensorLayout[])[] {
  const bins: TensorLayout[][] = Array.from({ length: count }, () => []);
  const loads = new Float64Array(count);
  const place = (tensor: TensorLayout, first: number): void => {
    let lightest = first;
    for (let bin = first; bin < count; bin++) if (loads[bin]! < loads[lightest]!) lightest = bin;
    bins[lightest]!.push(tensor);
    loads[lightest]! += tensor.elements;
  };
  const apart = count >= 3 && tensors.some((t) => t.role === 'embedding');
  for (const tensor of tensors.toSorted((a, b) => b.elements - a.elements)) {
    if (apart && tensor.role === 'embedding') bins[0]!.push(tensor);
    else place(tensor, apart ? 1 : 0);
  }
  return bins;
}

/**
 * Whole layers (Streaming DiLoCo, arXiv 2501.18512, section 2.1): sequential, each fragment neighbouring ones, or strided,
 * each fragment every P-th layer. What is in no layer is a fragment of its own when there are three or more, and joins
 * the first when there are fewer.
 */
function byLayers(
  tensors: readonly TensorLayout[],
  count: number,
  how: 'sequential' | 'strided',
): readonly (readonly TensorLayout[])[] {
  const numbers = [...new Set(tensors.flatMap(({ layer }) => layer ?? []))].sort((a, b) => a - b);
  const layers = numbers.length;
  const apart = count >= 3 ? 1 : 0;
  const places = count - apart;
  if (places > layers)
    throw tooMany(count, `${layers} layers${apart === 1 ? ' and what is around them' : ''}`, layers + apart);
  const bins: TensorLayout[][] = Array.from({ length: count }, () => []);
  for (const tensor of tensors) {
    const layer = numbers.indexOf(tensor.layer ?? -1);
    if (layer < 0) bins[0]!.push(tensor);
    else bins[apart + (how === 'strided' ? layer % places : Math.floor((layer * places) / layers))]!.push(tensor);
  }
  return bins;
}

/** Lays a fragment's tensors end to end. */
export function pack(fragment: Fragment, arrays: ReadonlyMap<string, Float32Array>): Float32Array {
  const packed = new Float32Array(fragment.elements);
  let offset = 0;
  for (const { name, elements } of fragment.tensors) {
    const data = arrays.get(name);
    if (data?.length !== elements) {
      throw new HelioError(
        'HELIO-3001',
        `Tensor ${name} has ${data?.length ?? 'no'} elements where ${elements} belong.`,
        'The weights belong to another model; take those of this run.',
      );
    }
    packed.set(data, offset);
    offset += elements;
  }
  return packed;
}

/** The fragment's tensors as views into `packed`. */
export function unpack(fragment: Fragment, packed: Float32Array): ReadonlyMap<string, Float32Array> {
  let offset = 0;
  return new Map(
    fragment.tensors.map(({ name, elements }) => {
      offset += elements;
      return [name, packed.subarray(offset - elements, offset)];
    }),
  );
}

export const shapeOf = ({ shape, rows, elements }: TensorLayout): readonly number[] =>
  shape ?? (rows === undefined ? [elements] : [rows, elements / rows]);

/** The fragments as islands are told of them. */
export const manifestOf = (fragments: readonly Fragment[]): Manifest => ({
  tensors: fragments.flatMap(({ tensors }, fragment) => {
    let end = 0;
    return tensors.map((tensor) => {
      const offset = end;
      end += tensor.elements;
      return { name: tensor.name, shape: [...shapeOf(tensor)], role: tensor.role, fragment, offset };
    });
  }),
});

/** @param manifest whose fragments have no gaps (`faultOf`) */
export function fragmentsIn({ tensors }: Manifest): readonly Fragment[] {
  const fragments: { index: number; tensors: TensorLayout[]; elements: number }[] = [];
  for (const { name, shape, role, fragment } of tensors) {
    fragments[fragment] ??= { index: fragment, tensors: [], elements: 0 };
    const elements = elementsOfShape(shape);
    const [rows, ...rest] = shape;
    fragments[fragment].tensors.push({ name, shape, elements, role, ...(rest.length > 0 ? { rows: rows! } : {}) });
    fragments[fragment].elements += elements;
  }
  return fragments;
}
