import type { OuterSettings } from '../outer/settings.ts';
import type { GridPlan } from '../protocol/forecast.ts';
import type { Content } from '../protocol/frame.ts';
import type { CoordinatorMessage, IslandMessage } from '../protocol/messages.ts';
import type { Job } from '../protocol/run-file.ts';
import type { Standing } from '../protocol/standing.ts';
import type { FragmentClock } from './fragment-clock.ts';

/** What an island knows of its run, what happens to it, and what it decides. */

/** What the coordinator told this island alone of a fragment that it is sent. */
export type Place = CoordinatorMessage & { readonly kind: 'place' };
export type Merged = Content & { readonly kind: 'merged' } & Pick<Place, 'stepsUntilDue' | 'round'>;
export type Global = Content & { readonly kind: 'global' } & Pick<Place, 'stepsUntilDue' | 'round'>;
export type Welcome = Omit<CoordinatorMessage & { readonly kind: 'welcome' }, 'job'> & { readonly job: Job };

/** What the coordinator says, its job read. */
export type Told = Exclude<CoordinatorMessage, { readonly kind: 'welcome' }> | Welcome;

export interface IslandState {
  /** lost: no connection · joining: has sent its hello, and gets the state of the run · joined: may answer and report. */
  readonly link: 'lost' | 'joining' | 'joined';
  /** What it was welcomed to; null before the first time. */
  readonly work: { readonly run: string; readonly outer: OuterSettings } | null;
  /** What it is still sent while it joins. */
  readonly awaited: {
    readonly welcome: Welcome;
    readonly preparation: boolean;
    readonly base: boolean;
    readonly fragments: readonly number[];
  } | null;
  /** Whether data, graph and parameters are there. */
  readonly prepared: boolean;
  readonly training: boolean;
  /** Why its owner's rules keep it from training now; null while they do not. */
  readonly rest: Standing | null;
  readonly clocks: readonly FragmentClock[];
  /** The newest of each fragment that it has; with one step of delay its clock may be of the one before. */
  readonly newest: readonly (Merged | Global)[];
  /** Of each fragment the newest version that came, also while it is still being opened. */
  readonly came: readonly number[];
  /** Of each fragment the place that was told for the version that comes next. */
  readonly places: readonly (Place | undefined)[];
  /** Merged fragments that came, and those of them that are open. */
  readonly arrived: number;
  readonly opened: number;
  /** Messages after fragments that are still being decoded: they take effect in the order in which they were sent. */
  readonly later: readonly { readonly after: number; readonly word: Word }[];
  /** Its place in schedule and data: as many steps as the run has merged and it has taken since. Work that was dropped is gone over again. */
  readonly place: number;
  /** Milliseconds of an inner step, smoothed. */
  readonly stepMs: number;
}

/** A message about the fragments that came before it. */
export type Word = CoordinatorMessage & { readonly kind: 'pull' | 'evaluate' | 'checkpoint' | 'stop' };

export type IslandEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'lost' }
  /** Its owner's rules stop it, or let it go on (null). Said again when the reason or the time is another. */
  | { readonly kind: 'ruled'; readonly rest: Standing | null }
  | { readonly kind: 'told'; readonly message: Told }
  /** A transfer is there; whoever does the work keeps its payload. */
  | { readonly kind: 'received'; readonly content: Content }
  | {
      readonly kind: 'prepared';
      /** The checkpoint of its own that it goes on from; null clocks: with its moments alone. */
      readonly restored: string | null;
      readonly clocks: readonly FragmentClock[] | null;
      readonly place: number;
    }
  | { readonly kind: 'opened'; readonly content: Merged }
  | { readonly kind: 'stepped'; readonly tokens: number; readonly stepMs: number };

/** Done one after the other, in this order; what is to go on beside training says so. */
export type IslandEffect =
  /** Says who it is, with the challenge signed. */
  | { readonly kind: 'hello'; readonly nonce: string; readonly run: string }
  /** Says what it has of the run that it was let into. */
  | { readonly kind: 'resume'; readonly run: string | null; readonly holds: readonly Held[] }
  /** Keeps what the host signed. */
  | { readonly kind: 'receipt'; readonly message: CoordinatorMessage & { readonly kind: 'receipt' } }
  /** The run has planned when it takes power from the grid. */
  | { readonly kind: 'planned'; readonly plan: GridPlan | null }
  /** For the island's owner. */
  | { readonly kind: 'say'; readonly sentence: string }
  | { readonly kind: 'send'; readonly message: IslandMessage }
  /** Data, graph, parameters and the own checkpoint; answered by `prepared`. */
  | { readonly kind: 'prepare'; readonly welcome: Welcome }
  /** Unpacks a merged fragment beside training; answered by `opened`. */
  | { readonly kind: 'open'; readonly content: Merged }
  /** Takes the newest global parameters of a fragment, and goes on from a place in schedule and data. */
  | { readonly kind: 'take'; readonly fragment: number; readonly keep: Keep; readonly place: number }
  /** A fragment that came whole to be measured is the newest of the exchange; its next contribution differs from what it did before. */
  | { readonly kind: 'show'; readonly content: Global }
  /** Makes a fragment that came whole the newest of the exchange. */
  | { readonly kind: 'reset'; readonly content: Global }
  /** The next contribution differs from that version of the global parameters. */
  | { readonly kind: 'rebase'; readonly fragment: number; readonly version: number }
  /** Keeps a copy of where it is with a fragment, to hand it in when it is asked. */
  | { readonly kind: 'read'; readonly fragment: number }
  /** Packs and sends a copy of now, or the one that was read so many steps ago, beside training. */
  | {
      readonly kind: 'contribute';
      readonly content: Omit<Contribution, 'form' | 'codec' | 'signature'>;
      readonly stepsSinceRead: number | null;
    }
  | { readonly kind: 'evaluate'; readonly message: CoordinatorMessage & { readonly kind: 'evaluate' } }
  | { readonly kind: 'save'; readonly checkpoint: string; readonly clocks: readonly FragmentClock[] }
  | { readonly kind: 'end'; readonly reason: 'finished' | 'interrupted' | 'failed' };

/**
 * What an island keeps of its own when it takes global parameters: a share α of where it is, θ ← α θ + (1 − α) θ_global; or the way that it went since it
 * handed in, or since it received the fragment, θ ← θ_global + (θ − θ_from).
 */
export type Keep =
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'moved'; readonly from: 'handing-in' | 'receipt' };
type Contribution = Content & { readonly kind: 'contribution' };
/** Where it is with a fragment: the version it trains from, the newest that it has, and the number of its stretch of work. */
export type Held = Pick<FragmentClock, 'version' | 'round'> & { readonly newest: number };

/** What it would do next: train, or hold until then at the latest. */
export type Activity = { readonly kind: 'step' } | { readonly kind: 'hold'; readonly untilMs: number };

export const newIsland: IslandState = {
  link: 'lost',
  work: null,
  awaited: null,
  prepared: false,
  training: false,
  rest: null,
  clocks: [],
  newest: [],
  came: [],
  places: [],
  arrived: 0,
  opened: 0,
  later: [],
  place: 0,
  stepMs: 0,
};
