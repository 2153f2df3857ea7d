import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { PlanView } from './energy-planner.ts';

const wh = z.array(z.number());
const planSchema = z
  .object({
    objective: z.enum(['carbon', 'cost']),
    deadlineS: z.number(),
    tokensLeft: z.number(),
    /** The rule that makes a plan impossible; null where there is one. */
    rule: z.string().nullable(),
    message: z.string(),
    sunTokens: z.number(),
    gridTokens: z.number(),
    /** g or currency. */
    gridTotal: z.number(),
    /** Jain's index of planned energy as a share of what each island has; null where nothing is planned. */
    balance: z.number().nullable(),
    /** The first hour of the budgets, Unix time. */
    startS: z.number(),
    /** Each island's budget, in Wh an hour. */
    islands: z.array(z.object({ island: z.string(), sunWh: wh, gridWh: wh })),
  })
  .openapi('Plan');

const ROUTE = createRoute({
  method: 'get',
  path: '/v1/plan',
  summary: 'When islands are expected to train, and planned to take power from the grid.',
  security: [{ host: [] }],
  responses: {
    200: {
      description: 'The plan, or the rule that makes none possible.',
      content: { 'application/json': { schema: planSchema } },
    },
    404: {
      description: 'The run file asks for no plan, or none is made yet.',
      content: { 'application/json': { schema: z.object({ error: z.string() }) } },
    },
  },
});

export const PLAN_PATH = '/v1/plan';

/** What the run plans of its islands' energy. */
export function addPlanRoute(app: OpenAPIHono, view: () => PlanView | undefined): void {
  app.openapi(ROUTE, (c) => {
    const plan = view();
    if (plan === undefined)
      return c.json(
        { error: 'There is no plan: the run file has no energy.plan, or no island has told its forecast yet.' },
        404,
      );
    const { startMs, deadlineMs, balance, islands, ...rest } = plan;
    return c.json(
      {
        ...rest,
        startS: startMs / 1000,
        deadlineS: deadlineMs / 1000,
        balance: Number.isNaN(balance) ? null : balance,
        islands: islands.map(({ island, sunWh, gridWh }) => ({ island, sunWh: [...sunWh], gridWh: [...gridWh] })),
      },
      200,
    );
  });
}
