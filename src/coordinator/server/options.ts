import type { Payload } from '../../protocol/frame.ts';
import type { Job } from '../../protocol/run-file.ts';
import type { RunRecord } from '../events.ts';
import type { RunSettings, RunState } from '../state.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { RunStore } from '../store/run-store.ts';
import type { JoinRequest } from './http.ts';
import type { JoinCodeServer } from './join-code-routes.ts';
import type { ConnectionLimits } from './limits.ts';
import type { Machine } from './peer.ts';
import type { Traffic } from './traffic-counter.ts';
import type { WorkerAggregation } from './worker-aggregation.ts';

/** What the coordinator's process is given: the run, its tensors, and the handlers that do what the machine decides. */
export interface ServerOptions {
  readonly run: string;
  readonly job: Job;
  readonly dataFolder: string;
  /** How data become numbers, as JSON, and where adapters are trained the frozen weights, as a safetensors file. */
  readonly preparation: string;
  readonly base: Payload | null;
  readonly settings: RunSettings;
  readonly state: RunState;
  /** Training time so far of a run that goes on; undefined for one that begins. */
  readonly recoveredMs: number | undefined;
  readonly aggregation: WorkerAggregation;
  readonly store: RunStore;
  readonly blobs: BlobStore;
  /** Complete checkpoints to keep. */
  readonly keepCheckpoints: number;
  readonly host: string;
  readonly port: number;
  /** Certificate and key in PEM; undefined: connections are not encrypted. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Names that it is reached by, beside its addresses and localhost; and origins of pages that may talk to it, beside its own. */
  readonly hosts?: readonly string[];
  readonly origins?: readonly string[];
  /** What strangers may cost; left out: as many connections as this process may have descriptors for. */
  readonly connectionLimits?: ConnectionLimits | undefined;
  /** How long one that was let in may take to say what it has. */
  readonly resumeMs?: number;
  /** Addresses from which islands were let in before, and who keeps them for the next process: they come first where there is little time. */
  readonly members?: readonly string[] | undefined;
  readonly onMembers?: (addresses: readonly string[]) => void;
  /** What earlier processes of this run exchanged with each island. */
  readonly earlierTraffic?: ReadonlyMap<string, Traffic> | undefined;
  readonly earlierMachines?: ReadonlyMap<string, Machine> | undefined;
  /** Something went wrong in one connection that nobody foresaw. */
  readonly onFault?: (error: unknown, place: string) => void;
  /** CPU seconds of the coordinator over all its processes; this one's own when left out. */
  readonly hostCpuS?: () => number;
  /** Whether all islands are on this machine: then nothing goes over a network. */
  readonly isLocal?: boolean;
  /** The host's public key, and a function that signs invitations and receipts with its secret key. */
  readonly hostKey: string;
  readonly sign: (text: string) => Promise<string>;
  /** The host's token for the HTTP API. */
  readonly adminToken: string;
  readonly version: string;
  /** A clock that does not run backwards, and the time of day in seconds since 1970. */
  readonly nowMs: () => number;
  readonly nowS: () => number;
  /** Whether the stores can be used now, for `/readyz`. @returns what stands in the way; null: nothing */
  readonly ready?: () => Promise<string | null>;
  /** Gives invitations to whoever knows the run's code, where it has one. */
  readonly codes?: JoinCodeServer | undefined;
  /** An unknown island without an invitation asks to be let in; see {@link RunServer.answerJoinRequest}. */
  readonly onJoinRequest: (request: JoinRequest) => void;
  /** Told everything that happens, with the bytes exchanged with each island so far. */
  readonly onRecord: (record: RunRecord, traffic: (island: string) => Traffic) => void;
  /** Saves the tensors as they are now. @returns their blobs, by part */
  readonly onSave: () => Promise<Readonly<Record<string, string>>>;
}
