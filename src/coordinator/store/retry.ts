import { setTimeout as sleep } from 'node:timers/promises';

/** Tells whoever watches the run one sentence. */
export type Say = (sentence: string) => void;

/** How long to retry a service that is away, and whom to tell. The run goes on in between; what is not committed is not sent. */
export interface RetryPolicy {
  /** After this the retries end. */
  readonly forMs: number;
  /** Silence after which `say` is told. */
  readonly sayAfterMs: number;
  /** Longest silence in one request: a server that never answers is left, and asked again over a new connection. */
  readonly answerMs: number;
  readonly say: Say;
}

export const DEFAULT_RETRY: RetryPolicy = { forMs: 60_000, sayAfterMs: 5_000, answerMs: 15_000, say: () => {} };

/** What one attempt is given. */
export interface Attempt {
  /** Time left for all retries. */
  readonly leftMs: number;
  /** To be called when the service answered something, or before it is busy for `busyMs`: silence is counted from then. */
  readonly heard: (busyMs?: number) => void;
}

/**
 * Tries until it works, the service is away for too long, or an error says that trying again changes nothing.
 *
 * @param name of the service, as a sentence begins: "The database postgres://…"
 * @param attempt ends by itself, `answerMs` after the last that it heard or sooner
 * @param retryReason why a retry may succeed after this error, in a few words; undefined when the error is final
 */
export async function withRetries<T>(
  name: string,
  { forMs, sayAfterMs, say }: RetryPolicy,
  attempt: (given: Attempt) => Promise<T>,
  retryReason: (error: unknown) => string | undefined,
): Promise<T> {
  const startMs = performance.now();
  const waitedMs = (): number => performance.now() - startMs;
  let why: string | undefined;
  let said = false;
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    if (said) return;
    said = true;
    const because = why === undefined ? '' : ` (${why})`;
    say(`${name} has not answered for ${seconds(sayAfterMs)}${because}; waiting up to ${seconds(forMs)}.`);
  };
  const heard = (busyMs = 0): void => {
    clearTimeout(timer);
    timer = setTimeout(tell, sayAfterMs + busyMs);
  };
  heard();
  try {
    for (let tried = 0; ; tried++) {
      try {
        const result = await attempt({ leftMs: Math.max(1_000, forMs - waitedMs()), heard });
        if (said) say(`${name} answers again, after ${seconds(waitedMs())}.`);
        return result;
      } catch (error) {
        why = retryReason(error);
        if (why === undefined || waitedMs() >= forMs) throw error;
        // Whatever it was said to be busy with, it has failed.
        if (waitedMs() >= sayAfterMs) tell();
        else if (!said) {
          clearTimeout(timer);
          timer = setTimeout(tell, sayAfterMs - waitedMs());
        }
      }
      await sleep(Math.min(backoffMs(tried), Math.max(0, forMs - waitedMs())));
    }
  } finally {
    clearTimeout(timer);
  }
}

/** From a tenth of a second to five, doubled each time; the half of it by chance, so that many do not come back at once. */
const backoffMs = (tried: number): number => Math.min(5_000, 100 * 2 ** Math.min(tried, 6)) * (0.5 + Math.random() / 2);

export const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

/** A wait that was longer than it may be. */
export class SilenceError extends Error {
  readonly code = 'ETIMEDOUT';

  constructor(ms: number) {
    super(`no answer for ${seconds(ms)}`);
    this.name = 'SilenceError';
  }
}

/** What `promise` gives, if it gives it in time; what comes later is dropped. @throws SilenceError */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new SilenceError(ms)), ms);
  promise.catch(() => {});
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
