import { HelioError } from '../../errors.ts';
import { MAX_HELLO_BYTES } from '../../protocol/messages.ts';
import { RefusedForNow } from '../../protocol/refusal.ts';
import { standing } from '../../protocol/standing.ts';
import { agreedVersion, CAPABILITIES, OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../protocol/versions.ts';
import { admission } from '../admission.ts';
import type { Event } from '../events.ts';
import { leaseOf } from '../leases.ts';
import { countOf, islandOf } from '../roster.ts';
import type { Held, RunState } from '../state.ts';
import type { JoinRequest } from './http.ts';
import { JOIN_REQUEST_MS, JoinRequests } from './join-requests.ts';
import type { ServerOptions } from './options.ts';
import type { Hello, Peer, Resume } from './peer.ts';

export const OWN_VERSIONS = { protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL };

/** When an island may try again from an address that was refused too often. */
const AGAIN_S = 10;
/** Time to say what it has: it reads all its parameters for that, and may be in a step that takes minutes. */
const RESUME_MS = 600_000;

/** What the handshake needs of the server. */
export interface HandshakeContext {
  state(): RunState;
  /** An island was let in; a connection under the same name is replaced. */
  arrives(peer: Peer, leaseMs: number): void;
  /** Whether this is still the connection of its island. */
  isThere(peer: Peer): boolean;
  take(event: Event): void;
  /** Whether its address was not refused too often. */
  mayAsk(peer: Peer): boolean;
  /** It waits for a person, and may do so for a while. */
  waits(peer: Peer, forMs: number): void;
  refuse(peer: Peer, error: unknown): void;
  failed(error: unknown): void;
}

/** From an island's hello until it takes part: who it is, whether it may come, and what it has. */
export class Handshake {
  readonly #options: ServerOptions;
  readonly #context: HandshakeContext;
  readonly #joinRequests: JoinRequests;
  /** Islands that were let in and have not sent `resume`: until then there is no event of them, and no use of their invitation is counted. */
  readonly #coming = new Map<Peer, NodeJS.Timeout>();

  constructor(options: ServerOptions, context: HandshakeContext) {
    this.#options = options;
    this.#context = context;
    this.#joinRequests = new JoinRequests(options.nowMs);
  }

  get joinRequests(): readonly JoinRequest[] {
    return this.#joinRequests.list;
  }

  /** @throws HelioError HELIO-4004 when it said so before, HELIO-4006 when no version is common */
  greet(peer: Peer, hello: Hello): void {
    if (peer.stage !== 'stranger')
      throw new HelioError('HELIO-4004', 'The island said hello twice.', 'Open one connection an island.');
    if (!this.#isKnown(hello) && !this.#context.mayAsk(peer))
      throw new RefusedForNow(
        'Too many of this address were refused lately.',
        'It asks again by itself; look what else at this address tries to join.',
        AGAIN_S,
      );
    peer.stage = 'checking';
    agreedVersion(OWN_VERSIONS, hello, 'island');
    this.#admission(peer, hello)
      .then((admitted) => {
        if (peer.socket.readyState !== peer.socket.OPEN) return;
        if (admitted.kind === 'admitted') {
          this.#keepPlace(hello, admitted.invitation);
          return this.#admit(peer, hello, admitted.invitation);
        }
        this.#askHost(peer, hello);
      })
      .catch((error: unknown) => this.#context.refuse(peer, error));
  }

  /** @returns whether there was one @throws HelioError HELIO-4003 when the name alone does not say which */
  answer(island: string, letIn: boolean, key?: string): boolean {
    const request = this.#joinRequests.take(island, key);
    if (request === undefined) return false;
    const { peer, hello } = request;
    if (!letIn) {
      this.#joinRequests.decline(request);
      this.#context.refuse(peer, new HelioError('HELIO-4003', 'The host did not let this island in.', 'Ask the host.'));
      return true;
    }
    // Another may have come under its name while it waited.
    this.#admission(peer, hello)
      .then(() => peer.socket.readyState === peer.socket.OPEN && this.#admit(peer, hello, null))
      .catch((error: unknown) => this.#context.refuse(peer, error));
    return true;
  }

  /** It says what it has of the run. @throws HelioError HELIO-4004 when it said so before */
  resume(peer: Peer, island: string, { run, holds, beginnings }: Resume): void {
    if (peer.stage !== 'admitted')
      throw new HelioError('HELIO-4004', 'The island sent resume twice.', 'Send it once on each connection.');
    this.#arrived(peer);
    peer.stage = 'joined';
    peer.beginnings = beginnings;
    const { key, invitation, evaluates } = peer;
    const joined = (held: readonly Held[]): void =>
      this.#context.take({
        kind: 'joined',
        island,
        key,
        invitation,
        evaluates,
        holds: held,
        atS: this.#options.nowS(),
      });
    if (run !== this.#options.run || holds.length === 0) return joined([]);
    this.#compare(peer, holds)
      .then((held) => this.#context.isThere(peer) && joined(held))
      .catch((error: unknown) => this.#context.failed(error));
  }

  /** Its connection is gone. */
  forget(peer: Peer): void {
    this.#joinRequests.forget(peer);
    this.#arrived(peer);
  }

  /** Whether it says that it is an island of this run: strangers at the same address must not keep that one out. */
  #isKnown({ island, key }: Hello): boolean {
    return islandOf(this.#context.state().islands, island)?.key === key;
  }

  #askHost(peer: Peer, hello: Hello): void {
    peer.stage = 'asking';
    const request = this.#joinRequests.add(peer, hello, (key) => {
      const expired = this.#joinRequests.takeKey(key);
      const what = 'The host has not answered whether this island may join.';
      if (expired !== undefined)
        this.#context.refuse(
          expired.peer,
          new RefusedForNow(what, 'Ask the host for an invitation.', JOIN_REQUEST_MS / 1_000),
        );
    });
    this.#context.waits(peer, JOIN_REQUEST_MS + 1_000);
    const what = `The host is asked whether ${hello.island} may join.`;
    peer.channel.send({ kind: 'standing', ...standing('waiting', 'host-is-asked', what) });
    this.#options.onJoinRequest(request);
  }

  #admission({ nonce }: Peer, hello: Hello): ReturnType<typeof admission> {
    const { run, hostKey, nowS } = this.#options;
    return admission({ run, hostKey, nonce, nowS: nowS() }, () => this.#context.state(), hello);
  }

  /** @throws RefusedForNow when as many others come with this invitation as it still lets in */
  #keepPlace({ island, key }: Hello, invitation: Peer['invitation']): void {
    if (invitation === null) return;
    const { id, uses } = invitation;
    let taken = countOf(this.#context.state().islands.byInvitation, id);
    // Its own next connection is no other island; the same key under another name is one.
    const isOwn = (other: Peer): boolean => other.name === island && other.key === key;
    for (const other of this.#coming.keys()) if (other.invitation?.id === id && !isOwn(other)) taken++;
    if (taken < uses) return;
    const what = `Of the ${uses} islands that the invitation is for, the last are just coming.`;
    throw new RefusedForNow(what, 'It asks again by itself; ask the host for another: `heliotrope invite`.', AGAIN_S);
  }

  /** It takes part, or is gone. */
  #arrived(peer: Peer): void {
    clearTimeout(this.#coming.get(peer));
    this.#coming.delete(peer);
  }

  #expire(peer: Peer): void {
    const what = 'The island has not sent resume in time.';
    this.#context.refuse(peer, new RefusedForNow(what, 'It comes again by itself.', AGAIN_S));
  }

  /** Its identity and invitation are verified: it is asked what it has. */
  #admit(peer: Peer, hello: Hello, invitation: Peer['invitation']): void {
    const { run, settings, version } = this.#options;
    const leaseMs = leaseOf(hello.host, settings.leaseMs);
    const own: readonly string[] = CAPABILITIES;
    peer.stage = 'admitted';
    peer.name = hello.island;
    peer.key = hello.key;
    peer.evaluates = hello.evaluates;
    peer.machine = { host: hello.host, device: hello.engine.device, threads: hello.threads };
    peer.invitation = invitation;
    peer.capabilities = hello.capabilities.filter((name) => own.includes(name));
    peer.isOtherVersion = hello.software !== `heliotrope ${version}`;
    this.#context.arrives(peer, leaseMs);
    this.#coming.set(peer, setTimeout(() => this.#expire(peer), this.#options.resumeMs ?? RESUME_MS).unref());
    peer.channel.send({
      kind: 'admitted',
      protocol: agreedVersion(OWN_VERSIONS, hello, 'island'),
      capabilities: [...peer.capabilities],
      run,
      leaseS: leaseMs / 1000,
    });
  }

  /** What an island has under a version's number has to be what the coordinator has: after a restore from a copy it may be another model. */
  async #compare(peer: Peer, holds: Resume['holds']): Promise<readonly Held[]> {
    const { aggregation } = this.#options;
    const own = await Promise.all(aggregation.fragments.map((_, fragment) => aggregation.digest(fragment)));
    return holds.map(({ hash, ...held }, fragment) => {
      const beside = own[fragment];
      if (beside === undefined || beside.version !== held.newest || beside.hash === hash) return held;
      const what = `Fragment ${fragment} of the model is not the coordinator's at version ${held.newest}: it is sent again, and what was trained on it is dropped.`;
      peer.channel.send({ kind: 'standing', ...standing('joining', 'model-differs', what) });
      return { ...held, round: 0 };
    });
  }
}

/** A hello of a version that we do not share may have another form: that is told as a skew, and not as a fault. */
export function requireVersion(text: string): void {
  if (text.length > MAX_HELLO_BYTES) return;
  let hello: Readonly<Record<string, unknown>>;
  try {
    hello = (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return;
  }
  const { kind, protocol, oldest } = hello;
  if (kind !== 'hello' || typeof protocol !== 'number') return;
  agreedVersion(OWN_VERSIONS, { protocol, oldest: typeof oldest === 'number' ? oldest : protocol }, 'island');
}
