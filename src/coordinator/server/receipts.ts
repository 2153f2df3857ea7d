import { type Receipt, receiptText } from '../../protocol/receipts.ts';
import type { Merged } from '../state.ts';
import type { SignedReceipt } from '../store/receipts.ts';
import type { ServerOptions } from './options.ts';
import type { Peer } from './peer.ts';

/** How often what is too old is looked for: it means a walk through the whole account. */
const PURGE_S = 86_400;

/** What an island has signed of a contribution that waits for its merge. */
export interface HandedIn {
  readonly key: string;
  readonly version: number;
  readonly round: number;
  readonly claimed: NonNullable<Receipt['claimed']>;
  readonly hash: string;
  readonly signature: string;
}

/** What was merged, as far as it was believed. */
type Contributions = readonly Pick<Merged, 'island' | 'weight' | 'steps' | 'tokens'>[];
type PeerOf = (island: string) => Peer | undefined;

/** Signs receipts of merged contributions, stores them and sends them. At most one for each island and fragment is pending. */
export class Receipts {
  readonly #options: Pick<ServerOptions, 'run' | 'sign' | 'store' | 'nowS'>;
  readonly #waiting: Map<string, HandedIn>[] = [];
  #last: Promise<void> = Promise.resolve();
  #purgedAtS = -Infinity;

  constructor(options: Pick<ServerOptions, 'run' | 'sign' | 'store' | 'nowS'>) {
    this.#options = options;
  }

  handedIn(fragment: number, island: string, what: HandedIn): void {
    this.#waiting[fragment] ??= new Map();
    this.#waiting[fragment].set(island, what);
  }

  /** Content hash of what waits for its merge. */
  hashOf(fragment: number, island: string): string | undefined {
    return this.#waiting[fragment]?.get(island)?.hash;
  }

  /** Resolves when all that was merged so far is signed and kept. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** Of a merge that was committed; signing and keeping go on beside the run. @throws what the store does */
  merged(fragment: number, version: number, contributions: Contributions, peerOf: PeerOf): Promise<void> {
    const waiting = this.#waiting[fragment] ?? new Map<string, HandedIn>();
    this.#waiting[fragment] = new Map();
    const work = this.#give(fragment, version, contributions, waiting, peerOf);
    this.#last = Promise.all([this.#last, work]).then(
      () => {},
      () => {},
    );
    return work;
  }

  async #give(
    fragment: number,
    version: number,
    contributions: Contributions,
    waiting: ReadonlyMap<string, HandedIn>,
    peerOf: PeerOf,
  ): Promise<void> {
    const { run, sign, store, nowS } = this.#options;
    const sum = contributions.reduce((total, { weight }) => total + weight, 0);
    const atS = Math.floor(nowS());
    const signed = await Promise.all(
      contributions.flatMap(({ island, weight, steps, tokens }) => {
        const what = waiting.get(island);
        if (what === undefined || weight === 0) return [];
        const { signature: handedIn, ...rest } = what;
        const receipt: Receipt = {
          run,
          island,
          fragment,
          merged: version,
          share: weight / sum,
          atS,
          handedIn,
          steps,
          tokens,
          ...rest,
        };
        return [sign(receiptText(receipt)).then((signature): SignedReceipt => ({ receipt, signature }))];
      }),
    );
    if (signed.length === 0) return;
    // Also where the clock was set back.
    const isPurging = Math.abs(atS - this.#purgedAtS) >= PURGE_S;
    if (isPurging) this.#purgedAtS = atS;
    await store.addReceipts(signed, isPurging ? atS : undefined);
    for (const { receipt, signature } of signed) {
      const peer = peerOf(receipt.island);
      if (peer?.capabilities.includes('receipts') === true) peer.channel.send({ kind: 'receipt', receipt, signature });
    }
  }
}
