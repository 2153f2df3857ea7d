import { getConnInfo } from '@hono/node-server/conninfo';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';

/**
 * The HTTP routes of the join code on a local network: two requests and two answers, which `cli/lan/opaque-server.ts` handles. The coordinator only
 * carries them.
 */

/** Gives an invitation to whoever knows the run's code. The host's process implements it, not the coordinator. */
export interface JoinCodeServer {
  /** @param address of who asks @param request the first message of an exchange */
  begin(address: string, request: string): CodeBegun;
  /** @param attempt as `begin` named it @returns the sealed invitation, or undefined where the code was wrong or the time was up */
  finish(attempt: string, request: string): Promise<string | undefined>;
}

export type CodeBegun =
  | { readonly kind: 'begun'; readonly attempt: string; readonly response: string }
  /** Too many guesses: again after so many seconds. */
  | { readonly kind: 'later'; readonly afterS: number }
  /** A code is good on the local network, and this address is not of it. */
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'malformed' };

export const CODE_PATHS = { begin: '/v1/lan/begin', finish: '/v1/lan/finish' } as const;

/** Messages of the exchange: base64url, the longest of 427 characters. */
const message = z.string().regex(/^[A-Za-z0-9_-]{1,1024}$/);
const attempt = z.string().regex(/^[A-Za-z0-9_-]{16,64}$/);
const problem = z.object({ error: z.string() });
const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
const body = <T extends z.ZodType>(schema: T) => ({
  body: { content: { 'application/json': { schema } }, required: true },
});

export const beginAnswerSchema = z.object({ attempt, response: message });
export const finishAnswerSchema = z.object({ sealed: z.string().regex(/^[A-Za-z0-9_-]{1,8192}$/) });

const ROUTES = {
  begin: createRoute({
    method: 'post',
    path: CODE_PATHS.begin,
    summary: "Starts an exchange with the run's code (OPAQUE, RFC 9807: KE1); answers with KE2.",
    request: body(z.strictObject({ request: message })),
    responses: {
      200: json(beginAnswerSchema, 'The exchange has begun.'),
      400: json(problem, 'Malformed message.'),
      403: json(problem, 'Codes are taken on the local network alone.'),
      429: json(problem, 'There were too many guesses.'),
    },
  }),
  finish: createRoute({
    method: 'post',
    path: CODE_PATHS.finish,
    summary: 'The last message (KE3); answers with an invitation, sealed with the session key.',
    request: body(z.strictObject({ attempt, request: message })),
    responses: { 200: json(finishAnswerSchema, 'The invitation.'), 403: json(problem, 'The code was wrong.') },
  }),
} as const;

export function codeRoutes(app: OpenAPIHono, server: JoinCodeServer): void {
  app.openapi(ROUTES.begin, (c) => {
    const begun = server.begin(getConnInfo(c).remote.address ?? '', c.req.valid('json').request);
    switch (begun.kind) {
      case 'begun':
        return c.json({ attempt: begun.attempt, response: begun.response }, 200);
      case 'later':
        c.header('retry-after', String(begun.afterS));
        return c.json(
          { error: 'There were too many wrong codes. Try again later, or join by an invitation link.' },
          429,
        );
      case 'elsewhere':
        return c.json(
          { error: 'A code is good on the local network. From elsewhere, join by an invitation link.' },
          403,
        );
      case 'malformed':
        return c.json({ error: 'This is not the first message of an exchange.' }, 400);
    }
  });
  app.openapi(ROUTES.finish, async (c) => {
    const { attempt: which, request } = c.req.valid('json');
    const sealed = await server.finish(which, request);
    return sealed === undefined ? c.json({ error: 'The code is wrong.' }, 403) : c.json({ sealed }, 200);
  });
}
