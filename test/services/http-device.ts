import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { generate } from 'selfsigned';

export interface HttpDevice {
  /** `127.0.0.1:PORT`, as a template's host. */
  readonly host: string;
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
export interface Said {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Text, or what becomes JSON; undefined: it never answers. */
  readonly body: unknown;
}

/** A device with HTTP; `tls` with a certificate that nobody vouches for, as home devices have. */
export async function httpDevice(answer: (asked: Asked) => Said, tls = false): Promise<HttpDevice> {
  const asked: string[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '', headers } = request;
    asked.push(`${method} ${path}`);
    const { status = 200, headers: said = {}, body } = answer({ method, path, headers, body: await text(request) });
    if (body === undefined) return;
    response.writeHead(status, { ...said });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  const certificate = tls ? await generate([{ name: 'commonName', value: 'device.local' }]) : undefined;
  const server =
    certificate === undefined
      ? createServer((a, b) => void handle(a, b))
      : createTlsServer({ key: certificate.private, cert: certificate.cert }, (a, b) => void handle(a, b));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A device whose answers are by path. */
export const answersOf =
  (answers: Readonly<Record<string, unknown>>) =>
  ({ path }: Asked): Said =>
    Object.hasOwn(answers, path) ? { body: answers[path] } : { status: 404, body: 'Not Found' };
