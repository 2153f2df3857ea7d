import { z } from 'zod';
import { HelioError } from '../errors.ts';
import { handInSchema } from './energy.ts';
import { gridPlanSchema, islandForecastSchema } from './forecast.ts';
import { HASH_PATTERN } from './hash.ts';
import { KEY_PATTERN, SIGNATURE_PATTERN } from './identity.ts';
import { MAX_INVITATION_CHARS } from './invitation.ts';
import { manifestSchema } from './manifest.ts';
import { receiptSchema } from './receipts.ts';
import { standingSchema } from './standing.ts';

/**
 * Control messages. A field that is not known is left out, a kind that is not known is passed over: so that one side may be newer. What must not be
 * passed over is a capability (`versions.ts`), and only sent to those who have it.
 */

/** Where islands connect. */
export const RUN_PATH = '/v1/run';

/** Largest control message in bytes; tensors travel in frames. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

/** Largest message of an island that was not let in yet. */
export const MAX_HELLO_BYTES = 16 * 1024;

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
const checkpoint = z.string().regex(/^[a-z0-9-]{1,64}$/);
const counter = z.int().min(0);
const fragment = z.int().min(0).max(999);
const finite = z.number();
/** Bounded, so that sums are finite. */
const seconds = z.number().min(0).max(1e12);
const sentence = z.string().max(2_000);
const run = z.string().regex(/^[A-Za-z0-9._-]{1,80}$/);

const hash = z.string().regex(HASH_PATTERN);
const beginnings = z.array(z.object({ hash, bytes: z.int().positive() })).max(8);
const capabilities = z.array(z.string().max(64)).max(64);

/** Counters of an island since its process began. Times are wall-clock seconds. */
export const progressSchema = z.object({
  step: counter,
  tokens: counter,
  loss: finite,
  gradNorm: finite,
  /** Steps left out because their gradient was not finite. */
  skippedSteps: counter,
  tokensPerS: finite.min(0),
  computeS: seconds,
  waitS: seconds,
  exchangeS: seconds,
  evaluateS: seconds,
  cpuS: seconds,
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
  z.object({
    kind: z.literal('hello'),
    protocol: counter,
    oldest: counter,
    capabilities,
    island: name,
    /** Its public key, and the challenge signed with it (`identity.ts`). */
    key: z.string().regex(KEY_PATTERN),
    signature: z.string().regex(SIGNATURE_PATTERN),
    /** The invitation; null for an island that the run knows, and for one that asks to join. */
    invitation: z.string().max(MAX_INVITATION_CHARS).nullable(),
    software: z.string().max(64),
    threads: z.int().min(1).max(4096),
    /** What runs it: a hidden tab may keep silent for longer than a process. */
    host: z.enum(['process', 'tab', 'cluster']).catch('process'),
    /** Whether it can measure the model on held-out data. */
    evaluates: z.boolean(),
    /** Where it computes, and which operators its device does not have and leaves to the processor. */
    engine: z.object({ device: z.string().max(32), onProcessor: z.array(z.string().max(64)).max(256) }),
  }),
  /** Once it is let in: the run that it has parameters of, and where it is with each fragment; null and empty when it comes anew. The hash is of the newest. */
  z.object({
    kind: z.literal('resume'),
    run: run.nullable(),
    holds: z.array(z.object({ version: counter, newest: counter, round: counter, hash })).max(1_000),
    /** What it has of payloads that it was sent before: if they are sent again, they go on from there. */
    beginnings,
  }),
  z.object({ kind: z.literal('ready'), restored: checkpoint.nullable() }),
  z.object({ kind: z.literal('progress'), ...progressSchema.shape }),
  /** `slackMs`: how long it can train on before it holds. */
  z.object({ kind: z.literal('due'), fragment, version: counter, slackMs: finite.min(0).max(1e9) }),
  z.object({
    kind: z.literal('evaluated'),
    evaluation: counter,
    part: counter,
    lossSum: finite.min(0),
    tokens: counter,
    /** Of a classifier: examples that were right. */
    correct: counter.optional(),
  }),
  z.object({ kind: z.literal('saved'), checkpoint }),
  /** With the capability `fetch`: a payload that it lacks, by its hash. */
  z.object({ kind: z.literal('fetch'), hash }),
  /** Where it is, and why: away by its owner's rules, for example. Then `due` names the fragments of which it has steps to hand in, however few. */
  z.object({
    kind: z.literal('standing'),
    ...standingSchema.shape,
    due: z
      .array(z.object({ fragment, version: counter }))
      .max(1_000)
      .optional(),
  }),
  /** What its owner's energy books say that it has used for this run: sums, never less than before. */
  z.object({ kind: z.literal('energy'), ...handInSchema.shape }),
  /** With the capability `plan`: what it expects to have for training. */
  z.object({ kind: z.literal('forecast'), forecast: islandForecastSchema }),
  z.object({ kind: z.literal('alive') }),
  z.object({ kind: z.literal('leaving'), reason: sentence }),
]);
export type IslandMessage = z.output<typeof islandMessageSchema>;

/** What the coordinator says. */
export const coordinatorMessageSchema = z.discriminatedUnion('kind', [
  /** The first message on every connection: the challenge that the island signs. */
  z.object({
    kind: z.literal('challenge'),
    protocol: counter,
    /** Up to version 5 it says none, and speaks that one alone. */
    oldest: counter.optional(),
    nonce: z.string().regex(/^[A-Za-z0-9_-]{22,64}$/),
    /** The run that is hosted here; versions before 6 did not say so. */
    run: run.optional(),
  }),
  /** Where the coordinator has this island, and why: before it is let in, and when something of its work does not count. */
  z.object({ kind: z.literal('standing'), ...standingSchema.shape }),
  /** It is let in: in this version, with what both sides have. */
  z.object({
    kind: z.literal('admitted'),
    protocol: counter,
    capabilities,
    run,
    /** Seconds of silence after which either side gives the other up. */
    leaseS: finite.positive(),
  }),
  /** The answer to an island's `alive`. */
  z.object({ kind: z.literal('alive') }),
  z.object({
    kind: z.literal('welcome'),
    run,
    /** The resolved run file: read by `readJob`, as a newer coordinator may have keys that are not known here. */
    job: z.record(z.string(), z.unknown()),
    /** What is exchanged. */
    manifest: manifestSchema,
    /** Who signs receipts. */
    hostKey: z.string().regex(KEY_PATTERN),
    /** Folder that relative data paths start from, for islands that share the coordinator's file system. */
    dataFolder: z.string().max(4_096),
    shard: z.object({ index: counter, count: z.int().min(1) }),
    /** Fragments that are sent next, whole; with the others the island goes on from where it is. */
    fragments: z.array(fragment).max(1_000),
    /** A checkpoint to restore, when the run itself was resumed from one. */
    restore: checkpoint.nullable(),
    /** What came of the island's own transfers: one that is asked for again goes on from there. */
    beginnings,
  }),
  z.object({ kind: z.literal('start') }),
  /** Comes before a transfer of that version of the fragment, and is this island's alone. */
  z.object({
    kind: z.literal('place'),
    fragment,
    version: counter,
    /** Inner steps from receiving it until the island reports the fragment due. */
    stepsUntilDue: counter,
    /** The newest round of this island's work on the fragment that the coordinator has merged, or has for its next merge. */
    round: counter,
  }),
  /** The answer to a `fetch` of what is not here (any more). */
  z.object({ kind: z.literal('missing'), hash }),
  /** What was merged of its work, signed by the host; to islands with the capability `receipts`. */
  z.object({
    kind: z.literal('receipt'),
    receipt: receiptSchema,
    signature: z.string().regex(SIGNATURE_PATTERN),
  }),
  /** To islands with the capability `plan`: when it should take power from the grid; null: by its owner's rules alone. */
  z.object({ kind: z.literal('plan'), plan: gridPlanSchema.nullable() }),
  z.object({ kind: z.literal('pull'), fragment, version: counter }),
  z.object({
    kind: z.literal('evaluate'),
    evaluation: counter,
    parts: z.array(counter).max(1_000),
    of: z.int().min(1),
  }),
  z.object({ kind: z.literal('checkpoint'), checkpoint }),
  z.object({ kind: z.literal('stop'), reason: z.enum(['finished', 'interrupted', 'failed']) }),
  /** The last message on a connection. With `retryAfterS` it is not final: the island may come again then. */
  z.object({
    kind: z.literal('refused'),
    code: z.string().max(16),
    what: sentence,
    remedy: sentence,
    retryAfterS: finite.min(0).optional(),
  }),
]);
export type CoordinatorMessage = z.output<typeof coordinatorMessageSchema>;

/** Longest message of a coordinator: its welcome names every tensor of the model. */
export const MAX_WELCOME_BYTES = 16 * 1024 * 1024;

/**
 * Parses one control message; undefined for a kind that is not known.
 *
 * @throws HelioError HELIO-4004 when it is too large, no JSON or not of the schema
 */
export function parseMessage<S extends z.ZodType>(
  schema: S,
  data: string,
  mostBytes = MAX_MESSAGE_BYTES,
): z.output<S> | undefined {
  const malformed = (detail: string) =>
    new HelioError(
      'HELIO-4004',
      `A control message is malformed: ${detail}.`,
      'The connection is closed; the island connects again by itself.',
    );
  if (data.length > mostBytes) throw malformed(`${data.length} bytes, more than ${mostBytes}`);
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    throw malformed('it is not JSON');
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue!.code === 'invalid_union' && issue!.path.length === 1 && issue!.path[0] === 'kind' && isKind(json))
    return undefined;
  throw malformed(`${issue!.path.join('.') || 'its form'}: ${issue!.message}`);
}

/** Whether it is a message, of whatever kind. */
const isKind = (json: unknown): boolean => {
  const { kind } = json as { readonly kind?: unknown };
  return typeof kind === 'string' && /^[a-z][a-z0-9-]{0,31}$/.test(kind);
};
