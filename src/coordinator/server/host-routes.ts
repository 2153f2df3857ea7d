import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { receiptSchema } from '../../protocol/receipts.ts';
import { keysOf } from '../persistent-map.ts';
import { countOf } from '../roster.ts';
import type { RunState } from '../state.ts';
import type { SignedReceipt } from '../store/receipts.ts';

/** What a host may ask and do about who was let in, and what was signed for. */
export interface HostRouteHandlers {
  readonly state: () => RunState;
  readonly revoke: (invitation: string, islands: boolean) => void;
  readonly receipts: (island: string | null) => Promise<readonly SignedReceipt[]>;
}

const id = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/);
const invitationSchema = z.object({ invitation: id, islands: z.int(), revoked: z.boolean() }).openapi('Invitation');
const signedSchema = z.object({ receipt: receiptSchema, signature: z.string() }).openapi('SignedReceipt');
const island = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
const body = z.strictObject({ islands: z.boolean().default(false) });

const ROUTES = {
  list: createRoute({
    method: 'get',
    path: '/v1/invitations',
    summary: 'Invitations that islands came with, and those that were taken back.',
    security: [{ host: [] }],
    responses: { 200: json(z.array(invitationSchema), 'How many islands came with each.') },
  }),
  revoke: createRoute({
    method: 'post',
    path: '/v1/invitations/{invitation}/revoke',
    summary: 'Takes an invitation back; with `islands`, also those that came with it.',
    security: [{ host: [] }],
    request: {
      params: z.object({ invitation: id }),
      body: { content: { 'application/json': { schema: body } }, required: true },
    },
    responses: { 200: json(invitationSchema, 'Done.') },
  }),
  receipts: createRoute({
    method: 'get',
    path: '/v1/receipts',
    summary: 'The newest receipts (10,000 at most), of one island or of all.',
    security: [{ host: [] }],
    request: { query: z.object({ island: island.optional() }) },
    responses: { 200: json(z.array(signedSchema), 'What was merged, signed by both sides.') },
  }),
} as const;

/** Paths that only the host may use. */
export const HOST_PATHS = ['/v1/invitations', '/v1/invitations/*', '/v1/receipts'] as const;

export function addHostRoutes(app: OpenAPIHono, { state, revoke, receipts }: HostRouteHandlers): void {
  app.openapi(ROUTES.list, (c) => {
    const { islands, revoked = {} } = state();
    const ids = [...new Set([...keysOf(islands.byInvitation), ...Object.keys(revoked)])].toSorted();
    return c.json(
      ids.map((each) => described(state(), each)),
      200,
    );
  });
  app.openapi(ROUTES.revoke, (c) => {
    const { invitation } = c.req.valid('param');
    revoke(invitation, c.req.valid('json').islands);
    return c.json(described(state(), invitation), 200);
  });
  app.openapi(ROUTES.receipts, async (c) => c.json([...(await receipts(c.req.valid('query').island ?? null))], 200));
}

function described({ islands, revoked = {} }: RunState, invitation: string): z.output<typeof invitationSchema> {
  return {
    invitation,
    islands: countOf(islands.byInvitation, invitation),
    revoked: Object.hasOwn(revoked, invitation),
  };
}
