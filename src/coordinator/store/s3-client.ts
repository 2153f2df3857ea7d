import { AwsClient } from 'aws4fetch';
import { HelioError } from '../../errors.ts';
import { type Attempt, DEFAULT_RETRY, type RetryPolicy, SilenceError, withRetries } from './retry.ts';

export interface S3Options {
  /** s3://BUCKET/PREFIX */
  readonly url: string;
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'HEAD';
  /** What follows the bucket: `/KEY` or `?QUERY`. */
  readonly at: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Statuses of refusals that are an answer like any other. */
  readonly accepts?: readonly number[];
}

export interface S3Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** A connection that is slower than this counts as broken. */
const SLOWEST_BYTES_PER_S = 256 * 1024;
/** Of an answer: no request asks for more than a piece, a page of names or a sentence. */
const MOST_BYTES = 2 ** 30;
/** What a store says of itself and not of the request, with a status of the 4xx. */
const PASSING = /<Code>(RequestTimeout|IncompleteBody|OperationAborted|SlowDown)<\/Code>/;

/** Requests to one bucket of an S3-compatible store: signed, with a deadline each, and repeated while the store is away. */
export class S3Client {
  /** Address of the bucket, for messages too. */
  readonly base: string;
  readonly #signer: AwsClient;
  readonly #retry: RetryPolicy;

  constructor(options: S3Options, retry: Partial<RetryPolicy>) {
    const { url, endpoint, region, accessKeyId, secretAccessKey, sessionToken } = options;
    const keys = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
    this.#signer = new AwsClient({ ...keys, region, service: 's3', retries: 0 });
    this.base = `${(endpoint ?? `https://s3.${region}.amazonaws.com`).replace(/\/$/, '')}/${new URL(url).host}`;
    this.#retry = { ...DEFAULT_RETRY, ...retry };
  }

  /** @throws HelioError HELIO-3006 when the store refuses it, or is away for longer than it is waited for */
  async request(request: S3Request, retry: Partial<RetryPolicy> = {}): Promise<S3Answer> {
    const given = { ...this.#retry, ...retry };
    const name = `The blob store ${this.base}`;
    try {
      return await withRetries(name, given, (attempt) => this.#attempt(request, attempt, given.answerMs), retryReason);
    } catch (error) {
      throw new HelioError(
        'HELIO-3006',
        `${name} did not ${request.method} ${request.at}: ${whyOf(error)}.`,
        'Check its address, keys and bucket; what was committed is kept.',
        { cause: error },
      );
    }
  }

  async #attempt(
    { method, at, headers, body, accepts = [] }: S3Request,
    { heard }: Attempt,
    answerMs: number,
  ): Promise<S3Answer> {
    const abort = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const expect = (ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(new SilenceError(ms)), ms);
    };
    const sendMs = ((body?.length ?? 0) / SLOWEST_BYTES_PER_S) * 1000;
    heard(sendMs);
    expect(answerMs + sendMs);
    try {
      const response = await this.#signer.fetch(`${this.base}${at}`, {
        method,
        signal: abort.signal,
        ...(headers === undefined ? {} : { headers }),
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> | string }),
      });
      const bytes = await readAll(response, () => {
        heard();
        expect(answerMs);
      });
      if (response.ok || accepts.includes(response.status))
        return { status: response.status, headers: response.headers, bytes };
      throw new RefusedError(response.status, new TextDecoder().decode(bytes.subarray(0, 4_096)));
    } catch (error) {
      // Fetch tells of an abort in its own words.
      throw abort.signal.aborted ? abort.signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The whole body; half an answer is none. */
async function readAll(response: Response, onBytes: () => void): Promise<Uint8Array> {
  const promised = Number(response.headers.get('content-length') ?? Number.NaN);
  const chunks: Uint8Array[] = [];
  let length = 0;
  onBytes();
  const startMs = performance.now();
  for await (const chunk of response.body ?? []) {
    onBytes();
    chunks.push(chunk);
    length += chunk.length;
    if (length > MOST_BYTES) throw new Error(`an answer of more than ${MOST_BYTES} bytes`);
    // An answer that only drips counts as silence.
    const tookMs = performance.now() - startMs;
    if (tookMs > 30_000 + (length / SLOWEST_BYTES_PER_S) * 1000) throw new SilenceError(tookMs);
  }
  const compressed = response.headers.has('content-encoding');
  const bodiless = response.body === null;
  if (!compressed && !bodiless && Number.isFinite(promised) && promised !== length) {
    throw Object.assign(new Error(`${length} bytes of ${promised}`), { code: 'ECONNRESET' });
  }
  return Buffer.concat(chunks, length);
}

/** The store has answered, and does not do it. */
class RefusedError extends Error {
  readonly passes: boolean;

  constructor(status: number, text: string) {
    const words = text
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
    super(`${status} ${words.slice(0, 200)}`.trim());
    this.passes = status >= 500 || status === 408 || status === 429 || PASSING.test(text);
  }
}

function retryReason(error: unknown): string | undefined {
  if (error instanceof RefusedError) return error.passes ? whyOf(error) : undefined;
  // An address that nothing can be sent to stays one; whatever else fetch throws is of the line.
  return error instanceof TypeError && /Invalid URL|Failed to parse/.test(error.message) ? undefined : whyOf(error);
}

function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, code } = (error.cause ?? {}) as { message?: string; code?: string };
  const cause = message || code;
  return cause === undefined ? error.message : `${error.message}: ${cause}`;
}
