import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { explainSystemError } from '../errors.ts';
import type { Invitation } from '../protocol/invitation.ts';

/**
 * Invitations that were made here, so that they can be revoked even if nobody noted the ID. The coordinator knows only invitations with which an
 * island has joined.
 */
export interface Issued extends Pick<Invitation, 'id' | 'uses' | 'expiresAt'> {
  /** What made it. */
  readonly by: 'serve' | 'invite';
}

const FILE = 'invitations.jsonl';
const issuedSchema = z.object({
  id: z.string(),
  uses: z.int(),
  expiresAt: z.number(),
  by: z.enum(['serve', 'invite']).default('invite'),
});

/** @throws HelioError when it cannot be written */
export function noteIssued(folder: string, { id, uses, expiresAt, by }: Issued): void {
  const file = path.join(folder, FILE);
  try {
    appendFileSync(file, `${JSON.stringify({ id, uses, expiresAt, by })}\n`, { mode: 0o600 });
  } catch (error) {
    throw explainSystemError(error, `write ${file}`);
  }
}

/** By ID. A line that is none, as of a process that was killed, is left out. */
export function issuedIn(folder: string): ReadonlyMap<string, Issued> {
  let text: string;
  try {
    text = readFileSync(path.join(folder, FILE), 'utf8');
  } catch {
    return new Map();
  }
  return new Map(
    text.split('\n').flatMap((line): [string, Issued][] => {
      try {
        const issued = issuedSchema.parse(JSON.parse(line));
        return [[issued.id, issued]];
      } catch {
        return [];
      }
    }),
  );
}

/** How long the link that `serve` prints is good: thirty days; in the last ten a new one is made. */
const STANDING_S = 30 * 86_400;
const RENEW_S = 10 * 86_400;

/** The link that `serve` prints: the one of before while it is good, so that a restart makes no link that people have worth less. */
export function standingInvitation(
  folder: string,
  revoked: Readonly<Record<string, true>>,
  newId: () => string,
  nowS: number,
): Issued {
  const before = [...issuedIn(folder).values()].findLast(
    ({ id, by, expiresAt }) => by === 'serve' && !Object.hasOwn(revoked, id) && expiresAt > nowS + RENEW_S,
  );
  if (before !== undefined) return before;
  const made = { id: newId(), uses: 1_000_000, expiresAt: Math.floor(nowS) + STANDING_S, by: 'serve' } as const;
  noteIssued(folder, made);
  return made;
}
