import { z } from 'zod';
import type { GridOperatorConfig, SecretFrom } from '../site/grid-operator-schema.ts';
import { fetchJson, NoAnswer, under } from './answer.ts';
import type { SourceDeps } from './feed.ts';
import { type AdrEvent, eventSchema } from './openadr.ts';
import { secret, shaped } from './services.ts';

/**
 * A virtual top node of OpenADR 3 (its OpenAPI: `GET /programs`, `GET /events`, `POST /auth/token` by OAuth 2 client credentials, RFC 6749 §4.4), as a virtual end node asks it.
 */

export const NAME = 'The grid operator’s VTN';
const TIMEOUT_MS = 8_000;
/** What one page holds at most, by the specification, and how many are read. */
const PAGE = 50;
const MOST_PAGES = 10;
/** A token is renewed so long before it ends. */
const EARLY_MS = 30_000;
const LONGEST_TOKEN_S = 86_400;
const AGAIN = 'It is asked again by itself.';

const tokenSchema = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]{1,8192}$/, 'no token that a header can carry'),
  expires_in: z.number().positive().nullish(),
});
const programsSchema = z.array(z.object({ id: z.string().max(200), programName: z.string().max(500) })).max(1_000);
const rowsSchema = z.array(z.unknown()).max(1_000);

export interface Heard {
  readonly events: readonly AdrEvent[];
  /** Events that are of another shape, and those beyond what is read: they are not obeyed. */
  readonly unread: number;
}

export class Vtn {
  readonly #config: GridOperatorConfig;
  readonly #deps: SourceDeps;
  readonly clientId: string;
  readonly #secret: string;
  #token: { readonly text: string; readonly untilMs: number } | undefined;

  /** @throws HelioError HELIO-6203 where client id or secret are not there */
  constructor(config: GridOperatorConfig, deps: SourceDeps) {
    this.#config = config;
    this.#deps = deps;
    this.clientId = credential(config.clientId, 'gridOperator.clientId', deps);
    this.#secret = credential(config.clientSecret, 'gridOperator.clientSecret', deps);
  }

  /** The id of the site's program. @throws NoAnswer where the VTN has none of that name, or does not answer */
  async program(): Promise<string> {
    const names: string[] = [];
    for (let page = 0; page < MOST_PAGES; page++) {
      const found = shaped(NAME, programsSchema, await this.#get(`/programs?skip=${page * PAGE}&limit=${PAGE}`));
      const wanted = found.find(({ id, programName }) => [id, programName].includes(this.#config.program));
      if (wanted !== undefined) return wanted.id;
      names.push(...found.map(({ programName }) => programName));
      if (found.length < PAGE) break;
    }
    throw new NoAnswer(
      'HELIO-6202',
      `${NAME} has no program ${this.#config.program}; it has ${names.slice(0, 10).join(', ').slice(0, 300) || 'none'}.`,
      'Correct `gridOperator.program` in site.yaml.',
    );
  }

  /** One that is of another shape hides no other. @throws NoAnswer */
  async events(programId: string): Promise<Heard> {
    const events: AdrEvent[] = [];
    let unread = 0;
    for (let page = 0; page < MOST_PAGES; page++) {
      const at = `/events?programID=${encodeURIComponent(programId)}&skip=${page * PAGE}&limit=${PAGE}`;
      const rows = shaped(NAME, rowsSchema, await this.#get(at));
      for (const row of rows) {
        const event = eventSchema.safeParse(row);
        if (!event.success) unread++;
        // Whoever does not know the parameter answers with all.
        else if ((event.data.programID ?? programId) === programId) events.push(event.data);
      }
      if (rows.length < PAGE) return { events, unread };
    }
    return { events, unread: unread + 1 };
  }

  async #get(path: string): Promise<unknown> {
    const { nowMs } = this.#deps;
    const ask = async (): Promise<unknown> => {
      const authorization = `Bearer ${await this.#bearer()}`;
      return fetchJson(NAME, under(this.#config.baseUrl, path), {
        ...this.#options,
        headers: { authorization },
        nowMs,
      });
    };
    try {
      return await ask();
    } catch (error) {
      // A token may have been taken back before its time.
      if (!(error instanceof NoAnswer) || error.code !== 'HELIO-6204' || this.#token === undefined) throw error;
      this.#token = undefined;
      return ask();
    }
  }

  get #options() {
    return { timeoutMs: this.#deps.timeoutMs ?? TIMEOUT_MS, nowMs: this.#deps.nowMs, again: AGAIN };
  }

  async #bearer(): Promise<string> {
    const nowMs = this.#deps.nowMs();
    if (this.#token !== undefined && nowMs < this.#token.untilMs) return this.#token.text;
    const { baseUrl, tokenUrl, scope } = this.#config;
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: this.clientId,
      client_secret: this.#secret,
      ...(scope === undefined ? {} : { scope }),
    });
    const url = tokenUrl === undefined ? under(baseUrl, '/auth/token') : new URL(tokenUrl);
    const answer = await fetchJson(`${NAME} (its tokens)`, url, { ...this.#options, form });
    const { access_token: text, expires_in: forS } = shaped(`${NAME} (its tokens)`, tokenSchema, answer);
    const lastsMs = 1_000 * Math.min(LONGEST_TOKEN_S, forS ?? 3_600);
    this.#token = { text, untilMs: nowMs + Math.max(lastsMs / 2, lastsMs - EARLY_MS) };
    return text;
  }
}

const credential = ({ text, ...from }: SecretFrom, key: string, deps: SourceDeps): string =>
  text ?? secret(from, deps, key);
