import { z } from 'zod';

/**
 * What a run exchanges: its tensors, in the order in which they are laid end to end in their fragments. Islands work from this, and not from the order of their
 * own parameters: so a model that only PyTorch knows is exchanged like any other.
 */

const MAX_TENSORS = 100_000;
const MAX_ELEMENTS = 2 ** 40;

const tensorSchema = z.object({
  name: z.string().min(1).max(512),
  /** Empty for a single number. */
  shape: z.array(z.int().min(1).max(MAX_ELEMENTS)).max(8),
  /** Embeddings (and heads) are merged by their mean. */
  role: z.enum(['embedding', 'other']),
  fragment: z.int().min(0).max(999),
  /** Place of its first number in the fragment, in numbers. */
  offset: z.int().min(0).max(MAX_ELEMENTS),
});

export const manifestSchema = z.object({ tensors: z.array(tensorSchema).min(1).max(MAX_TENSORS) });
export type Manifest = z.output<typeof manifestSchema>;
export type ManifestTensor = Manifest['tensors'][number];

export const elementsOfShape = (shape: readonly number[]): number => shape.reduce((product, d) => product * d, 1);

/** What is wrong with a manifest that has the right form: a fragment with a gap, a name that comes twice. Undefined where nothing is. */
export function faultOf({ tensors }: Manifest, fragments: number): string | undefined {
  const names = new Set<string>();
  const ends: number[] = Array.from({ length: fragments }, () => 0);
  for (const { name, shape, fragment, offset } of tensors) {
    if (names.has(name)) return `it names ${name} twice`;
    names.add(name);
    if (fragment >= fragments) return `it puts ${name} into fragment ${fragment} of ${fragments}`;
    if (offset !== ends[fragment])
      return `${name} begins at ${offset} of fragment ${fragment}, where ${ends[fragment]} belongs`;
    ends[fragment] = offset + elementsOfShape(shape);
    if (ends[fragment] > MAX_ELEMENTS) return `fragment ${fragment} has more than ${MAX_ELEMENTS} numbers`;
  }
  const empty = ends.indexOf(0);
  return empty < 0 ? undefined : `fragment ${empty} is empty`;
}
