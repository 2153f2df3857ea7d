import { timingSafeEqual } from 'node:crypto';
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi';
import { bearerAuth } from 'hono/bearer-auth';
import { bodyLimit } from 'hono/body-limit';
import { standingSchema } from '../../protocol/standing.ts';
import { allIslands } from '../roster.ts';
import { isOver, runStepOf } from '../run.ts';
import { standingOf } from '../standing.ts';
import type { Island, RunSettings, RunState } from '../state.ts';
import { addHostRoutes, HOST_PATHS, type HostHands } from './host-routes.ts';
import type { RunMetrics } from './metrics.ts';

/** An unknown island without an invitation asks to be let in. */
export interface Knock {
  readonly island: string;
  readonly key: string;
  readonly address: string;
}

/** The coordinator's HTTP side, on the same port as its WebSockets: health, metrics, and what its host may ask and do. */
export interface HttpOptions {
  readonly version: string;
  readonly run: string;
  readonly steps: number;
  /** What the host shows to be the host. */
  readonly adminToken: string;
  readonly state: () => RunState;
  readonly metrics: RunMetrics;
  readonly knocks: () => readonly Knock[];
  readonly answerKnock: (island: string, letIn: boolean) => boolean;
  readonly settings: RunSettings;
  readonly host: HostHands;
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
    islands: z.array(
      z.object({
        island: z.string(),
        key: z.string(),
        status: z.enum(['joining', 'training', 'gone']),
        step: z.int().nullable(),
        tokens: z.int(),
        offences: z.int(),
        standing: standingSchema,
      }),
    ),
  })
  .openapi('Status');
const knockSchema = z.object({ island: z.string(), key: z.string(), address: z.string() }).openapi('Knock');
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
    summary: 'Whether islands may come: no once the run is over.',
    responses: { 200: text('They may.'), 503: text('The run is over.') },
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
  knocks: createRoute({
    method: 'get',
    path: '/v1/knocks',
    summary: 'Unknown islands that ask to be let in.',
    security: [{ host: [] }],
    responses: { 200: json(z.array(knockSchema), 'Who waits.') },
  }),
  answer: createRoute({
    method: 'post',
    path: '/v1/knocks/{island}',
    summary: 'Lets an island in that knocked, or not.',
    security: [{ host: [] }],
    request: {
      params: island,
      body: { content: { 'application/json': { schema: z.strictObject({ letIn: z.boolean() }) } }, required: true },
    },
    responses: {
      200: json(z.object({ island: z.string(), letIn: z.boolean() }), 'Done.'),
      404: json(problem, 'Nobody of this name knocks.'),
    },
  }),
} as const;

export function httpSide(options: HttpOptions): OpenAPIHono {
  const { version, adminToken, metrics } = options;
  const app = new OpenAPIHono({
    defaultHook: (result, c) => (result.success ? undefined : c.json({ error: z.prettifyError(result.error) }, 400)),
  });
  const host = bearerAuth({ verifyToken: (token) => isEqual(token, adminToken) });
  for (const path of ['/metrics', '/v1/status', '/v1/knocks', '/v1/knocks/*', ...HOST_PATHS]) app.use(path, host);
  app.use(bodyLimit({ maxSize: 4_096 }));
  app.openAPIRegistry.registerComponent('securitySchemes', 'host', {
    type: 'http',
    scheme: 'bearer',
    description: "The text of `run.admin` in the run's folder.",
  });
  app.openapi(ROUTES.health, (c) => c.text('ok\n', 200));
  app.openapi(ROUTES.ready, (c) =>
    isOver(options.state().phase) ? c.text('the run is over\n', 503) : c.text('ready\n', 200),
  );
  app.openapi(ROUTES.metrics, async (c) => {
    c.header('content-type', metrics.contentType);
    return c.body(await metrics.text(), 200) as never;
  });
  app.openapi(ROUTES.status, (c) => c.json(statusOf(options), 200));
  app.openapi(ROUTES.knocks, (c) => c.json([...options.knocks()], 200));
  app.openapi(ROUTES.answer, (c) => {
    const { island: name } = c.req.valid('param');
    const { letIn } = c.req.valid('json');
    if (options.answerKnock(name, letIn)) return c.json({ island: name, letIn }, 200);
    return c.json({ error: `No island ${name} knocks.` }, 404);
  });
  addHostRoutes(app, options.host);
  app.doc31('/v1/openapi.json', { openapi: '3.1.0', info: { title: 'Heliotrope coordinator', version } });
  app.notFound((c) => c.json({ error: 'There is nothing here. See /v1/openapi.json.' }, 404));
  return app;
}

function statusOf({ run, steps, settings, state: stateNow }: HttpOptions): z.output<typeof statusSchema> {
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
    islands: allIslands(state.islands).map((each) => ({ ...shown(each), standing: standingOf(settings, state, each) })),
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

/** Takes as long for every wrong token. */
function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
