import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Signal } from '../../../energy/policy/index.ts';
import { HelioError } from '../../../errors.ts';

/**
 * A switch for programs of the home: an energy manager that dims (§14a EnWG and its like), evcc, a script. It listens on this machine alone, or with a token.
 *
 * `PUT /v1/limit {limitW, untilS?, from?}` · `DELETE /v1/limit` · `GET /v1/standing`
 */
export interface SignalSwitch {
  readonly port: number;
  signals(nowMs: number): readonly Signal[];
  close(): Promise<void>;
}

const limitSchema = z.strictObject({
  limitW: z.number().min(0).max(1e7),
  /** Unix time, s; left out: until it is taken back. */
  untilS: z.number().positive().max(8.64e12).optional(),
  from: z.string().min(1).max(60).default('The home’s energy manager'),
});

const MOST_BYTES = 4_096;

/**
 * @param token undefined: anybody on this machine may; then it listens on the loopback alone
 * @throws HelioError HELIO-4001 when the port is in use
 */
export async function openSwitch(options: {
  readonly port: number;
  readonly token: string | undefined;
  readonly standing: () => unknown;
  readonly changed: () => void;
}): Promise<SignalSwitch> {
  let limit: Signal | undefined;
  const server = createServer((request, response) => void answer(request, response));
  server.requestTimeout = 5_000;
  server.maxConnections = 16;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    try {
      // A page in a browser of this machine is no program of the home.
      if (request.headers.origin !== undefined) return reply(403, { error: 'Not for web pages.' });
      if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`)
        return reply(401, { error: 'Send the token of site.yaml: Authorization: Bearer …' });
      const { pathname } = new URL(request.url ?? '/', 'http://switch');
      if (pathname === '/v1/standing' && request.method === 'GET') return reply(200, options.standing());
      if (pathname !== '/v1/limit') return reply(404, { error: 'There are /v1/limit and /v1/standing.' });
      if (request.method === 'DELETE') limit = undefined;
      else if (request.method === 'PUT') {
        const result = limitSchema.safeParse(JSON.parse(await bodyOf(request)));
        if (!result.success)
          return reply(400, {
            error: `${result.error.issues[0]!.path.join('.') || 'It'}: ${result.error.issues[0]!.message}. Send {"limitW": 0}.`,
          });
        const { limitW, untilS, from } = result.data;
        limit = { from, limitW, untilMs: untilS === undefined ? null : 1000 * untilS };
      } else return reply(405, { error: 'PUT or DELETE.' });
      options.changed();
      reply(200, { limit: limit ?? null });
    } catch (error) {
      reply(error instanceof SyntaxError ? 400 : 413, { error: 'It is no JSON, or too long.' });
    }
  }

  await listen(server, options);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    signals: (nowMs) => (limit === undefined || (limit.untilMs !== null && limit.untilMs <= nowMs) ? [] : [limit]),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > MOST_BYTES) throw new RangeError('too long');
  }
  return text;
}

function listen(
  server: Server,
  { port, token }: { readonly port: number; readonly token: string | undefined },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new HelioError(
          'HELIO-4001',
          `The switch for signals cannot listen on port ${port} (${error.code}).`,
          'Choose another `signals.port` in site.yaml.',
        ),
      ),
    );
    server.listen(port, token === undefined ? '127.0.0.1' : undefined, () => {
      server.on('error', () => {});
      resolve();
    });
  });
}
