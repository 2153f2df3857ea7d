import { HelioError } from '../../errors.ts';

/** One way to the coordinator. */
export interface Route {
  readonly url: string;
  /** SHA-256 of its certificate, where no authority vouches for it. */
  readonly fingerprint: string | undefined;
  /** The uplink: an address of this machine to go out from. */
  readonly localAddress: string | undefined;
}

export const describeRoute = ({ url, localAddress }: Route): string =>
  `${new URL(url).host}${localAddress === undefined ? '' : ` from ${localAddress}`}`;

/** How a connection ended, or why there was none. */
export interface Ended {
  readonly why: string;
  /** What the island's owner can do about it, where that is known. */
  readonly remedy?: string | undefined;
  /** When the coordinator was last heard on it, and since when it had let this island in; null when it never did. */
  readonly heardMs: number | null;
  readonly joinedMs: number | null;
  /** It fell silent: the next route may be better. */
  readonly silent: boolean;
  /** The coordinator's own word that there is no place now. */
  readonly retryAfterS: number | null;
  /** What answered instead, a proxy perhaps, asks not to be asked again for so long: no word of the coordinator, so that patience counts on. */
  readonly routeAfterS?: number | null;
}

/** The first wait between two rounds of tries; it doubles up to a tenth of the time that the coordinator has been away, within these bounds. */
const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = { least: 5_000, most: 30_000 };
/** A connection that lasted for less is as good as none: a coordinator that ends each at once is not asked at once again. */
const STEADY_MS = 3_000;
const MAX_RETRY_AFTER_S = 3_600;
const MAX_ROUTE_AFTER_S = 60;
/** How long a route may take to answer; longer each round, as the coordinator may be slow rather than away. */
const CONNECT_MS = { least: 3_000, alone: 10_000, ofSeveral: 5_000, most: 20_000 };
const MOST_NAMED = 8;

/**
 * Which route to try next, after which wait, and for how long: every address by every uplink, as only a word of the coordinator itself is final.
 * `--patience` counts from when it was last heard.
 */
export class RouteSearch {
  readonly #routes: readonly Route[];
  readonly #patienceMs: number;
  readonly #random: () => number;
  readonly #tried = new Map<Route, Ended>();
  #index = 0;
  /** Tries without success since the last one, over all routes. */
  #failures = 0;
  #delayMs = FIRST_DELAY_MS;
  /** The shortest wait that this round's routes asked for; null when one of them asked for none. */
  #roundAfterS: number | null = Number.POSITIVE_INFINITY;
  #heardMs: number;

  /** @param random from 0 to 1: waits are drawn, so that islands do not all come at once */
  constructor(routes: readonly Route[], patienceS: number, nowMs: number, random: () => number = Math.random) {
    this.#routes = routes;
    this.#patienceMs = 1000 * patienceS;
    this.#heardMs = nowMs;
    this.#random = random;
  }

  get route(): Route {
    return this.#routes[this.#index]!;
  }

  /** Whether another route than the first is tried. */
  get isDetour(): boolean {
    return this.#index > 0;
  }

  get hasOthers(): boolean {
    return this.#routes.length > 1;
  }

  /** How long the present route may take to answer: no longer than patience lasts, but for a moment. */
  connectMs(nowMs: number): number {
    const rounds = Math.floor(this.#failures / this.#routes.length);
    const leftMs = Math.max(CONNECT_MS.least, this.#patienceMs - (nowMs - this.#heardMs));
    const first = this.hasOthers ? CONNECT_MS.ofSeveral : CONNECT_MS.alone;
    return Math.min(CONNECT_MS.most, (1 + rounds) * first, leftMs);
  }

  /** Decides what comes after a connection on the present route. @returns how long to wait before the next try; null when patience is over */
  after(ended: Ended, nowMs: number): number | null {
    this.#tried.set(this.route, ended);
    if (ended.heardMs !== null) this.#heardMs = Math.max(this.#heardMs, ended.heardMs);
    if (ended.retryAfterS !== null) return this.#later(ended.retryAfterS, nowMs);
    if (ended.joinedMs !== null && nowMs - ended.joinedMs >= STEADY_MS) {
      this.#failures = 0;
      this.#delayMs = FIRST_DELAY_MS;
      this.#roundAfterS = Number.POSITIVE_INFINITY;
      if (ended.silent) this.#advance();
      return ended.silent && this.hasOthers ? 0 : FIRST_DELAY_MS * this.#random();
    }
    this.#failures++;
    this.#advance();
    const { routeAfterS = null } = ended;
    const before = this.#roundAfterS;
    this.#roundAfterS = before === null || routeAfterS === null ? null : Math.min(before, routeAfterS);
    const roundIsOver = this.#failures % this.#routes.length === 0;
    if (this.#failures >= this.#routes.length && nowMs - this.#heardMs > this.#patienceMs) return null;
    if (!roundIsOver) return 0;
    const askedMs = 1000 * Math.min(MAX_ROUTE_AFTER_S, this.#roundAfterS ?? 0);
    this.#roundAfterS = Number.POSITIVE_INFINITY;
    return Math.max(this.#backOff(nowMs), askedMs * (1 + 0.25 * this.#random()));
  }

  /** What was tried, and what came of it. */
  get unreachable(): HelioError {
    const tried = [...this.#tried].slice(0, MOST_NAMED).map(([route, { why }]) => `${describeRoute(route)} (${why})`);
    const remedies = new Set([...this.#tried.values()].flatMap(({ remedy }) => remedy ?? []));
    const more = this.#tried.size > MOST_NAMED ? `, and ${this.#tried.size - MOST_NAMED} more ways` : '';
    return new HelioError(
      'HELIO-4002',
      `No coordinator answers at ${tried.join('; ')}${more}.`,
      remedies.size > 0
        ? [...remedies].join(' ')
        : 'Check that `heliotrope serve` runs there and that the address is right, or ask the host for a new invitation.',
    );
  }

  #advance(): void {
    this.#index = (this.#index + 1) % this.#routes.length;
  }

  #backOff(nowMs: number): number {
    const longestMs = Math.min(LONGEST_DELAY_MS.most, Math.max(LONGEST_DELAY_MS.least, (nowMs - this.#heardMs) / 10));
    const waitMs = Math.min(longestMs, this.#delayMs) * (0.5 + 0.5 * this.#random());
    this.#delayMs = Math.min(LONGEST_DELAY_MS.most, 2 * this.#delayMs);
    return waitMs;
  }

  /** It said so itself: it is there, and this route is good. */
  #later(retryAfterS: number, nowMs: number): number {
    this.#heardMs = nowMs;
    const waitMs = 1000 * Math.min(MAX_RETRY_AFTER_S, retryAfterS) * (1 + 0.25 * this.#random());
    return Math.max(waitMs, this.#backOff(nowMs));
  }
}
