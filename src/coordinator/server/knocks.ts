import { HelioError } from '../../errors.ts';
import type { Knock } from './http.ts';
import type { Hello, Peer } from './peer.ts';

/** An island that knocks is let in within this, or goes away. */
const KNOCK_MS = 600_000;
const MAX_KNOCKS = 100;
/** After so many strangers that were not let in, none may knock until the coordinator begins again: they only cost the host's attention. */
const MAX_SENT_AWAY = 10;

interface Waiting {
  readonly peer: Peer;
  readonly hello: Hello;
}

/** Unknown islands without an invitation, that wait for the host's word. */
export class Knocks {
  readonly #waiting = new Map<string, Waiting>();
  #sentAway = 0;

  get list(): readonly Knock[] {
    return [...this.#waiting.values()].map(({ peer: { address }, hello: { island, key } }) => ({
      island,
      key,
      address,
    }));
  }

  /**
   * @param tired called when the host has not answered for too long
   * @throws HelioError HELIO-4003 when it may not even knock
   */
  add(peer: Peer, hello: Hello, tired: () => void): Knock {
    const { island, key } = hello;
    if (this.#sentAway >= MAX_SENT_AWAY)
      throw new HelioError('HELIO-4003', 'The host lets no more strangers knock.', 'Ask him for an invitation.');
    if (this.#waiting.size >= MAX_KNOCKS || this.#waiting.has(island))
      throw new HelioError('HELIO-4003', 'Too many islands knock.', 'Ask the host for an invitation.');
    this.#waiting.set(island, { peer, hello });
    setTimeout(() => {
      if (this.#waiting.get(island)?.peer === peer) tired();
    }, KNOCK_MS).unref();
    return { island, key, address: peer.address };
  }

  /** Takes one that waits; the caller answers it. */
  take(island: string, letIn: boolean): Waiting | undefined {
    const knock = this.#waiting.get(island);
    this.#waiting.delete(island);
    if (knock !== undefined && !letIn) this.#sentAway++;
    return knock;
  }

  forget(peer: Peer): void {
    for (const [island, knock] of this.#waiting) if (knock.peer === peer) this.#waiting.delete(island);
  }
}
