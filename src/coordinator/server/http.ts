import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi';
import { bearerAuth } from 'hono/bearer-auth';
import { bodyLimit } from 'hono/body-limit';
import { HelioError } from '../../errors.ts';
import { standingSchema } from '../../protocol/standing.ts';
import { allIslands } from '../roster.ts';
import { isOver, runStepOf } from '../run.ts';
import { type Factors, islandShare, islandShareSchema, type RunEnergy, runEnergySchema } from '../run-energy.ts';
import { standingOf } from '../standing.ts';
import type { Island, RunSettings, RunState } from '../state.ts';
import type { PlanView } from './energy-planner.ts';
import { addHostRoutes, HOST_PATHS, type HostRouteHandlers } from './host-routes.ts';
import { codeRoutes, type JoinCodeServer } from './join-code-routes.ts';
import type { RunMetrics } from './metrics.ts';
import { addPlanRoute, PLAN_PATH } from './plan-routes.ts';

/** An unknown island without an invitation asks to be let in. */
export interface JoinRequest {
  readonly island: string;
  readonly key: string;
  readonly address: string;
}

/** The coordinator's HTTP side, on the same port as its WebSockets: health, metrics, and what its host may ask and do. */
export interface HttpOptions {
  readonly version: string;
  readonly run: string;
  readonly steps: number;
  /** The host's bearer token. */
  readonly adminToken: string;
  readonly state: () => RunState;
  readonly metrics: RunMetrics;
  readonly joinRequests: () => readonly JoinRequest[];
  /** @throws HelioError HELIO-4003 when several ask under that name */
  readonly answerJoinRequest: (island: string, letIn: boolean, key: string | undefined) => boolean;
  /** The host is at the other end of this connection. */
  readonly isHost: (socket: Socket) => void;
  readonly settings: RunSettings;
  readonly energy: () => RunEnergy;
  readonly factors: Factors;
  readonly host: HostRouteHandlers;
  /** Why the run cannot go on now; null where it can. */
  readonly ready: () => Promise<string | null>;
  readonly codes?: JoinCodeServer | undefined;
  /** Undefined where there is none. */
  readonly plan: () => PlanView | undefined;
}

const problem = z.object({ error: z.string() }).openapi('Problem');
const text = (description: string) => ({ description, content: { 'text/plain': { schema: z.string() } } });
const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

const statusSchema = z
  .object({
    run: z.string(),
    phase: z.string(),
    runStep: z.int(),
    steps: z.int(),
    merges: z.int(),
    mergedTokens: z.number(),
    validationLoss: z.number().nullable(),
    checkpoint: z.string().nullable(),
    /** Islands that did not save theirs with it. */
    checkpointMissing: z.array(z.string()),
    energy: runEnergySchema,
    islands: z.array(
      z.object({
        island: z.string(),
        key: z.string(),
        status: z.enum(['joining', 'training', 'away', 'gone']),
        step: z.int().nullable(),
        tokens: z.int(),
        offences: z.int(),
        standing: standingSchema,
        energy: islandShareSchema,
      }),
    ),
  })
  .openapi('Status');
const joinRequestSchema = z.object({ island: z.string(), key: z.string(), address: z.string() }).openapi('JoinRequest');
const island = z.object({ island: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/) });

const ROUTES = {
  health: createRoute({
    method: 'get',
    path: '/healthz',
    summary: 'Whether the process lives.',
    responses: { 200: text('It does.') },
  }),
  ready: createRoute({
    method: 'get',
    path: '/readyz',
    summary: 'Whether islands may come: no once the run is over, or while its stores do not answer.',
    responses: { 200: text('They may.'), 503: text('Why not.') },
  }),
  metrics: createRoute({
    method: 'get',
    path: '/metrics',
    summary: "Prometheus' text format.",
    security: [{ host: [] }],
    responses: { 200: text('The metrics.') },
  }),
  status: createRoute({
    method: 'get',
    path: '/v1/status',
    summary: 'Where the run is.',
    security: [{ host: [] }],
    responses: { 200: json(statusSchema, 'The run.') },
  }),
  joinRequests: createRoute({
    method: 'get',
    path: '/v1/join-requests',
    summary: 'Unknown islands that ask to be let in.',
    security: [{ host: [] }],
    responses: { 200: json(z.array(joinRequestSchema), 'Who waits.') },
  }),
  answer: createRoute({
    method: 'post',
    path: '/v1/join-requests/{island}',
    summary: 'Lets in an island that asked to join, or declines it.',
    security: [{ host: [] }],
    request: {
      params: island,
      body: {
        content: {
          'application/json': { schema: z.strictObject({ letIn: z.boolean(), key: z.string().max(43).optional() }) },
        },
        required: true,
      },
    },
    responses: {
      200: json(z.object({ island: z.string(), letIn: z.boolean() }), 'Done.'),
      404: json(problem, 'Nobody of this name asks to join.'),
      409: json(problem, 'Several ask under this name: say whose key it is.'),
    },
  }),
} as const;

export function httpSide(options: HttpOptions): OpenAPIHono {
  const { version, adminToken, metrics } = options;
  const app = new OpenAPIHono({
    defaultHook: (result, c) => (result.success ? undefined : c.json({ error: z.prettifyError(result.error) }, 400)),
  });
  const host = bearerAuth({
    verifyToken: (token, c) => {
      if (!isEqual(token, adminToken)) return false;
      const { incoming } = (c.env ?? {}) as { readonly incoming?: IncomingMessage };
      if (incoming !== undefined) options.isHost(incoming.socket);
      return true;
    },
  });
  for (const path of ['/metrics', '/v1/status', '/v1/join-requests', '/v1/join-requests/*', PLAN_PATH, ...HOST_PATHS])
    app.use(path, host);
  app.use(bodyLimit({ maxSize: 4_096 }));
  app.openAPIRegistry.registerComponent('securitySchemes', 'host', {
    type: 'http',
    scheme: 'bearer',
    description: "The text of `run.admin` in the run's folder.",
  });
  app.openapi(ROUTES.health, (c) => c.text('ok\n', 200));
  app.openapi(ROUTES.ready, async (c) => {
    if (isOver(options.state().phase)) return c.text('the run is over\n', 503);
    const why = await options.ready();
    return why === null ? c.text('ready\n', 200) : c.text(`${why}\n`, 503);
  });
  app.openapi(ROUTES.metrics, async (c) => {
    c.header('content-type', metrics.contentType);
    return c.body(await metrics.text(), 200) as never;
  });
  app.openapi(ROUTES.status, (c) => c.json(statusOf(options), 200));
  app.openapi(ROUTES.joinRequests, (c) => c.json([...options.joinRequests()], 200));
  app.openapi(ROUTES.answer, (c) => {
    const { island: name } = c.req.valid('param');
    const { letIn, key } = c.req.valid('json');
    try {
      if (options.answerJoinRequest(name, letIn, key)) return c.json({ island: name, letIn }, 200);
    } catch (error) {
      if (error instanceof HelioError) return c.json({ error: error.message }, 409);
      throw error;
    }
    return c.json({ error: `No island ${name} asks to join.` }, 404);
  });
  addHostRoutes(app, options.host);
  addPlanRoute(app, options.plan);
  if (options.codes !== undefined) codeRoutes(app, options.codes);
  // Made once: it costs a hundred times what a request costs, and anybody may ask for it.
  let description: string | undefined;
  app.get('/v1/openapi.json', (c) => {
    const about = { openapi: '3.1.0', info: { title: 'Heliotrope coordinator', version } };
    description ??= JSON.stringify(app.getOpenAPI31Document(about));
    return c.body(description, 200, { 'content-type': 'application/json' });
  });
  app.notFound((c) => c.json({ error: 'There is nothing here. See /v1/openapi.json.' }, 404));
  return app;
}

function statusOf({
  run,
  steps,
  settings,
  energy,
  factors,
  state: stateNow,
}: HttpOptions): z.output<typeof statusSchema> {
  const state = stateNow();
  return {
    run,
    phase: state.phase,
    runStep: runStepOf(state),
    steps,
    merges: state.merges,
    mergedTokens: state.mergedTokens,
    validationLoss: state.lastLoss,
    checkpoint: state.committed?.id ?? null,
    checkpointMissing: [...(state.committed?.missing ?? [])],
    energy: energy(),
    islands: allIslands(state.islands).map((each) => ({
      ...shown(each),
      standing: standingOf(settings, state, each),
      energy: islandShare(each, factors),
    })),
  };
}

const shown = ({ name, key, status, progress, past, offences }: Island) => ({
  island: name,
  key,
  status,
  step: progress?.step ?? null,
  tokens: (progress?.tokens ?? 0) + (past?.tokens ?? 0),
  offences,
});

/** In constant time. */
function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
