import { HelioError } from '../../errors.ts';

/** One answer of a service on the internet: with a deadline, bounded, and JSON or a plain word about what it was instead. */

export const MOST_BYTES = 2 ** 21;

/** A service that does not answer as it should; `retryAfterMs` when it said for how long it wants peace. */
export class NoAnswer extends HelioError {
  readonly retryAfterMs: number | undefined;

  constructor(code: 'HELIO-6201' | 'HELIO-6202' | 'HELIO-6204', what: string, remedy: string, retryAfterMs?: number) {
    super(code, what, remedy);
    this.retryAfterMs = retryAfterMs;
  }
}

/** An address of a service whose base URL may have a path of its own, as behind a proxy. */
export const under = (baseUrl: string, path: string): URL => new URL(baseUrl.replace(/\/+$/, '') + path);

const AGAIN = 'It is asked again later, ever more rarely; until then a fallback stands in, where the site names one.';

/**
 * @param name of the service, for messages; its address is shown without the query, and no header ever
 * @throws NoAnswer HELIO-6201 (not there, late, busy), HELIO-6202 (not JSON), HELIO-6204 (refused)
 */
export async function fetchJson(
  name: string,
  url: URL,
  options: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
    readonly nowMs: () => number;
    /** Is sent by POST. */
    readonly form?: URLSearchParams;
    /** What becomes of it now, in place of what is said of fallbacks. */
    readonly again?: string;
  },
): Promise<unknown> {
  const { again = AGAIN, form } = options;
  const at = `${name} at ${url.host}`;
  let text: string;
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json', ...options.headers },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
      redirect: 'manual',
      // Of the whole, body and all.
      signal: AbortSignal.timeout(options.timeoutMs),
    });
    const { status } = response;
    if (status !== 200) {
      await response.body?.cancel();
      throw refusal(at, url, status, response.headers.get('retry-after'), options.nowMs(), again);
    }
    text = await bounded(at, response);
  } catch (error) {
    if (error instanceof HelioError) throw error;
    const late = error instanceof Error && error.name === 'TimeoutError';
    const cause = error instanceof Error ? ((error.cause as Error | undefined)?.message ?? error.message) : 'unknown';
    throw new NoAnswer(
      'HELIO-6201',
      late ? `${at} did not answer within ${options.timeoutMs / 1000} s.` : `${at} cannot be reached: ${cause}.`,
      again,
    );
  }
  try {
    return JSON.parse(text);
  } catch {
    const instead = /^\s*</.test(text) ? 'HTML' : text.trim() === '' ? 'nothing' : 'something cut short or malformed';
    throw new NoAnswer('HELIO-6202', `${at} answered ${instead} instead of JSON.`, `Check the base URL. ${again}`);
  }
}

function refusal(
  at: string,
  url: URL,
  status: number,
  retryAfter: string | null,
  nowMs: number,
  again: string,
): NoAnswer {
  if (status === 401 || status === 403)
    return new NoAnswer('HELIO-6204', `${at} refused (${status}).`, 'Check the token, and what the account may ask.');
  const seconds = Number(retryAfter);
  const afterMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(retryAfter!) - nowMs;
  if (status === 429 || status >= 500)
    return new NoAnswer(
      'HELIO-6201',
      `${at} says ${status}${status === 429 ? ': asked too often' : ''}.`,
      again,
      retryAfter !== null && afterMs > 0 ? Math.min(afterMs, 24 * 3_600_000) : undefined,
    );
  return new NoAnswer('HELIO-6202', `${at} says ${status} to ${url.pathname}.`, 'Check base URL and zone.');
}

async function bounded(at: string, response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > MOST_BYTES)
      throw new NoAnswer('HELIO-6202', `${at} answered more than ${MOST_BYTES} bytes.`, 'Check the base URL.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
