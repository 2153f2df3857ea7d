import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { HelioError } from '../../errors.ts';
import { HOUR_MS } from '../series.ts';
import type { IntensityConfig } from '../site/sources-schema.ts';
import { fetchJson, NoAnswer, under } from './answer.ts';
import { Feed, type SourceDeps } from './feed.ts';
import type { Points } from './points.ts';

/** Services that know the carbon intensity of a grid, by the shape of their answers. */

type ConfigOf<K> = Extract<IntensityConfig, { kind: K }>;
const TIMEOUT_MS = 10_000;
/** lb/MWh to g/kWh: a pound is 453.59237 g. */
export const G_PER_KWH_OF_LB_PER_MWH = 0.45359237;
const MOST_ROWS = 20_000;
const moment = z.iso.datetime({ offset: true }).or(z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\dZ$/));
const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`;

/** @throws NoAnswer naming the place in the answer that is of another shape */
export function shaped<T>(name: string, schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new NoAnswer(
    'HELIO-6202',
    `${name} answered JSON of another shape: ${path.join('.') || 'the whole'}: ${message.slice(0, 200)}.`,
    'Check base URL and zone; the service may have another version.',
  );
}

/** @throws HelioError HELIO-6203 where the variable or file is not there */
export function secret(
  from: { env?: string | undefined; file?: string | undefined },
  deps: SourceDeps,
  key = 'token',
): string {
  let found = from.env === undefined ? undefined : deps.env[from.env];
  if (found === undefined && from.file !== undefined)
    try {
      found = readFileSync(from.file, 'utf8').split(/\r?\n/, 1)[0];
    } catch {
      found = undefined;
    }
  const token = found?.trim();
  if (token !== undefined && /^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  const where = [from.env === undefined ? [] : `the variable ${from.env}`, from.file ?? []].flat().join(' nor ');
  throw new HelioError(
    'HELIO-6203',
    where === '' ? 'A token is needed, and neither env nor file is given.' : `There is no ${key} in ${where}.`,
    `Set it, or name another under \`${key}\`.`,
  );
}

/** What a service says must reach the hours that were asked for: old hours alone are no answer. */
function notOld(name: string, points: Points, fromMs: number, nowMs: number): void {
  const last = points.points.reduce((most, [atMs]) => Math.max(most, atMs + points.stepMs), Number.NEGATIVE_INFINITY);
  if (last > fromMs) return;
  const until = Number.isFinite(last) ? `ends at ${iso(last)}` : 'is empty';
  throw new NoAnswer(
    'HELIO-6202',
    `${name}: its answer is stale: it ${until}, and the clock here says ${iso(nowMs)}.`,
    'If that clock is wrong, set it. The service is asked again later.',
  );
}

function aboutZone(name: string, said: string | undefined, asked: string): void {
  if (said === undefined || said.toUpperCase() === asked.toUpperCase()) return;
  throw new NoAnswer(
    'HELIO-6202',
    `${name} answered for ${said.slice(0, 60)}, and was asked for ${asked}.`,
    'Check `zone` and the base URL.',
  );
}

const gbSchema = z.object({
  data: z
    .array(
      z.object({
        from: moment,
        intensity: z.object({ forecast: z.number().nullable(), actual: z.number().nullable().optional() }),
      }),
    )
    .max(MOST_ROWS),
});

export function gbFeed({ baseUrl }: ConfigOf<'gb-carbon-intensity'>, deps: SourceDeps): Feed<Points> {
  const name = 'GB Carbon Intensity';
  const { timeoutMs = TIMEOUT_MS } = deps;
  return new Feed(
    {
      name: 'gb-carbon-intensity',
      about: baseUrl,
      // What the service gives at once.
      mostMs: 14 * 24 * HOUR_MS,
      async ask(fromMs, toMs) {
        const url = under(baseUrl, `/intensity/${iso(fromMs)}/${iso(toMs)}`);
        const answer = await fetchJson(name, url, { timeoutMs, nowMs: deps.nowMs });
        notOld(name, this.parse(answer), fromMs, deps.nowMs());
        return answer;
      },
      parse: (answer) => ({
        stepMs: HOUR_MS / 2,
        points: shaped(name, gbSchema, answer).data.map(({ from, intensity: { actual, forecast } }) => [
          Date.parse(from),
          actual ?? forecast ?? Number.NaN,
        ]),
      }),
    },
    deps,
  );
}

const emPoint = z.object({
  carbonIntensity: z.number().nullable(),
  datetime: moment,
  isEstimated: z.boolean().nullish(),
});
const emZone = z.object({ zone: z.string().optional() });
const emSchema = z
  .array(
    z.union([
      emZone.extend({ forecast: z.array(emPoint).max(MOST_ROWS) }),
      emZone.extend({ history: z.array(emPoint).max(MOST_ROWS) }),
      emZone.extend(emPoint.shape),
    ]),
  )
  .max(3);

export function electricityMapsFeed(
  { baseUrl, token, products }: ConfigOf<'electricity-maps'>,
  zone: string,
  deps: SourceDeps,
): Feed<Points> {
  const name = 'Electricity Maps';
  const { timeoutMs = TIMEOUT_MS } = deps;
  return new Feed(
    {
      name: 'electricity-maps',
      about: `${baseUrl} ${zone} ${products.join()}`,
      async ask(fromMs) {
        const headers = { 'auth-token': secret(token, deps) };
        const answers: unknown[] = [];
        for (const product of products) {
          const url = under(baseUrl, `/v3/carbon-intensity/${product}`);
          url.searchParams.set('zone', zone);
          url.searchParams.set('emissionFactorType', 'lifecycle');
          answers.push(await fetchJson(name, url, { headers, timeoutMs, nowMs: deps.nowMs }));
        }
        notOld(name, this.parse(answers), fromMs, deps.nowMs());
        return answers;
      },
      parse(answer) {
        const parts = shaped(name, emSchema, answer);
        for (const part of parts) aboutZone(name, part.zone, zone);
        const all = parts.flatMap((each) =>
          'forecast' in each ? each.forecast : 'history' in each ? each.history : [each],
        );
        const estimated = all.filter(({ isEstimated }) => isEstimated === true).length;
        return {
          stepMs: HOUR_MS,
          points: all.map((point) => [Date.parse(point.datetime), point.carbonIntensity ?? Number.NaN]),
          ...(estimated === 0 ? {} : { remark: `${estimated} of ${all.length} hours estimated` }),
        };
      },
    },
    deps,
  );
}

const wtLogin = z.object({ token: z.string().min(1).max(8_192) });
const wtSchema = z.object({
  data: z.array(z.object({ point_time: moment, value: z.number() })).max(MOST_ROWS),
  meta: z.object({
    region: z.string().optional(),
    units: z.literal('lbs_co2_per_mwh'),
    data_point_period_seconds: z.number().min(60).max(86_400).default(300),
  }),
});

export function wattTimeFeed(
  { baseUrl, user, token: password }: ConfigOf<'watttime'>,
  region: string,
  deps: SourceDeps,
): Feed<Points> {
  const name = 'WattTime';
  const { timeoutMs = TIMEOUT_MS } = deps;
  let token: string | undefined;
  const logIn = async (): Promise<string> => {
    const pair = Buffer.from(`${user}:${secret(password, deps)}`).toString('base64');
    const headers = { authorization: `Basic ${pair}` };
    return shaped(
      name,
      wtLogin,
      await fetchJson(name, under(baseUrl, '/login'), { headers, timeoutMs, nowMs: deps.nowMs }),
    ).token;
  };
  return new Feed(
    {
      name: 'watttime',
      about: `${baseUrl} ${region}`,
      // What it forecasts.
      mostMs: 72 * HOUR_MS,
      async ask(fromMs, toMs) {
        const url = under(baseUrl, '/v3/forecast');
        const hours = Math.min(72, Math.max(1, Math.ceil((toMs - deps.nowMs()) / HOUR_MS)));
        const query = { region, signal_type: 'co2_moer', horizon_hours: String(hours) };
        for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
        const ask = (): Promise<unknown> =>
          fetchJson(name, url, { headers: { authorization: `Bearer ${token}` }, timeoutMs, nowMs: deps.nowMs });
        const isNew = token === undefined;
        token ??= await logIn();
        let answer: unknown;
        try {
          answer = await ask();
        } catch (error) {
          // A token lives half an hour.
          if (isNew || !(error instanceof HelioError) || error.code !== 'HELIO-6204') throw error;
          token = await logIn();
          answer = await ask();
        }
        notOld(name, this.parse(answer), fromMs, deps.nowMs());
        return answer;
      },
      parse(answer) {
        const { data, meta } = shaped(name, wtSchema, answer);
        aboutZone(name, meta.region, region);
        return {
          stepMs: meta.data_point_period_seconds * 1000,
          points: data.map(({ point_time, value }) => [Date.parse(point_time), value * G_PER_KWH_OF_LB_PER_MWH]),
        };
      },
    },
    deps,
  );
}
