import { z } from 'zod';
import { HelioError } from '../errors.ts';
import { HASH_PATTERN } from './frame.ts';
import { KEY_PATTERN, SIGNATURE_PATTERN } from './identity.ts';
import { MAX_INVITATION_CHARS } from './invitation.ts';
import { jobSchema } from './run-file.ts';

/** Version of the protocol; both sides must speak the same. */
export const PROTOCOL_VERSION = 5;

/** Where islands connect. */
export const RUN_PATH = '/v1/run';

/** Largest control message in bytes; tensors travel in frames. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
const checkpoint = z.string().regex(/^[a-z0-9-]{1,64}$/);
const counter = z.int().min(0);
const fragment = z.int().min(0).max(999);
const finite = z.number();
const sentence = z.string().max(2_000);
const run = z.string().regex(/^[A-Za-z0-9._-]{1,80}$/);

const sha256 = z.string().regex(HASH_PATTERN);
const beginnings = z.array(z.strictObject({ sha256, bytes: z.int().positive() })).max(8);

/** Counters of an island since its process began. Times are wall-clock seconds. */
export const progressSchema = z.strictObject({
  step: counter,
  tokens: counter,
  loss: finite,
  gradNorm: finite,
  /** Steps left out because their gradient was not finite. */
  skippedSteps: counter,
  tokensPerS: finite.min(0),
  computeS: finite.min(0),
  waitS: finite.min(0),
  exchangeS: finite.min(0),
  evaluateS: finite.min(0),
  cpuS: finite.min(0),
  peakMemoryBytes: counter,
});
export type Progress = z.output<typeof progressSchema>;

/** Of an island that has done nothing yet. */
export const NO_PROGRESS: Progress = {
  step: 0,
  tokens: 0,
  loss: 0,
  gradNorm: 0,
  skippedSteps: 0,
  tokensPerS: 0,
  computeS: 0,
  waitS: 0,
  exchangeS: 0,
  evaluateS: 0,
  cpuS: 0,
  peakMemoryBytes: 0,
};

/** What an island says. */
export const islandMessageSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('hello'),
    protocol: counter,
    island: name,
    /** Its public key, and the challenge signed with it (`identity.ts`). */
    key: z.string().regex(KEY_PATTERN),
    signature: z.string().regex(SIGNATURE_PATTERN),
    /** Leave to join; null for an island that the run knows, and for one that asks for the host's leave. */
    invitation: z.string().max(MAX_INVITATION_CHARS).nullable(),
    software: z.string().max(64),
    threads: z.int().min(1).max(4096),
    /** The run that it has parameters of, and where it is with each fragment; null and empty when it comes anew. The hash is of the newest. */
    run: run.nullable(),
    holds: z.array(z.strictObject({ version: counter, newest: counter, round: counter, sha256 })).max(1_000),
    /** What it has of payloads that it was sent before: if they are sent again, they go on from there. */
    beginnings,
    /** Where it computes, and which operators its device does not have and leaves to the processor. */
    engine: z.strictObject({ device: z.string().max(32), onProcessor: z.array(z.string().max(64)).max(256) }),
  }),
  z.strictObject({ kind: z.literal('ready'), restored: checkpoint.nullable() }),
  z.strictObject({ kind: z.literal('progress'), ...progressSchema.shape }),
  /** `slackMs`: how long it can train on before it holds. */
  z.strictObject({ kind: z.literal('due'), fragment, version: counter, slackMs: finite.min(0).max(1e9) }),
  z.strictObject({
    kind: z.literal('evaluated'),
    evaluation: counter,
    part: counter,
    lossSum: finite.min(0),
    tokens: counter,
    /** Of a classifier: examples that were right. */
    correct: counter.optional(),
  }),
  z.strictObject({ kind: z.literal('saved'), checkpoint }),
  z.strictObject({ kind: z.literal('alive') }),
  z.strictObject({ kind: z.literal('leaving'), reason: sentence }),
]);
export type IslandMessage = z.output<typeof islandMessageSchema>;

/** What the coordinator says. */
export const coordinatorMessageSchema = z.discriminatedUnion('kind', [
  /** The first word on every connection: what the island signs. */
  z.strictObject({
    kind: z.literal('challenge'),
    protocol: counter,
    nonce: z.string().regex(/^[A-Za-z0-9_-]{22,64}$/),
  }),
  /** The host has been asked whether this island may join. */
  z.strictObject({ kind: z.literal('wait'), what: sentence }),
  z.strictObject({
    kind: z.literal('welcome'),
    protocol: counter,
    run,
    job: jobSchema,
    /** Folder that relative data paths start from, for islands that share the coordinator's file system. */
    dataFolder: z.string().max(4_096),
    shard: z.strictObject({ index: counter, count: z.int().min(1) }),
    /** Seconds of silence after which the island counts as gone. */
    leaseS: finite.positive(),
    /** Fragments that are sent next, whole; with the others the island goes on from where it is. */
    fragments: z.array(fragment).max(1_000),
    /** A checkpoint to restore, when the run itself was resumed from one. */
    restore: checkpoint.nullable(),
    /** What came of the island's own transfers: one that is asked for again goes on from there. */
    beginnings,
  }),
  z.strictObject({ kind: z.literal('start') }),
  z.strictObject({ kind: z.literal('pull'), fragment, version: counter }),
  z.strictObject({
    kind: z.literal('evaluate'),
    evaluation: counter,
    parts: z.array(counter).max(1_000),
    of: z.int().min(1),
  }),
  z.strictObject({ kind: z.literal('checkpoint'), checkpoint }),
  z.strictObject({ kind: z.literal('stop'), reason: z.enum(['finished', 'interrupted', 'failed']) }),
  z.strictObject({ kind: z.literal('refused'), code: z.string().max(16), what: sentence, remedy: sentence }),
]);
export type CoordinatorMessage = z.output<typeof coordinatorMessageSchema>;

/**
 * Parses one control message.
 *
 * @throws HelioError HELIO-4004 when it is too large, no JSON or not of the schema
 */
export function parseMessage<S extends z.ZodType>(schema: S, data: string): z.output<S> {
  const malformed = (detail: string) =>
    new HelioError(
      'HELIO-4004',
      `A control message is malformed: ${detail}.`,
      'Both sides must run the same version of Heliotrope.',
    );
  if (data.length > MAX_MESSAGE_BYTES) throw malformed(`${data.length} bytes, more than ${MAX_MESSAGE_BYTES}`);
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    throw malformed('it is not JSON');
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw malformed(`${issue!.path.join('.') || 'its kind'}: ${issue!.message}`);
}
