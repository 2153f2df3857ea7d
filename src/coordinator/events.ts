import type { EnergyTotals } from '../protocol/energy.ts';
import type { CoordinatorMessage, Progress } from '../protocol/messages.ts';
import type { Reason, Standing } from '../protocol/standing.ts';
import type { EnergyClaim, Refusal } from './energy-state.ts';
import type { Evaluation } from './evaluation-state.ts';
import type { Held, Island, Merged, Phase, RunState } from './state.ts';

/** What the coordinator's machine is told, and what it answers: effects for the shell around it, and records of what happened. */

export type Event =
  /** Empty `holds`: it has nothing of this run. */
  | {
      readonly kind: 'joined';
      readonly island: string;
      readonly key: string;
      /** Null for one that the host let in himself, or that the run knows. */
      readonly invitation: { readonly id: string; readonly uses: number } | null;
      /** Whether it can measure the model; one that does not say so can. */
      readonly evaluates?: boolean;
      readonly holds: readonly Held[];
      /** When, in seconds since 1970; logs of earlier versions do not say. */
      readonly atS?: number;
    }
  /** It did what no honest island does: a broken frame, a foreign signature, numbers that are not finite. */
  | { readonly kind: 'offended'; readonly island: string; readonly reason: string }
  | { readonly kind: 'ready'; readonly island: string; readonly restored: string | null }
  | { readonly kind: 'progress'; readonly island: string; readonly progress: Progress }
  | {
      readonly kind: 'due';
      readonly island: string;
      readonly fragment: number;
      readonly version: number;
      /** How long the island can train on before it holds. */
      readonly slackMs: number;
    }
  /** Steps and tokens as the island claims them, and the length as it was measured. */
  | {
      readonly kind: 'contributed';
      readonly island: string;
      readonly fragment: number;
      readonly version: number;
      readonly round: number;
      readonly steps: number;
      readonly tokens: number;
      readonly length?: number | undefined;
    }
  /** A contribution of this round is not merged, through no offence; with its length, where that was the reason. */
  | {
      readonly kind: 'left-out';
      readonly island: string;
      readonly fragment: number;
      readonly round: number;
      readonly steps: number;
      readonly length?: number | undefined;
      readonly reason: string;
    }
  | {
      readonly kind: 'evaluated';
      readonly island: string;
      readonly evaluation: number;
      readonly part: number;
      readonly lossSum: number;
      readonly tokens: number;
      readonly correct?: number | undefined;
    }
  | { readonly kind: 'saved'; readonly island: string; readonly checkpoint: string }
  | { readonly kind: 'left'; readonly island: string; readonly reason: string; readonly because?: Reason }
  /** An island says where it is: away by its owner's rules, for example. */
  | {
      readonly kind: 'standing';
      readonly island: string;
      readonly standing: Standing;
      /** When it says that it comes back, from now; nothing where it does not say. */
      readonly backInMs?: number | undefined;
      /** Of what it has steps that it hands in at the next merge, where it is away. */
      readonly due?: readonly { readonly fragment: number; readonly version: number }[] | undefined;
    }
  | ({ readonly kind: 'energy'; readonly island: string } & EnergyClaim)
  /** The host takes an invitation back; with `islands`, also those that came with it. */
  | { readonly kind: 'revoked'; readonly invitation: string; readonly islands: boolean }
  /** The coordinator begins again after it ended, by itself or not: nobody is there, and nothing is under way. */
  | { readonly kind: 'recovered'; readonly trainedMs: number }
  /** The run was moved to another host without anyone's keys. */
  | { readonly kind: 'keys-forgotten' }
  | { readonly kind: 'stop-requested' }
  | { readonly kind: 'tick' };

/** What the machine itself says; what an island is welcomed with is put together where the model is. */
export type Word = Exclude<CoordinatorMessage, { readonly kind: 'welcome' }>;

export type Effect =
  | { readonly kind: 'send'; readonly island: string; readonly message: Word }
  /** Welcomes an island, and sends it these fragments as they are now; a fresh one also what its data and model need. */
  | {
      readonly kind: 'send-state';
      readonly island: string;
      readonly fresh: boolean;
      readonly fragments: readonly number[];
      /** As they are: a merge that the same event decides comes after this. */
      readonly state: RunState;
    }
  /** Merges what arrived, with these weights and in this order, and sends the result to all `receivers`. */
  | {
      readonly kind: 'merge';
      readonly fragment: number;
      readonly version: number;
      readonly weights: readonly { readonly island: string; readonly weight: number }[];
      /** All that arrived, for the record of it. */
      readonly contributions: readonly Merged[];
      readonly receivers: readonly string[];
    }
  /** Sends an island fragments as they are now to measure, and not to train on. */
  | {
      readonly kind: 'show';
      readonly island: string;
      readonly fragments: readonly number[];
      readonly state: RunState;
    }
  | { readonly kind: 'disconnect'; readonly island: string }
  | { readonly kind: 'save'; readonly checkpoint: string }
  /** Of a checkpoint; `missing` are islands that were asked to save theirs, and did not. */
  | { readonly kind: 'commit'; readonly checkpoint: string; readonly missing: readonly string[] }
  | { readonly kind: 'record'; readonly record: RunRecord }
  | { readonly kind: 'end'; readonly status: 'finished' | 'interrupted' | 'failed'; readonly reason: string };

/** What happened, for metrics.jsonl, events.log and whoever watches. */
export type RunRecord =
  | { readonly kind: 'phase'; readonly phase: Phase; readonly reason: string }
  | { readonly kind: 'island'; readonly island: string; readonly status: Island['status']; readonly reason: string }
  | { readonly kind: 'progress'; readonly island: string; readonly progress: Progress }
  | {
      readonly kind: 'merge';
      readonly fragment: number;
      readonly version: number;
      readonly runStep: number;
      readonly contributions: readonly Merged[];
      readonly missing: readonly string[];
    }
  | {
      readonly kind: 'evaluation';
      readonly label: Evaluation['label'];
      readonly runStep: number;
      readonly loss: number;
      readonly tokens: number;
      /** Of a classifier: share of examples that were right. */
      readonly accuracy?: number;
    }
  /** Nobody could validate, or nobody did in time: the run goes on. */
  | {
      readonly kind: 'evaluation-given-up';
      readonly label: Evaluation['label'];
      readonly runStep: number;
      readonly reason: string;
    }
  /** Merges were committed that this version of Heliotrope would have decided otherwise: they stand as they are, from this one on. */
  | { readonly kind: 'took-records'; readonly merges: number; readonly fragment: number; readonly version: number }
  /** What an island has used for the run so far: its own claim, within the rules of `energy-rules.ts`. */
  | { readonly kind: 'energy'; readonly island: string; readonly totals: EnergyTotals }
  /** A claim that cannot be, and so is not in the sums. */
  | {
      readonly kind: 'energy-refused';
      readonly island: string;
      readonly rule: Refusal['rule'];
      readonly reason: string;
    }
  /** When the islands take power from the grid was planned anew, or cannot be: `rule` names what forbids it. */
  | {
      readonly kind: 'plan';
      readonly rule: string | null;
      readonly message: string;
      readonly objective: 'carbon' | 'cost';
      /** Unix time. */
      readonly deadlineS: number;
      readonly tokensLeft: number;
      readonly sunTokens: number;
      readonly gridTokens: number;
      /** g or currency. */
      readonly gridTotal: number;
      readonly islands: number;
    }
  /** An island let its part of an evaluation pass, or measured what others do not. */
  | { readonly kind: 'doubted'; readonly island: string; readonly reason: string }
  | { readonly kind: 'left-out'; readonly island: string; readonly fragment: number; readonly reason: string }
  | {
      readonly kind: 'checkpoint';
      readonly checkpoint: string;
      readonly runStep: number;
      /** Islands that did not save theirs. */
      readonly missing: readonly string[];
    }
  | {
      readonly kind: 'offence';
      readonly island: string;
      readonly reason: string;
      readonly offences: number;
      readonly banned: boolean;
    };
