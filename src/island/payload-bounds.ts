import { fragmentsIn } from '../outer/fragments.ts';
import type { Content } from '../protocol/frame.ts';
import type { Manifest } from '../protocol/manifest.ts';

/** How large what a coordinator sends may be: an island knows from the welcome's manifest what there is to send. */

/** A tokenizer, or the layout of a table. */
export const MOST_PREPARATION_BYTES = 2 ** 28;
/** Frozen weights, which go to the disk: four billion in float32. */
export const MOST_BASE_BYTES = 2 ** 34;
/** No codec of an update needs more for a number, nor more beside its numbers. */
const BYTES_PER_ELEMENT = 8;
const BYTES_BESIDE = 2 ** 20;

/** @param manifest of the welcome; before it nothing of a fragment is expected */
export function mostBytesOf({ kind, ...content }: Content, manifest: Manifest | undefined): number {
  switch (kind) {
    case 'preparation':
      return MOST_PREPARATION_BYTES;
    case 'base':
      return MOST_BASE_BYTES;
    case 'global':
    case 'merged': {
      const { fragment } = content as { readonly fragment: number };
      const elements = (manifest === undefined ? [] : fragmentsIn(manifest))[fragment]?.elements;
      return elements === undefined ? 0 : BYTES_PER_ELEMENT * elements + BYTES_BESIDE;
    }
    case 'contribution':
      return 0;
  }
}
