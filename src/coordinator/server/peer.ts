import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Channel } from '../../protocol/channel.ts';
import type { CoordinatorMessage, IslandMessage, islandMessageSchema } from '../../protocol/messages.ts';
import type { TokenBucket } from './limits.ts';

export type Hello = IslandMessage & { readonly kind: 'hello' };
export type Resume = IslandMessage & { readonly kind: 'resume' };

/**
 * stranger: has not said who it is · checking: its first message is looked at · knocking: the host is asked · admitted: is to say what it has ·
 * joined: takes part · refused: nothing it says is read any more.
 */
export type Stage = 'stranger' | 'checking' | 'knocking' | 'admitted' | 'joined' | 'refused';

/** One open connection. */
export interface Peer {
  readonly socket: WebSocket;
  /** What the socket runs over: what came of it, whole or not. */
  readonly wire: Socket;
  /** Bytes that had come when its lease was last looked at. */
  heardBytes: number;
  readonly address: string;
  /** What it has to sign. */
  readonly nonce: string;
  limit: TokenBucket;
  readonly channel: Channel<typeof islandMessageSchema, CoordinatorMessage>;
  /** Fragments of which a contribution is being taken. */
  readonly taking: Set<number>;
  stage: Stage;
  /** What it has of payloads that it was sent on earlier connections. */
  beginnings: Resume['beginnings'];
  /** What both sides can beside the protocol's version. */
  capabilities: readonly string[];
  /** Known from when it is admitted. */
  name: string | undefined;
  /** Whether it is of another version of Heliotrope: what cannot be read of it is no offence. */
  isOtherVersion: boolean;
  key: string;
  evaluates: boolean;
  /** The invitation that it came with, to be counted. */
  invitation: { readonly id: string; readonly uses: number } | null;
  /** Bytes sent when it last took any of what waits for it, and when that was. */
  taken: { readonly bytes: number; readonly atMs: number };
  /** Rising with every hello. */
  number: number;
}
