import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { Channel, overWebSocket } from '../../protocol/channel.ts';
import type { Reception } from '../../protocol/frame.ts';
import { type CoordinatorMessage, type IslandMessage, islandMessageSchema } from '../../protocol/messages.ts';
import { strangersLimit, type TokenBucket } from './limits.ts';

export type Hello = IslandMessage & { readonly kind: 'hello' };
export type Resume = IslandMessage & { readonly kind: 'resume' };

/**
 * stranger: has not said who it is · checking: its first message is looked at · asking: the host is asked · admitted: is to say what it has ·
 * joined: takes part · refused: nothing it says is read any more.
 */
export type Stage = 'stranger' | 'checking' | 'asking' | 'admitted' | 'joined' | 'refused';

/** What an island says that it computes with; nobody checks it. */
export interface Machine {
  readonly host: Hello['host'];
  readonly device: string;
  readonly threads: number;
}

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
  /** Contributions to each fragment that are kept, from the first piece on until they are handed over or dropped. */
  readonly begun: Map<number, number>;
  /** Fragments of which a contribution is being taken. */
  readonly taking: Set<number>;
  stage: Stage;
  /** Whether it is being sent a payload that it has asked for by its hash. */
  isFetching: boolean;
  /** What it has of payloads that it was sent on earlier connections. */
  beginnings: Resume['beginnings'];
  /** Capabilities that both sides have. */
  capabilities: readonly string[];
  /** Known from when it is admitted. */
  name: string | undefined;
  /** Whether it is of another version of Heliotrope: what cannot be read of it is no offence. */
  isOtherVersion: boolean;
  key: string;
  evaluates: boolean;
  machine: Machine | undefined;
  /** The invitation that it came with, to be counted. */
  invitation: { readonly id: string; readonly uses: number } | null;
  /** Bytes that had left for it when it was last seen to take any, and when that was. */
  taken: { readonly bytes: number; readonly atMs: number };
  /** Rising with every hello. */
  number: number;
}

/** A new connection of an unknown sender. */
export function newPeer(
  socket: WebSocket,
  wire: Socket,
  address: string,
  { nonce, reception, nowMs }: { readonly nonce: string; readonly reception: Reception; readonly nowMs: number },
): Peer {
  return {
    socket,
    wire,
    heardBytes: wire.bytesRead,
    address,
    nonce,
    limit: strangersLimit(nowMs),
    channel: new Channel(overWebSocket(socket), islandMessageSchema, reception),
    begun: new Map(),
    taking: new Set(),
    stage: 'stranger',
    isFetching: false,
    beginnings: [],
    capabilities: [],
    name: undefined,
    isOtherVersion: false,
    key: '',
    evaluates: true,
    machine: undefined,
    invitation: null,
    taken: { bytes: 0, atMs: nowMs },
    number: 0,
  };
}

/** A piece of a mebibyte takes two minutes at 70 kbit/s: whoever takes nothing for longer does not read. */
const STUCK_MS = 120_000;

/** Whether it reads nothing of what it is sent, though its heartbeats may arrive. To be called regularly. */
export function isStuck(peer: Peer, nowMs: number): boolean {
  const { bytesWritten, writableLength } = peer.wire;
  const bytes = bytesWritten - writableLength;
  if (writableLength === 0 || bytes !== peer.taken.bytes) peer.taken = { bytes, atMs: nowMs };
  return nowMs - peer.taken.atMs > STUCK_MS;
}

/**
 * Whether bytes came since the last look. Of a large piece over a thin link they come for a while before anything whole does, and the island's
 * heartbeats wait behind it: so it is told, unasked, that it is heard.
 */
export function isReceiving(peer: Peer | undefined): boolean {
  if (peer === undefined || peer.wire.bytesRead === peer.heardBytes) return false;
  peer.heardBytes = peer.wire.bytesRead;
  peer.channel.sendAtOnce({ kind: 'alive' });
  return true;
}
