import type { WebSocket } from 'ws';
import type { Channel } from '../../protocol/channel.ts';
import type { CoordinatorMessage, IslandMessage, islandMessageSchema } from '../../protocol/messages.ts';
import type { TokenBucket } from './limits.ts';

export type Hello = IslandMessage & { readonly kind: 'hello' };

/** One open connection. */
export interface Peer {
  readonly socket: WebSocket;
  readonly address: string;
  /** What it has to sign. */
  readonly nonce: string;
  readonly limit: TokenBucket;
  readonly channel: Channel<typeof islandMessageSchema, CoordinatorMessage>;
  /** Fragments of which a contribution is being taken. */
  readonly taking: Set<number>;
  /** What it has of payloads that it was sent on earlier connections. */
  beginnings: Hello['beginnings'];
  name: string | undefined;
  key: string;
  /** Rising with every hello. */
  number: number;
}
