import { z } from 'zod';
import { HASH_PATTERN } from './hash.ts';
import { isSignedBy, KEY_PATTERN, SIGNATURE_PATTERN, updateText } from './identity.ts';

/**
 * What an island handed in and what was merged of it, signed by both: the island signs its contribution, the host that it was merged. Either can show it to a third, long
 * after the run.
 */
const counter = z.int().min(0);

export const receiptSchema = z.object({
  run: z.string().regex(/^[A-Za-z0-9._-]{1,80}$/),
  island: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  key: z.string().regex(KEY_PATTERN),
  fragment: counter,
  /** The version that it differs from, and the one that it was merged into. */
  version: counter,
  merged: counter,
  round: counter,
  /** As the coordinator counts them: what the island claimed, as far as time allowed it. */
  steps: counter,
  tokens: counter,
  /** Share of the merge that is this island's. */
  share: z.number().min(0).max(1),
  hash: z.string().regex(HASH_PATTERN),
  /** Seconds since 1970. */
  atS: counter,
  /** The island's, of its contribution. */
  handedIn: z.string().regex(SIGNATURE_PATTERN),
  /** What the island has signed in it, beside what is above; receipts of earlier versions lack it. */
  claimed: z
    .object({ steps: counter, tokens: counter, form: z.string().max(32), codec: z.string().max(32) })
    .optional(),
});
export type Receipt = z.output<typeof receiptSchema>;

/** What the host signs. */
export function receiptText(receipt: Receipt): string {
  const { run, island, key, fragment, version, merged, round, steps, tokens, share, hash, atS, handedIn } = receipt;
  const { claimed } = receipt;
  const fields = [run, island, key, fragment, version, merged, round, steps, tokens, share, hash, atS, handedIn];
  const ofIsland = claimed === undefined ? [] : [claimed.steps, claimed.tokens, claimed.form, claimed.codec];
  return `heliotrope receipt\n${JSON.stringify([...fields, ...ofIsland])}`;
}

/** Whether the host has signed it, and the island what it handed in. */
export async function isGenuine(receipt: Receipt, signature: string, hostKey: string): Promise<boolean> {
  const { run, key, hash, handedIn, claimed } = receipt;
  if (!(await isSignedBy(hostKey, receiptText(receipt), signature))) return false;
  return claimed === undefined || isSignedBy(key, updateText(run, { ...receipt, ...claimed }, hash), handedIn);
}
