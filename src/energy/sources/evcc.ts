import { z } from 'zod';
import { HelioError } from '../../errors.ts';
import type { Vehicle } from '../policy/index.ts';
import { fetchJson } from './answer.ts';
import { Feed, type SourceDeps } from './feed.ts';
import type { Points } from './points.ts';
import { shaped } from './services.ts';

/**
 * evcc, the energy manager that charges cars with the sun: `GET /api/state` (docs.evcc.io/en/reference/state) and `GET /api/tariff/grid`
 * (docs.evcc.io/en/integrations/rest-api). Versions before 0.207 wrap both in `result`.
 */

export interface EvccAddress {
  readonly host: string;
  readonly port: number;
}

const NAME = 'evcc';
const TIMEOUT_MS = 5_000;
const POLL_MS = 10_000;
/** Older says nothing of now. */
const STALE_MS = 60_000;
const MOST_LOADPOINTS = 32;
const MOST_TITLE = 40;
const AGAIN = 'It is asked again by itself.';

const urlOf = ({ host, port }: EvccAddress, path: string): URL => new URL(path, `http://${host}:${port}`);

const amount = z.number().min(0).max(1e6).nullish();
const loadpointSchema = z.object({
  title: z.string().max(1_000).nullish(),
  mode: z.string().max(40).nullish(),
  connected: z.boolean().nullish(),
  charging: z.boolean().nullish(),
  enabled: z.boolean().nullish(),
  /** W. */
  chargePower: z.number().min(-1e6).max(1e6).nullish(),
  /** A. */
  offeredCurrent: amount,
  minCurrent: amount,
  maxCurrent: amount,
  effectiveMinCurrent: amount,
  effectiveMaxCurrent: amount,
  phasesActive: amount,
  vehicleSoc: amount,
  effectiveLimitSoc: amount,
  smartCostActive: z.boolean().nullish(),
});
type Loadpoint = z.output<typeof loadpointSchema>;
const stateSchema = z.object({ loadpoints: z.array(loadpointSchema).max(MOST_LOADPOINTS) });

export interface EvccState {
  /** Those that charge with the sun, and take less than they would. */
  readonly vehicles: readonly Vehicle[];
  /** Whether evcc charges with power from the grid, as it is cheap or clean now. */
  readonly isCheap: boolean;
}

/** @throws NoAnswer where it is no state of evcc */
export function evccState(answer: unknown): EvccState {
  const { loadpoints } = shaped(NAME, stateSchema, unwrapped(answer));
  return {
    vehicles: loadpoints.flatMap((loadpoint, i) => waiting(loadpoint, i) ?? []),
    isCheap: loadpoints.some(({ charging, smartCostActive }) => charging === true && smartCostActive === true),
  };
}

const VOLTS = 230;
/** A car that takes less of what it is offered is nearly full, and would take no more. */
const TAKES_ALL = 0.8;

/** A load point that would take more of the sun; undefined for one that would not. */
function waiting(point: Loadpoint, index: number): Vehicle | undefined {
  const { mode, connected, charging, enabled, vehicleSoc, effectiveLimitSoc } = point;
  if (connected !== true || (mode !== 'pv' && mode !== 'minpv')) return undefined;
  if (vehicleSoc && effectiveLimitSoc && vehicleSoc >= effectiveLimitSoc) return undefined;
  const perAmpereW = VOLTS * Math.min(3, Math.max(1, point.phasesActive || 1));
  const mostW = perAmpereW * (point.effectiveMaxCurrent || point.maxCurrent || 16);
  const takesW = charging === true ? Math.max(0, point.chargePower ?? 0) : 0;
  // It is offered power, and takes none: it is full.
  if (charging !== true && enabled === true) return undefined;
  const offeredW = perAmpereW * (point.offeredCurrent ?? 0);
  if (charging === true && takesW < TAKES_ALL * offeredW) return undefined;
  if (takesW >= 0.95 * mostW) return undefined;
  return {
    name:
      (point.title ?? '')
        .replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
        .trim()
        .slice(0, MOST_TITLE) || `charger ${index + 1}`,
    // While it charges, any power more is taken.
    leastW: charging === true ? 0 : perAmpereW * (point.effectiveMinCurrent || point.minCurrent || 6),
    moreW: mostW - takesW,
  };
}

/** evcc as a home's island sees it: asked every ten seconds, beside the policy, which never waits for it. */
export class Evcc {
  readonly #address: EvccAddress;
  readonly #deps: SourceDeps;
  #state: EvccState | undefined;
  #heardMs: number;
  #dueMs = Number.NEGATIVE_INFINITY;
  #problem: HelioError | undefined;
  #asking: Promise<void> | undefined;

  constructor(address: EvccAddress, deps: SourceDeps) {
    this.#address = address;
    this.#deps = deps;
    this.#heardMs = deps.nowMs();
  }

  /** Cheap while it is not due. Never rejects for what evcc does. */
  poll(): Promise<void> {
    const nowMs = this.#deps.nowMs();
    if (this.#asking === undefined && nowMs < this.#dueMs && this.#dueMs - nowMs <= POLL_MS) return Promise.resolve();
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** @returns undefined where nobody knows what its cars want */
  state(nowMs: number): EvccState | undefined {
    return Math.abs(nowMs - this.#heardMs) > STALE_MS ? undefined : this.#state;
  }

  /** When it was last heard, Unix ms. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Why it is not heard. */
  get problem(): string | undefined {
    return this.#problem?.what;
  }

  async #ask(): Promise<void> {
    const { nowMs, say, timeoutMs = TIMEOUT_MS } = this.#deps;
    try {
      this.#state = evccState(
        await fetchJson(NAME, urlOf(this.#address, '/api/state'), { timeoutMs, nowMs, again: AGAIN }),
      );
      this.#heardMs = nowMs();
      if (this.#problem !== undefined) say('evcc is heard again');
      this.#problem = undefined;
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      if (this.#problem === undefined) say(`what evcc leaves nobody knows: ${error.message}`);
      this.#problem = error;
    }
    this.#dueMs = nowMs() + POLL_MS;
  }
}

const rate = z.object({
  start: z.iso.datetime({ offset: true }),
  end: z.iso.datetime({ offset: true }),
  value: z.number().nullish(),
  /** Its name before 0.207. */
  price: z.number().nullish(),
});
const ratesSchema = z.object({ rates: z.array(rate).max(2_000) });
const HOUR_MS = 3_600_000;
const LEAST_STEP_MS = 60_000;

/** Prices of power from the grid, as evcc knows them. */
export const evccTariff = (address: EvccAddress, deps: SourceDeps): Feed<Points> =>
  new Feed(
    {
      name: 'evcc-tariff',
      about: `${address.host}:${address.port}`,
      ask: () =>
        fetchJson(NAME, urlOf(address, '/api/tariff/grid'), {
          timeoutMs: deps.timeoutMs ?? TIMEOUT_MS,
          nowMs: deps.nowMs,
          again: AGAIN,
        }),
      parse: (answer) => pointsOf(shaped(NAME, ratesSchema, unwrapped(answer)).rates),
    },
    deps,
  );

/** Rates of any lengths, as steps of the shortest. */
function pointsOf(rates: readonly z.output<typeof rate>[]): Points {
  const spans = rates
    .map(({ start, end, value, price }) => ({
      startMs: Date.parse(start),
      endMs: Date.parse(end),
      value: value ?? price ?? Number.NaN,
    }))
    .filter(({ startMs, endMs }) => endMs > startMs && endMs - startMs <= 48 * HOUR_MS);
  const shortest = Math.min(HOUR_MS, ...spans.map(({ startMs, endMs }) => endMs - startMs));
  const stepMs = Math.max(LEAST_STEP_MS, shortest);
  return {
    stepMs,
    points: spans.flatMap(({ startMs, endMs, value }) =>
      Array.from({ length: Math.round((endMs - startMs) / stepMs) }, (_, i) => [startMs + i * stepMs, value] as const),
    ),
  };
}

const unwrapped = (answer: unknown): unknown =>
  typeof answer === 'object' && answer !== null && 'result' in answer ? answer.result : answer;
