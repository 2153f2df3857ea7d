import { randomBytes } from 'node:crypto';
import type { CodeBegun, JoinCodeServer } from '../../coordinator/server/join-code-routes.ts';
import { type Guess, GuessLimiter, isLocal } from './guess-limiter.ts';
import { type HostSecrets, hostBegins, hostFinishes, registerCode } from './opaque-messages.ts';
import { seal } from './sealed.ts';

/** The result of an attempt with a code, for the host's log. */
export interface CodeTried {
  readonly outcome: 'right' | 'wrong' | 'turned away';
  readonly address: string;
  /** ID of the invitation that was given, to revoke it by; null where none was given. */
  readonly invitation: string | null;
  /** Wrong codes and attempts that were turned away, of all addresses since the code was made. */
  readonly wrong: number;
  readonly turnedAway: number;
}

export interface OpaqueServerOptions {
  readonly code: string;
  /** What whoever knows the code is told: an invitation link of his own. */
  readonly invite: () => Promise<{ readonly id: string; readonly link: string }>;
  readonly nowMs: () => number;
  readonly onTried: (tried: CodeTried) => void;
}

/** An exchange is finished within this, or the code counts as wrong. */
const ATTEMPT_MS = 30_000;
/** The rates of guesses let through fewer. */
const MAX_ATTEMPTS = 256;
/** Refused attempts can be many: they are logged once in so long. */
const TELL_EVERY_MS = 60_000;

interface Attempt {
  readonly state: string;
  readonly guess: Guess;
  readonly address: string;
  readonly timer: NodeJS.Timeout;
}

/** The host's side of a run's code. */
export class OpaqueServer implements JoinCodeServer {
  readonly #options: OpaqueServerOptions;
  readonly #secrets: HostSecrets;
  readonly #guessLimiter = new GuessLimiter();
  readonly #attempts = new Map<string, Attempt>();
  #wrong = 0;
  #turnedAway = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  private constructor(options: OpaqueServerOptions, secrets: HostSecrets) {
    this.#options = options;
    this.#secrets = secrets;
  }

  static async open(options: OpaqueServerOptions): Promise<OpaqueServer> {
    return new OpaqueServer(options, await registerCode(options.code));
  }

  begin(address: string, request: string): CodeBegun {
    if (!isLocal(address)) return this.#turnAway(address, { kind: 'elsewhere' });
    if (this.#attempts.size >= MAX_ATTEMPTS)
      return this.#turnAway(address, { kind: 'later', afterS: ATTEMPT_MS / 1_000 });
    const guess = this.#guessLimiter.take(address, this.#options.nowMs());
    if ('afterS' in guess) return this.#turnAway(address, { kind: 'later', ...guess });
    // From here on it counts: with the answer, one code can be tried.
    const begun = hostBegins(this.#secrets, request);
    if (begun === undefined) {
      this.#wrongFrom(address);
      return { kind: 'malformed' };
    }
    const attempt = randomBytes(18).toString('base64url');
    const timer = setTimeout(() => {
      if (this.#attempts.delete(attempt)) this.#wrongFrom(address);
    }, ATTEMPT_MS).unref();
    this.#attempts.set(attempt, { state: begun.state, guess, address, timer });
    return { kind: 'begun', attempt, response: begun.response };
  }

  async finish(attempt: string, request: string): Promise<string | undefined> {
    const begun = this.#attempts.get(attempt);
    if (begun === undefined) return undefined;
    const { state, guess, address, timer } = begun;
    // Once only, whatever comes of it.
    this.#attempts.delete(attempt);
    clearTimeout(timer);
    const sessionKey = hostFinishes(state, request);
    if (sessionKey === undefined) {
      this.#wrongFrom(address);
      return undefined;
    }
    this.#guessLimiter.giveBack(guess);
    const { id, link } = await this.#options.invite();
    this.#say('right', address, id);
    return seal(link, sessionKey, attempt);
  }

  #turnAway(address: string, answer: CodeBegun): CodeBegun {
    this.#turnedAway++;
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#toldMs >= TELL_EVERY_MS) {
      this.#toldMs = nowMs;
      this.#say('turned away', address);
    }
    return answer;
  }

  #wrongFrom(address: string): void {
    this.#wrong++;
    this.#say('wrong', address);
  }

  #say(outcome: CodeTried['outcome'], address: string, invitation: string | null = null): void {
    this.#options.onTried({ outcome, address, invitation, wrong: this.#wrong, turnedAway: this.#turnedAway });
  }
}
