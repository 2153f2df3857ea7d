import type { OuterSettings } from '../outer/settings.ts';
import type { Progress } from '../protocol/messages.ts';
import type { Reason, Standing } from '../protocol/standing.ts';
import type { IslandEnergy } from './energy-state.ts';
import type { Evaluation } from './evaluation-state.ts';
import type { LengthVote } from './length-bound.ts';
import type { PersistentMap } from './persistent-map.ts';
import type { NextShard } from './shards.ts';

/** The run as data. Everything here is plain JSON, so that a snapshot of it is a checkpoint. */

export interface RunSettings {
  readonly outer: OuterSettings;
  /** Inner steps at which the run ends. */
  readonly steps: number;
  /** Tokens, or examples, that a step of an island has at most; none in logs of earlier versions. */
  readonly tokensPerStep?: number | undefined;
  readonly expectedIslands: number;
  readonly stop: {
    readonly tokens?: number | undefined;
    readonly loss?: number | undefined;
    readonly minutes?: number | undefined;
  };
  /** Merges of the whole model between two evaluations, and into how many parts one is cut. */
  readonly evaluation: { readonly everyMerges: number; readonly parts: number };
  readonly checkpointEveryMerges: number;
  readonly leaseMs: number;
  /** How long a run waits without any island before it fails. */
  readonly gatherMs: number;
}

export type Phase =
  | 'gathering'
  | 'measuring'
  | 'training'
  | 'paused'
  | 'concluding'
  | 'finished'
  | 'interrupted'
  | 'failed';

export interface RunState {
  readonly phase: Phase;
  /** Since when there has been no island that trains; null while there is one. */
  readonly aloneSinceMs: number | null;
  readonly islands: Roster;
  /** Islands that trained when the coordinator was killed: it gives them a while to come back before it goes on. */
  readonly returning: readonly string[];
  readonly fragments: readonly FragmentState[];
  /** Who said that it is due before that can be: it counts later. */
  readonly early: PersistentMap<EarlyDue>;
  /** When the first of them may count; they are not looked at before. */
  readonly earlyFromMs: number;
  /** Merges of single fragments so far. */
  readonly merges: number;
  readonly mergedTokens: number;
  /** Training time of earlier sessions of a resumed run. */
  readonly trainedMs: number;
  readonly trainingSinceMs: number | null;
  /** Training time up to the last merge. */
  readonly mergedAtMs: number;
  readonly evaluations: number;
  readonly evaluation: Evaluation | null;
  /** Milliseconds that an island takes for a part of an evaluation, smoothed; null before the first. */
  readonly evaluateMs: number | null;
  /** Tokens of each part, as the last evaluation found them; empty before the first. */
  readonly partTokens: readonly number[];
  readonly firstLoss: number | null;
  readonly lastLoss: number | null;
  /** Of a classifier: share of the examples that were right, before and at the last evaluation. */
  readonly firstAccuracy: number | null;
  readonly lastAccuracy: number | null;
  /** Value of {@link RunState.merges} that the last loss belongs to. */
  readonly lastLossMerges: number;
  readonly checkpoints: number;
  readonly checkpoint: PendingCheckpoint | null;
  /** Value of {@link RunState.merges} at the newest checkpoint that was begun. */
  readonly checkpointMerges: number;
  /** The newest checkpoint that is complete, and which islands did not save theirs; nothing in states of earlier versions. */
  readonly committed: { readonly id: string; readonly merges: number; readonly missing?: readonly string[] } | null;
  /** Keys that may not come back, and why. */
  readonly banned: PersistentMap<string>;
  /** Invitations that let nobody in any more. */
  readonly revoked?: Readonly<Record<string, true>>;
  readonly stopRequested: boolean;
  /** The checkpoint that this run was resumed from, which its islands restore. */
  readonly restore: string | null;
}

/**
 * The islands of a run, as plain data that is never changed. Every event makes a new one, and there may be ten thousand islands: so they lie in a {@link PersistentMap}, and what would
 * need a look at all of them is counted along.
 */
export interface Roster {
  readonly all: PersistentMap<Island>;
  /** Those that train, and those that are away. */
  readonly training: PersistentMap<true>;
  readonly away: PersistentMap<true>;
  /** How many of them are overdue. */
  readonly overdue: number;
  /** Of each fragment. */
  readonly tallies: readonly Tally[];
  /** How many have each shard, and how many came with each invitation. */
  readonly byShard: PersistentMap<number>;
  readonly nextShard: NextShard;
  readonly byInvitation: PersistentMap<number>;
}

/** Of those that train or have just gone away: who is due, and how many are expected to be and are not yet. */
export interface Tally {
  readonly due: PersistentMap<true>;
  readonly lacking: number;
}

/**
 * joining → training ⇄ away → gone. One that is away keeps to its owner's rules: it does not train, nobody waits for it, and it comes back by itself, connected
 * meanwhile or not. A gone island may come back under its name.
 */
export interface Island {
  readonly name: string;
  readonly status: 'joining' | 'training' | 'away' | 'gone';
  /** Of one that is away. */
  readonly rest?: Rest;
  readonly shard: number;
  /** Its public key: the name is this key's for good. Empty where the run was moved without keys: the next one that is let in has it. */
  readonly key: string;
  /** The invitation that it came with. */
  readonly invitation: string | null;
  /** What it did that no honest island does. */
  readonly offences: number;
  /** Whether it can validate. */
  readonly evaluates: boolean;
  /** Parts of evaluations that it let pass, or answered as others do not: it is asked last. */
  readonly lapses: number;
  /** Of each fragment the newest round of its work that was merged, 0 at first: no round is merged twice. */
  readonly merged: readonly number[];
  /** Milliseconds from a pull to its contribution, smoothed; null before the first. */
  readonly answerMs: number | null;
  /** Pulls in a row that it let pass: merges do not wait for it beyond the others. */
  readonly missed: number;
  /** The host has taken the invitation back that it came with, and it with it: it does not come in again. */
  readonly sentAway?: boolean;
  /** It was waited for in vain until it is due again: merges do not wait for it meanwhile. */
  readonly overdue?: boolean;
  /** Whether it was training when each fragment was last merged: only then do the others wait for it. */
  readonly expected: readonly boolean[];
  /** Of each fragment the newest version that it was sent to train on, and the newest that it was sent at all. */
  readonly sent: readonly number[];
  readonly shown: readonly number[];
  /** Of each fragment: since when, and how fast it trains. */
  readonly paces: readonly Pace[];
  /** Of each fragment: when it will hold for it, if it has reported it due since; otherwise null. */
  readonly due: readonly (number | null)[];
  readonly progress: Progress | null;
  /** Sums of its earlier connections. */
  readonly past: Progress | null;
  readonly joins: number;
  /** When it first came, in seconds since 1970; nothing of islands that came to earlier versions. */
  readonly sinceS?: number;
  /** What it has used, by its owner's books; nothing of one that keeps none. */
  readonly energy?: IslandEnergy;
  /** What it last said of itself. */
  readonly told?: Standing;
  /** Why it is gone. */
  readonly left?: Reason;
}

export interface Rest {
  readonly sinceMs: number;
  /** Until when it is believed to come back: some time beyond what it said, as clouds are no clockwork. */
  readonly untilMs: number;
  /** Whether it is connected. Only then it can still hand in what it had trained. */
  readonly connected: boolean;
}

export interface FragmentState {
  readonly version: number;
  /**
   * The run's step at its last merge, and at its next. Where islands come one by one, a merge moves the run by its share of
   * a round: `progress` is the step with that fraction.
   */
  readonly runStep: number;
  readonly progress: number;
  readonly nextStep: number;
  /** What it is known by how long a contribution may be. */
  readonly lengths: readonly LengthVote[];
  /** Steps a millisecond that islands usually take; null while too few have shown it. */
  readonly pace: number | null;
  /** Tokens a second of the fastest of those that train; null before any has said. */
  readonly fastest: number | null;
  readonly stage:
    | {
        readonly kind: 'open';
        /** Somebody is due, and too few others: until when they are waited for. */
        readonly untilMs?: number;
      }
    | {
        readonly kind: 'grace';
        readonly sinceMs: number;
        readonly untilMs: number;
        /** When the first of those that were due in it would hold. */
        readonly holdsMs: number;
      }
    | {
        readonly kind: 'pulling';
        readonly sinceMs: number;
        readonly untilMs: number;
        readonly asked: PersistentMap<true>;
        readonly arrived: PersistentMap<Arrived>;
        /** How many of those that were asked train, and have not answered. */
        readonly open: number;
      };
}

/** A contribution that waits for its merge: its counts as far as they are believed, and its length; none in logs of earlier versions. */
export interface Arrived {
  readonly round: number;
  readonly steps: number;
  readonly tokens: number;
  readonly length?: number | undefined;
}

/** What was merged of an island: its round of work, what counts of it, and how much that weighs; where that is nothing, its round is over all the same. */
export interface Merged extends Arrived {
  readonly island: string;
  readonly weight: number;
}

/** Of an island and a fragment; null where the coordinator does not know, as after a restart. */
export interface Pace {
  /** Since when it may have done the work that it hands in next. */
  readonly workSinceMs: number | null;
  /** When it was last sent the fragment. */
  readonly receivedMs: number | null;
  /** Steps a millisecond, from then until it was due or handed in. */
  readonly stepsPerMs: number | null;
}

export interface EarlyDue {
  readonly island: string;
  readonly fragment: number;
  readonly version: number;
  readonly fromMs: number;
  /** When it holds, as it says. */
  readonly holdsMs: number;
}

/** Where a returning island is with a fragment. */
export interface Held {
  /** What it trains from, and the newest that it has. */
  readonly version: number;
  readonly newest: number;
  readonly round: number;
}

export interface PendingCheckpoint {
  readonly id: string;
  readonly merges: number;
  readonly waiting: PersistentMap<true>;
  /** How many of those train. */
  readonly open: number;
  readonly asked: number;
  /** How long half of them took to save; null while fewer have. */
  readonly halfMs: number | null;
  readonly thenStop: boolean;
  readonly sinceMs: number;
}
