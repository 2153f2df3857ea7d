import { HelioError } from '../../errors.ts';
import type { Content, EncodedFragment, Transfer } from '../../protocol/frame.ts';
import { isSignedBy, updateText } from '../../protocol/identity.ts';
import { isConsistent, mostLength } from '../claims.ts';
import { isAwaited } from '../due.ts';
import type { Event } from '../events.ts';
import { islandOf } from '../roster.ts';
import type { RunState } from '../state.ts';
import type { EffectRunner } from './effect-runner.ts';
import { faultOf } from './fault.ts';
import type { ServerOptions } from './options.ts';
import type { Peer } from './peer.ts';
import type { Receipts } from './receipts.ts';

/** Transfers of one fragment by one island: behind a late one may be the one that is asked for now. */
const MOST_BEGUN = 2;

type Contribution = Content & { readonly kind: 'contribution' };

/** What the receiver needs of the server. */
export interface ReceiverContext {
  state(): RunState;
  /** A contribution was received for its merge, or was left out. */
  take(peer: Peer, event: Event & { readonly kind: 'contributed' | 'left-out' }): void;
}

/** Accepts contributions that are signed and were asked for. Nothing else may use memory. */
export class ContributionReceiver {
  readonly #options: ServerOptions;
  readonly #effectRunner: EffectRunner;
  readonly #receipts: Receipts;
  readonly #context: ReceiverContext;

  constructor(options: ServerOptions, effectRunner: EffectRunner, receipts: Receipts, context: ReceiverContext) {
    this.#receipts = receipts;
    this.#options = options;
    this.#effectRunner = effectRunner;
    this.#context = context;
  }

  /** Bytes that a transfer may have. @throws HelioError HELIO-4004 when it is no contribution to a fragment of this run */
  mostBytes(content: Content): number {
    if (content.kind !== 'contribution') throw unwanted(`An island sent a transfer of kind ${content.kind}.`);
    const most = this.#options.aggregation.mostBytes[content.fragment];
    if (most === undefined) throw unwanted(`An island sent a contribution to fragment ${content.fragment}.`);
    return most;
  }

  /**
   * Whether what an island begins to send is awaited of it now. What is not may be late, which is no offence: it is passed over without being kept, and so is
   * all but `MOST_BEGUN` of each fragment.
   */
  begins(peer: Peer, content: Content): boolean {
    if (content.kind !== 'contribution' || peer.name === undefined) return false;
    const begun = peer.begun.get(content.fragment) ?? 0;
    if (begun >= MOST_BEGUN) return false;
    if (!isAwaited(this.#options.settings, this.#context.state(), { ...content, island: peer.name })) return false;
    peer.begun.set(content.fragment, begun + 1);
    return true;
  }

  /** One that {@link begins} said yes to, whole. @throws HelioError HELIO-4004 when it is none, or cannot be read, HELIO-4008 when it is not signed by its island, or not finite */
  async take(peer: Peer, island: string, { content, payload, hash }: Transfer): Promise<void> {
    if (content.kind !== 'contribution') throw unwanted(`An island sent a transfer of kind ${content.kind}.`);
    const { fragment } = content;
    try {
      if (!(await isSignedBy(peer.key, updateText(this.#options.run, content, hash), content.signature)))
        throw new HelioError(
          'HELIO-4008',
          'A contribution is not signed by its island.',
          'Sign what is sent, for this run.',
        );
      // One of each fragment at a time: what is sent again meanwhile is not kept.
      if (peer.taking.has(fragment)) return;
      peer.taking.add(fragment);
      const { form, codec } = content;
      await this.#keep(peer, island, content, { form, codec, payload }, hash).finally(() =>
        peer.taking.delete(fragment),
      );
    } finally {
      peer.begun.set(fragment, peer.begun.get(fragment)! - 1);
    }
  }

  async #keep(
    peer: Peer,
    island: string,
    content: Contribution,
    encoded: EncodedFragment,
    hash: string,
  ): Promise<void> {
    const { fragment, version, round, steps, tokens, form, codec, signature } = content;
    const { settings, aggregation, nowMs } = this.#options;
    const claim = { claimedSteps: steps, claimedTokens: tokens };
    const awaited = (): boolean => isAwaited(settings, this.#context.state(), { island, fragment, version, round });
    if (!awaited()) return;
    // One that came late may be for the next merge already: it must not get into the one that is being summed up now.
    while (this.#effectRunner.busy) await this.#effectRunner.settled();
    if (!awaited()) return;
    const out = (reason: string, length?: number): void =>
      this.#context.take(peer, { kind: 'left-out', island, fragment, round, steps, reason, length });
    if (!isConsistent(settings, claim))
      return out(`it claims ${tokens} tokens in ${steps} steps, and a step has ${settings.tokensPerStep} at most`);
    const { fragments, islands } = this.#context.state();
    const before = fragments[fragment]!.version;
    const most = mostLength(
      settings,
      fragments[fragment]!,
      islandOf(islands, island)!.paces[fragment]!,
      claim,
      nowMs(),
    );
    let length: number;
    try {
      const measured = await aggregation.contribute(fragment, island, encoded, most);
      if (!measured.kept) return out(tooLong(measured.length, most), measured.length);
      ({ length } = measured);
    } catch (error) {
      // A disk of ours that is full is no fault of the island's; the others may still be merged.
      if (faultOf(error) === 'disk') return out(`the coordinator could not keep it: ${(error as HelioError).what}`);
      throw error;
    }
    // A merge that was decided meanwhile has cleared what waited for it: this is for the next one that it is asked for, and comes again.
    if (this.#context.state().fragments[fragment]!.version !== before) return;
    const claimed = { steps, tokens, form, codec };
    this.#receipts.handedIn(fragment, island, { key: peer.key, version, round, claimed, hash, signature });
    this.#context.take(peer, { kind: 'contributed', island, fragment, version, round, steps, tokens, length });
  }
}

const tooLong = (length: number, most: number): string =>
  `its length is ${length.toPrecision(3)}, and by what others handed in ${most.toPrecision(3)} is the most`;

const unwanted = (what: string): HelioError =>
  new HelioError('HELIO-4004', what, 'Islands send contributions, signed for this run.');
