import http from 'node:http';
import https from 'node:https';
import { late, unreachable } from '../fault.ts';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface Request {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly selfSigned: boolean;
}

/** Longest answer of a device. */
const MOST_BYTES = 2 ** 20;

/**
 * One request to a device of the home. It follows no redirect, and goes through no proxy.
 *
 * @throws HelioError HELIO-6101 or HELIO-6105
 */
export function request(device: string, url: URL, options: Request): Promise<Answer> {
  const { method, headers, body, timeoutMs, selfSigned } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const send = url.protocol === 'https:' ? https.request : http.request;
  const sent = send(
    url,
    { method, headers, agent: false, ...(selfSigned ? { rejectUnauthorized: false } : {}) },
    (response) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > MOST_BYTES) sent.destroy(new Error(`its answer is longer than ${MOST_BYTES} bytes`));
        else pieces.push(piece);
      });
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(pieces).toString('utf8'),
        }),
      );
      response.on('error', (error) => reject(unreachable(device, url.host, error)));
    },
  );
  // Of the whole, not of a pause: a device that sends a byte a second would never end.
  const timer = setTimeout(() => {
    reject(late(device, url.host, `answer ${url.pathname}`, timeoutMs));
    sent.destroy();
  }, timeoutMs);
  sent.on('error', (error) => reject(unreachable(device, url.host, error)));
  sent.on('close', () => clearTimeout(timer));
  sent.end(body);
  return promise;
}
