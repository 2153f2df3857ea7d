import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface Answer {
  readonly status: number;
  /** Seconds after which to come again, where the answer says so. */
  readonly retryAfterS: number | undefined;
  /** JSON, or undefined where it is none or too long. */
  readonly body: unknown;
}

const ANSWER_MS = 15_000;
const MAX_ANSWER_BYTES = 16_384;

/**
 * Sends JSON to an unverified host, with limits on time and size. The certificate is not checked: the OPAQUE messages prove who sent them.
 *
 * @param address HOST:PORT
 * @throws Error when nobody answers in time
 */
export function postJson(
  address: string,
  secure: boolean,
  path: string,
  body: unknown,
  signal: AbortSignal,
): Promise<Answer> {
  const url = new URL(`${secure ? 'https' : 'http'}://${address}${path}`);
  const payload = JSON.stringify(body);
  const options = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
    agent: false as const,
    // The whole exchange, also one that answers a byte at a time.
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
  };
  return new Promise((resolve, reject) => {
    const request = secure
      ? httpsRequest(url, { ...options, rejectUnauthorized: false, checkServerIdentity: () => undefined })
      : httpRequest(url, options);
    request.on('error', reject);
    request.on('response', (response) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes <= MAX_ANSWER_BYTES) return void pieces.push(piece);
        // Another program answered.
        resolve({ status: response.statusCode ?? 0, retryAfterS: undefined, body: undefined });
        request.destroy();
      });
      response.on('error', reject);
      response.on('end', () => {
        const after = Number(response.headers['retry-after']);
        resolve({
          status: response.statusCode ?? 0,
          retryAfterS: Number.isFinite(after) && after > 0 ? after : undefined,
          body: parsed(Buffer.concat(pieces).toString()),
        });
      });
    });
    request.end(payload);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
