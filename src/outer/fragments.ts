import { HelioError } from '../errors.ts';

/** A named array as the outer room knows it. */
export interface TensorLayout {
  readonly name: string;
  readonly elements: number;
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
 * Cuts tensors into `count` fragments of nearly equal bytes by greedy packing of whole tensors, largest first
 * (Decoupled DiLoCo, balanced tensor fragmentation). Embeddings share a fragment only with each other when there
 * are three fragments or more. Within a fragment the tensors keep the model's order.
 *
 * @throws HelioError HELIO-1001 when there are fewer tensors than fragments
 */
export function cutIntoFragments(tensors: readonly TensorLayout[], count: number): readonly Fragment[] {
  if (count > tensors.length) {
    throw new HelioError(
      'HELIO-1001',
      `outer.fragments ${count} is more than the model's ${tensors.length} tensors.`,
      `Choose at most ${tensors.length}.`,
    );
  }
  const bins: TensorLayout[][] = Array.from({ length: count }, () => []);
  const loads = new Float64Array(count);
  const place = (tensor: TensorLayout, first: number): void => {
    let lightest = first;
    for (let bin = first; bin < count; bin++) if (loads[bin]! < loads[lightest]!) lightest = bin;
    bins[lightest]!.push(tensor);
    loads[lightest]! += tensor.elements;
  };
  const largestFirst = tensors.toSorted((a, b) => b.elements - a.elements);
  const apart = count >= 3 && tensors.some((t) => t.role === 'embedding');
  for (const tensor of largestFirst) {
    if (apart && tensor.role === 'embedding') bins[0]!.push(tensor);
    else place(tensor, apart ? 1 : 0);
  }
  const order = new Map(tensors.map((tensor, i) => [tensor.name, i]));
  return bins.map((bin, index) => ({
    index,
    tensors: bin.toSorted((a, b) => order.get(a.name)! - order.get(b.name)!),
    elements: bin.reduce((sum, t) => sum + t.elements, 0),
  }));
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
