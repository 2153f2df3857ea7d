import type { IslandMessage } from '../protocol/messages.ts';
import type { Standing } from '../protocol/standing.ts';
import type { EnergyBooks } from './host.ts';

/**
 * Hands in what the owner's books say that the run has used: at a merge, when they say more than was sent last, and on every new connection. The sums only grow, so
 * what was lost on the way is in the next.
 */
export class BooksReporter {
  readonly #books: EnergyBooks;
  readonly #send: (message: IslandMessage & { readonly kind: 'energy' }) => void;
  #sent: EnergyBooks['handIn'];

  constructor(books: EnergyBooks, send: (message: IslandMessage & { readonly kind: 'energy' }) => void) {
    this.#books = books;
    this.#send = send;
  }

  /** The island knows its run. */
  begin(run: string, island: string): void {
    this.#books.begin(run, island);
  }

  trained(tokens: number): void {
    this.#books.trained(tokens);
  }

  /** The island is connected, and the coordinator may have nothing of it. */
  connected(): void {
    this.#sent = undefined;
    this.news();
  }

  /** Says what was not said yet. */
  news(): void {
    const { handIn } = this.#books;
    if (handIn === undefined || handIn.totals === this.#sent?.totals) return;
    this.#sent = handIn;
    this.#send({ kind: 'energy', ...handIn });
  }

  /** The machine rests from here on. */
  rests(rest: Standing): void {
    this.#books.settle(rest);
    this.news();
  }

  /** The island's part in the run is over. */
  leaves(): void {
    this.#books.settle(null);
    this.news();
    this.#books.end();
  }
}
