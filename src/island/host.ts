import type { Provider } from '../ml/engine/session.ts';
import type { EnergyHandIn } from '../protocol/energy.ts';
import type { GridPlan, SiteShare } from '../protocol/forecast.ts';
import type { Packed, Transfer } from '../protocol/frame.ts';
import type { Identity } from '../protocol/identity.ts';
import type { CoordinatorMessage, IslandMessage } from '../protocol/messages.ts';
import type { Receipt } from '../protocol/receipts.ts';
import type { Standing } from '../protocol/standing.ts';
import type { DataAccess } from './own-data.ts';

/** What a session needs of its surroundings: the machine that it runs on, and the connection to the coordinator. */

export interface IslandHost {
  readonly name: string;
  readonly identity: Identity;
  /** The invitation; null for an island that asks to join. */
  readonly invitation: string | null;
  readonly software: string;
  readonly threads: number;
  /** Where the engine computes, and the operators that it leaves to the processor there. */
  readonly engine: { readonly device: Provider; readonly onProcessor: readonly string[] };
  /** Folder for the island's own checkpoints of a run. */
  stateFolder(run: string): string;
  /** What its owner lets it read, by absolute paths. */
  readonly data: DataAccess;
  /** Whether it can measure the model on held-out data. */
  readonly evaluates: boolean;
  /** What its owner allows; nothing where it may always train. */
  readonly rules?: OwnerRules | undefined;
  /** Where the owner keeps energy books of the machine; nothing where nobody does. */
  readonly books?: EnergyBooks | undefined;
  /** What runs it: a hidden tab may keep silent for longer than a process. */
  readonly kind: 'process' | 'tab' | 'cluster';
  /** Keeps what the host has signed of its merged work. */
  keepReceipt(receipt: Receipt, signature: string, hostKey: string): void;
  nowMs(): number;
  cpuS(): number;
  peakMemoryBytes(): number;
  trace(span: Span): void;
  /** Tells the island's owner. */
  say(sentence: string): void;
}

/** What the owner of an island's machine allows now. His rules come before the run: they are looked at before every step. */
export interface OwnerRules {
  /** Why it may not train, and until when; null while it may. Another object whenever anything of it changes. */
  readonly rest: Standing | null;
  /** Share of the time that it may compute while it trains, in (0, 1]: how power is capped where the device cannot be. */
  readonly dutyShare: number;
  /** What it expects to have for training: another object whenever that has changed. Undefined where it plans with nobody. */
  readonly share?: SiteShare | undefined;
  /** When the run plans that it takes power from the grid; null: by its own rules alone. */
  planned?(plan: GridPlan | null): void;
  /** @param changed called when what it may do is another */
  watch(changed: () => void): void;
}

/** The energy books of the machine's owner, as far as a run goes. */
export interface EnergyBooks {
  /** From now on what the machine uses is for this run. */
  begin(run: string, island: string): void;
  trained(tokens: number): void;
  /** What the host may know by now; undefined before the run began. Its totals are another object when they are others. */
  readonly handIn: EnergyHandIn | undefined;
  /** Writes down what was used until now. @param rest why the machine rests from now on, and until when; null when its part in the run is over */
  settle(rest: Standing | null): void;
  /** What the machine uses from now on is for no run. */
  end(): void;
}

/** The connection to the coordinator. It may break and be opened again; what is sent in between is lost, and is asked for again. */
export interface CoordinatorConnection {
  send(message: IslandMessage): void;
  /**
   * Resolves when the last byte has left this process, or the connection is gone.
   *
   * @param from how much of it the coordinator has
   */
  transfer(packed: Packed, from: number): Promise<void>;
  /**
   * What comes next; null once this side has closed it. Waits no longer than `timeoutMs`.
   *
   * @throws HelioError when the coordinator stays away for too long, or will not have us
   */
  next(timeoutMs: number): Promise<Incoming | 'timeout' | null>;
  /** Ends the current wait, as if it had timed out. */
  wake(): void;
  /** Ends the connection, without a goodbye, until it is awakened: what is unsent is sent first. */
  sleep(): void;
  awaken(): void;
  /** What came of transfers before their connection broke. */
  readonly beginnings: Resume['beginnings'];
  close(): void;
}
type Resume = IslandMessage & { readonly kind: 'resume' };
export type Incoming =
  | { readonly kind: 'connected' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'told'; readonly message: CoordinatorMessage }
  /** @property sinceMs when its first byte came */
  | (Omit<Transfer, 'hash'> & { readonly kind: 'received'; readonly sinceMs: number });

/** A span of time on the island: one bar in its timeline. */
export interface Span {
  readonly lane: 'training' | 'exchange' | 'upload' | 'download';
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}
