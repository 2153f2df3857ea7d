import type { Event } from '../events.ts';
import type { Merged, RunSettings, RunState } from '../state.ts';
import type { Bucket } from './downsample.ts';
import type { SignedReceipt } from './receipts.ts';
import type { KeptRecord, RecordQuery, SeriesPoint, SeriesQuery } from './series.ts';

/**
 * A run's memory: an append-only log of the events that decided something, the merges that are done, and snapshots to begin from. What
 * was committed here happened; the rest never did.
 */
export interface RunStore {
  /** Remembers an event with the next {@link flush}. @returns its number, rising by one */
  append(atMs: number, event: Event): number;
  /** Commits all that is remembered, in one transaction. */
  flush(): Promise<void>;
  /** A coordinator begins or goes on, with these settings. */
  beginSession(settings: RunSettings): Promise<void>;
  /** Commits a merge, and everything that led to it. */
  commitMerge(merge: CommittedMerge): Promise<void>;
  /** Keeps the state of a checkpoint that islands are still saving. */
  saveCheckpoint(checkpoint: Snapshot & { readonly id: string }): Promise<void>;
  /**
   * Marks a checkpoint as complete, and forgets all but the newest `keep` and what led to them.
   *
   * @param missing islands that did not save theirs
   * @returns blobs that nothing refers to any more
   */
  commitCheckpoint(id: string, keep: number, missing?: readonly string[]): Promise<readonly string[]>;
  /** Keeps the coordinator's state after all that was appended so far, so that the next one replays nothing. There is one at most. */
  saveSuspended(suspended: Omit<Snapshot, 'seq'>): Promise<void>;
  /** What the run is restored from: the newest complete checkpoint, if there is one, and what happened after it. */
  history(): Promise<History>;
  /** Takes over what another store's {@link history} was. */
  load(history: History): Promise<void>;
  /** Forgets the events after this one, which led to nothing that was committed. */
  truncate(seq: number): Promise<void>;
  /**
   * Keeps what the host has signed of a merge, for 400 days (`receipts.ts`).
   *
   * @param purgeAtS seconds since 1970, where what is older is to be forgotten
   */
  addReceipts(receipts: readonly SignedReceipt[], purgeAtS?: number): Promise<void>;
  /** The newest receipts, of one island or of all. */
  receipts(island: string | null): Promise<readonly SignedReceipt[]>;
  /** All receipts, the oldest first, a page at a time. */
  allReceipts(): AsyncIterable<readonly SignedReceipt[]>;
  /** Keeps what happened and what islands counted, for whoever asks later; with `prune` it forgets what is too old or too much. */
  keep(what: Kept): Promise<void>;
  records(query: RecordQuery): Promise<readonly KeptRecord[]>;
  series(query: SeriesQuery): Promise<readonly SeriesPoint[]>;
  /**
   * Buckets of time that are not part of coarser ones yet.
   *
   * @param nowS seconds since 1970: what a clock that was wrong had written later is none of them
   */
  unfinishedSeries(nowS: number): Promise<readonly Bucket[]>;
  /** Every blob that is referred to. */
  blobs(): Promise<readonly string[]>;
  /** @throws HelioError when the store cannot be used right now; it answers within a few seconds */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface Kept {
  readonly records: readonly KeptRecord[];
  readonly buckets: readonly Bucket[];
  /** Seconds since 1970, where what is too old is to be forgotten. */
  readonly pruneAtS?: number;
}

/** @property seq number of the last event before it; 0 before the first */
export interface Snapshot {
  readonly seq: number;
  readonly state: RunState;
  /** Hashes of its tensors' files, by part. */
  readonly blobs: Readonly<Record<string, string>>;
}

/** A snapshot that is complete. */
export interface Checkpoint extends Snapshot {
  readonly id: string;
  /** False for the coordinator's state alone, as it was when it was suspended: islands were not asked to save theirs. */
  readonly islandsSaved: boolean;
  /** Islands that were asked, and did not answer. */
  readonly missing: readonly string[];
}

/** The record of a merge: it happened exactly so, whatever a later version of Heliotrope would have decided. */
export interface CommittedMerge {
  /** The event that decided it. */
  readonly seq: number;
  readonly fragment: number;
  readonly version: number;
  /** Hash of the averaged pseudo-gradient. */
  readonly blob: string;
  /** Who was merged, with what, and where that took the run; null where it was written before that was kept (schema 3). */
  readonly what: MergeRecord | null;
}

export interface MergeRecord {
  readonly contributions: readonly RecordedContribution[];
  /** The fragment's step after it, that with its fraction, and the step of its next merge. */
  readonly runStep: number;
  readonly progress: number;
  readonly nextStep: number;
}

export interface RecordedContribution extends Merged {
  /** The key of the island. */
  readonly key: string;
  /** Content hash of what it sent; empty where it is not known. */
  readonly sha256: string;
}

export interface LoggedEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly event: Event;
}

export interface History {
  readonly checkpoint: Checkpoint | undefined;
  readonly events: readonly LoggedEvent[];
  readonly merges: readonly CommittedMerge[];
  /** Settings by the number of the event that they count from. */
  readonly sessions: readonly { readonly seq: number; readonly settings: RunSettings }[];
}
