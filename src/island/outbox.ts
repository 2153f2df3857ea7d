import type { Content, EncodedFragment, Packed } from '../protocol/frame.ts';
import { contentHash } from '../protocol/hash.ts';
import { type Identity, updateText } from '../protocol/identity.ts';
import type { Welcome } from './state.ts';

/** A contribution that is being sent. */
export type Outgoing = Packed & { readonly content: Contribution };
type Contribution = Content & { readonly kind: 'contribution' };

/** What an island handed in of each fragment, until the next merge: if the connection breaks meanwhile, the transfer goes on. */
export class Outbox {
  readonly #identity: Identity;
  readonly #outgoing: Outgoing[] = [];
  /** Contributions are signed one after the other, and so sent in the order in which they were asked for. */
  #signing: Promise<void> = Promise.resolve();
  /** What the coordinator had of its transfers when it welcomed the island. */
  #known: Welcome['beginnings'] = [];

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  welcomed(beginnings: Welcome['beginnings']): void {
    this.#known = beginnings;
  }

  merged(fragment: number): void {
    delete this.#outgoing[fragment];
  }

  /** A contribution that is asked for again, as it was handed in, with the counters and the place of then; and how much of it the coordinator has. */
  underWay({
    fragment,
    round,
  }: Pick<Contribution, 'fragment' | 'round'>): { readonly outgoing: Outgoing; readonly from: number } | undefined {
    const outgoing = this.#outgoing[fragment];
    const there = this.#known.find(({ hash }) => hash === outgoing?.hash);
    if (outgoing === undefined || outgoing.content.round !== round || there === undefined) return undefined;
    this.#known = [];
    return { outgoing, from: there.bytes };
  }

  /** @param run what the island signs for */
  sign(
    run: string,
    content: Omit<Contribution, 'form' | 'codec' | 'signature'>,
    encoded: Promise<EncodedFragment>,
  ): Promise<Outgoing> {
    const signed = this.#signing.then(async () => {
      const { form, codec, payload } = await encoded;
      const update = { ...content, form, codec };
      const hash = await contentHash(payload);
      const signature = await this.#identity.sign(updateText(run, update, hash));
      const outgoing: Outgoing = { content: { ...update, signature }, payload, hash };
      this.#outgoing[content.fragment] = outgoing;
      return outgoing;
    });
    this.#signing = signed.then(
      () => {},
      () => {},
    );
    return signed;
  }
}
