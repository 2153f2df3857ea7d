import { z } from 'zod';

/**
 * Where an island is, told so that a person understands it: a word, the cause, what comes next and when, and the one command that helps (DESIGN, section 3).
 * It travels both ways: an island says why it does not train, the coordinator says what it makes of it.
 */

export const STANDINGS = [
  /** Somebody has to let it in, or something it needs is not there. */
  'waiting',
  'joining',
  'training',
  /** It is ready, and the run has no step for it. */
  'holding',
  /** Its owner's rules keep it from training; it comes back by itself. */
  'away',
  'gone',
  'banned',
  'finished',
] as const;

/** Causes that this version gives. Another version may give others: whoever shows them shows the word. */
export const REASONS = [
  'host-is-asked',
  'new',
  'connected-again',
  'model-differs',
  'contribution-left-out',
  'energy-refused',
  'at-work',
  'run-gathers',
  'run-validates',
  'below-quorum',
  'waits-for-merge',
  'policy',
  /** What an owner's rules say (`energy/policy/`). */
  'paused-by-owner',
  'resumed-by-owner',
  'switched-off',
  'grid-signal',
  'grid-outage',
  'too-hot',
  'owner-active',
  'quiet-hours',
  'data-budget',
  'meter-silent',
  'dirty-power',
  'dear-power',
  'planned-later',
  'no-sun',
  'starts-soon',
  'rests-between-starts',
  'left',
  'connection-lost',
  'lease-expired',
  'coordinator-restarted',
  'offences',
  'invitation-revoked',
  'run-is-over',
] as const;
export type Reason = (typeof REASONS)[number];

const sentence = z.string().max(2_000);

export const standingSchema = z.object({
  state: z.enum(STANDINGS).or(z.string().max(32)),
  reason: z
    .string()
    .max(64)
    .regex(/^[a-z][a-z0-9-]*$/),
  /** What happens next; `atS` in seconds since 1970, null where nobody knows. */
  next: z.object({ what: sentence, atS: z.number().nullable() }).nullable(),
  /** One command. */
  fix: z.string().max(500).nullable(),
});
export type Standing = z.output<typeof standingSchema>;

export const standing = (
  state: (typeof STANDINGS)[number],
  reason: Reason,
  what: string | null,
  fix: string | null = null,
): Standing => ({ state, reason, next: what === null ? null : { what, atS: null }, fix });
