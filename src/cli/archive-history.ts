import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { recover } from '../coordinator/recovery.ts';
import type { History } from '../coordinator/store/run-store.ts';
import { HelioError } from '../errors.ts';

/** A run's history in an archive. It may come from anybody, so its form is validated, and its events have to lead to its merges. */

const count = z.int().min(0);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const name = z.string().min(1).max(64);
const contribution = z.looseObject({
  island: name,
  key: z.string().max(200),
  round: count,
  steps: count,
  tokens: count,
  weight: z.number().min(0),
  sha256: z.string().max(64),
});
const historySchema = z.object({
  checkpoint: z
    .object({
      id: name,
      seq: count,
      state: z.looseObject({}),
      blobs: z.record(z.string().regex(/^[a-z0-9.-]{1,64}$/i), hash),
      islandsSaved: z.boolean().default(true),
      missing: z.array(name).default([]),
    })
    .optional(),
  events: z.array(z.object({ seq: count, atMs: z.number(), event: z.looseObject({ kind: z.string() }) })),
  merges: z.array(
    z.object({
      seq: count,
      fragment: count,
      version: count,
      blob: hash,
      what: z
        .object({ contributions: z.array(contribution), runStep: count, progress: z.number(), nextStep: count })
        .nullable()
        .default(null),
    }),
  ),
  sessions: z.array(z.object({ seq: count, settings: z.looseObject({}) })).min(1),
});

/** @throws HelioError HELIO-3001 when it is none, or does not lead to what it says was merged */
export function readHistory(file: string): History {
  const foreign = (why: string): HelioError =>
    new HelioError(
      'HELIO-3001',
      `The archive is not an exported run: its history ${why}.`,
      'Name what `heliotrope runs export` wrote, whole.',
    );
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    throw foreign('is not JSON');
  }
  const { data, error } = historySchema.safeParse(json);
  if (error !== undefined) throw foreign(`has another form: ${z.prettifyError(error).slice(0, 500)}`);
  const history = data as unknown as History;
  try {
    recover(history);
  } catch (cause) {
    // What the machine cannot follow may be of any form inside.
    throw foreign(`leads nowhere: ${cause instanceof HelioError ? cause.what : 'it is none of a run'}`);
  }
  return history;
}

/**
 * Without anyone's keys: islands' names are free for the keys that are let in at the new host. Nothing may come after that, nor before it what a
 * replay leaves out.
 */
export function withoutKeys(history: History): History {
  const recovery = recover(history);
  if (recovery === undefined) return history;
  const events = history.events.filter(({ seq }) => seq <= recovery.seq);
  const event = { kind: 'keys-forgotten' } as const;
  return { ...history, events: [...events, { seq: recovery.seq + 1, atMs: events.at(-1)?.atMs ?? 0, event }] };
}

export const blobsOf = ({ checkpoint, merges }: History): ReadonlySet<string> =>
  new Set([...Object.values(checkpoint?.blobs ?? {}), ...merges.map(({ blob }) => blob)]);
