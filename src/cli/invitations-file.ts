import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { explainSystemError } from '../errors.ts';
import type { Invitation } from '../protocol/invitation.ts';

/**
 * Invitations that were made here, so that one whose ID nobody noted can still be taken back. The coordinator knows only those that
 * somebody came with.
 */
export type Issued = Pick<Invitation, 'id' | 'uses' | 'expiresAt'>;

const FILE = 'invitations.jsonl';
const issuedSchema = z.object({ id: z.string(), uses: z.int(), expiresAt: z.number() });

/** @throws HelioError when it cannot be written */
export function noteIssued(folder: string, { id, uses, expiresAt }: Issued): void {
  const file = path.join(folder, FILE);
  try {
    appendFileSync(file, `${JSON.stringify({ id, uses, expiresAt })}\n`, { mode: 0o600 });
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
