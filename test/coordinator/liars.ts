import type { Random } from '../../src/ml/tensor/random.ts';
import type { Content } from '../../src/protocol/frame.ts';
import type { IslandMessage } from '../../src/protocol/messages.ts';

/**
 * Islands that speak the protocol perfectly and lie. A lie stands between an honest island and its connection: it changes what the island says, and may say
 * something by itself. It knows no world and no socket, so that the seeded world and a benchmark with real processes can both be told it.
 */
export interface Lie {
  /** What it says instead of a message of its island: nothing, this, or more. */
  readonly says?: (message: IslandMessage, known: Known) => readonly IslandMessage[];
  /** What it hands in instead; null: nothing. */
  readonly contributes?: (content: Claim, known: Known) => Claim | null;
  /** What the numbers of a contribution are multiplied with. */
  readonly scale?: number;
  /** What it says without being asked, now and then. */
  readonly volunteers?: (known: Known) => readonly IslandMessage[];
  /** How long it stays on one connection; it comes back at once. */
  readonly staysMs?: number;
  /** Whether it says everything a second time, later. */
  readonly repeats?: boolean;
}

export type Claim = Pick<
  Content & { readonly kind: 'contribution' },
  'fragment' | 'version' | 'round' | 'steps' | 'tokens'
>;

/** What every island knows of the run. */
export interface Known {
  readonly random: Random;
  readonly innerSteps: number;
  readonly tokensPerStep: number;
  /** Of each fragment the version that it has. */
  readonly versions: readonly number[];
  /** Parts of an evaluation. */
  readonly parts: number;
  /** The newest evaluation that it was asked for a part of. */
  readonly evaluation: number;
}

const evaluated =
  (answer: { readonly lossSum: number; readonly tokens: number }): NonNullable<Lie['says']> =>
  (message) => [message.kind === 'evaluated' ? { ...message, ...answer } : message];

export const LIES = {
  'is tiny': { scale: 1e-18 },
  'is huge': { scale: 1e18 },
  'is not finite': { scale: Number.NaN },
  'claims all tokens there are': { contributes: (claim) => ({ ...claim, tokens: Number.MAX_SAFE_INTEGER }) },
  'claims all steps there are': {
    contributes: (claim, { tokensPerStep }) => {
      const steps = Math.floor(Number.MAX_SAFE_INTEGER / tokensPerStep);
      return { ...claim, steps, tokens: steps * tokensPerStep };
    },
  },
  'is due at once': {
    contributes: (claim, { innerSteps, tokensPerStep }) => {
      const steps = Math.max(claim.steps, innerSteps);
      return { ...claim, steps, tokens: steps * tokensPerStep };
    },
    volunteers: ({ versions }) =>
      versions.map((version, fragment) => ({ kind: 'due' as const, fragment, version, slackMs: 0 })),
  },
  'is never due': { says: (message) => (message.kind === 'due' ? [] : [message]) },
  'is ready again and again': {
    contributes: (claim, { innerSteps, tokensPerStep }) => {
      const steps = Math.max(claim.steps, innerSteps);
      return { ...claim, steps, tokens: steps * tokensPerStep };
    },
    volunteers: ({ versions }) => [
      { kind: 'ready' as const, restored: '000001' },
      ...versions.map((version, fragment) => ({ kind: 'due' as const, fragment, version, slackMs: 0 })),
    ],
  },
  'never answers evaluate': { says: (message) => (message.kind === 'evaluated' ? [] : [message]) },
  'evaluates to nothing': { says: evaluated({ lossSum: 0, tokens: 0 }) },
  'evaluates politely': { says: evaluated({ lossSum: 1, tokens: 100 }) },
  'evaluates boastfully': { says: evaluated({ lossSum: 1, tokens: Number.MAX_SAFE_INTEGER }) },
  'answers for others': {
    volunteers: ({ evaluation, parts }) =>
      Array.from({ length: parts }, (_, part) => ({
        kind: 'evaluated' as const,
        evaluation,
        part,
        lossSum: 1,
        tokens: 100,
      })),
  },
  'counts rounds wrongly': { contributes: (claim, { random }) => ({ ...claim, round: random.integer(1e6) }) },
  'hands in for other versions': {
    contributes: (claim, { random }) => ({ ...claim, version: Math.max(0, claim.version - 2 + random.integer(5)) }),
  },
  'never hands in': { contributes: () => null },
  'claims to be infinitely fast': {
    says: (message) =>
      message.kind === 'progress' ? [{ ...message, tokens: Number.MAX_SAFE_INTEGER, computeS: 1e-300 }] : [message],
  },
  'says everything twice': { repeats: true },
  'comes and goes': { staysMs: 1_500 },
} as const satisfies Readonly<Record<string, Lie>>;

export type LieName = keyof typeof LIES;
