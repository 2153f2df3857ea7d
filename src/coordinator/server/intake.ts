import { HelioError } from '../../errors.ts';
import type { Content, Parcel, Transfer } from '../../protocol/frame.ts';
import { isSignedBy, updateText } from '../../protocol/identity.ts';
import { isAwaited } from '../due.ts';
import type { Event, RunState } from '../state.ts';
import type { ServerOptions } from './options.ts';
import type { Peer } from './peer.ts';
import type { Performer } from './performer.ts';
import type { Receipts } from './receipts.ts';

type Contribution = Content & { readonly kind: 'contribution' };

/** What the intake needs of the server. */
export interface Desk {
  state(): RunState;
  /** A contribution is there, for its merge. */
  contributed(peer: Peer, event: Event & { readonly kind: 'contributed' }): void;
}

/** Takes contributions: signed ones, and only where one was asked for. Nothing else may fill memory. */
export class Intake {
  readonly #options: ServerOptions;
  readonly #performer: Performer;
  readonly #receipts: Receipts;
  readonly #desk: Desk;

  constructor(options: ServerOptions, performer: Performer, receipts: Receipts, desk: Desk) {
    this.#receipts = receipts;
    this.#options = options;
    this.#performer = performer;
    this.#desk = desk;
  }

  /** @throws HelioError HELIO-4004 when it is none, not signed by its island, or cannot be read */
  async take(peer: Peer, island: string, { content, payload, hash }: Transfer): Promise<void> {
    if (content.kind !== 'contribution') throw unwanted(`An island sent a transfer of kind ${content.kind}.`);
    if (!(await isSignedBy(peer.key, updateText(this.#options.run, content, hash), content.signature)))
      throw unwanted('A contribution is not signed by its island.');
    // One of each fragment at a time: what is sent again meanwhile is not kept.
    if (peer.taking.has(content.fragment)) return;
    peer.taking.add(content.fragment);
    try {
      const { form, codec } = content;
      await this.#keep(peer, island, content, { form, codec, payload }, hash);
    } finally {
      peer.taking.delete(content.fragment);
    }
  }

  async #keep(peer: Peer, island: string, content: Contribution, parcel: Parcel, hash: string): Promise<void> {
    const { fragment, version, round, steps, tokens, signature } = content;
    const { settings, aggregation } = this.#options;
    const awaited = (): boolean => isAwaited(settings, this.#desk.state(), { island, fragment, version, round });
    if (!awaited()) return;
    // One that came late may be for the next merge already: it must not get into the one that is being summed up now.
    while (this.#performer.busy) await this.#performer.settled();
    if (!awaited()) return;
    await aggregation.contribute(fragment, island, parcel, steps);
    this.#receipts.handedIn(fragment, island, { key: peer.key, version, round, steps, tokens, hash, signature });
    this.#desk.contributed(peer, { kind: 'contributed', island, fragment, version, round, steps, tokens });
  }
}

const unwanted = (what: string): HelioError =>
  new HelioError('HELIO-4004', what, 'Islands send contributions, signed for this run.');
