import { existsSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import path from 'node:path';
import { HelioError } from '../errors.ts';
import { readServed } from './addresses.ts';

/**
 * Asks the coordinator that serves a run on this machine, as its host.
 *
 * @throws HelioError HELIO-4002 when it does not answer, HELIO-1005 when it was never served or says no
 */
export async function askCoordinator<T>(
  folder: string,
  method: 'GET' | 'POST',
  at: string,
  body?: unknown,
): Promise<T> {
  const { listens, secure } = readServed(folder);
  const token = readFileSync(path.join(folder, 'run.admin'), 'utf8').trim();
  const certificate = path.join(folder, 'tls.cert.pem');
  // A self-signed certificate names no address; it is trusted because it is the file in the run's folder.
  const trust = existsSync(certificate)
    ? { ca: readFileSync(certificate), checkServerIdentity: () => undefined }
    : { rejectUnauthorized: false };
  const everywhere = listens.host === '0.0.0.0' ? '127.0.0.1' : listens.host === '::' ? '::1' : listens.host;
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const options = { host: everywhere, port: listens.port, path: at, method, headers, timeout: 10_000 };
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const request = secure ? httpsRequest({ ...options, ...trust }) : httpRequest(options);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data: string) => {
        text += data;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 10 s')));
    request.on('error', (error) =>
      reject(
        new HelioError(
          'HELIO-4002',
          `No coordinator answers at ${everywhere}:${listens.port} (${error.message}).`,
          `Start it: \`heliotrope serve --resume ${path.basename(folder)}\`.`,
          { cause: error },
        ),
      ),
    );
    request.end(payload);
  });
  const answer = JSON.parse(text) as T & { readonly error?: string };
  if (status < 300) return answer;
  throw new HelioError('HELIO-1005', answer.error ?? `The coordinator answered ${status}.`, 'See `heliotrope status`.');
}
