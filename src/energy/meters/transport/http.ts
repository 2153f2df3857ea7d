import { randomBytes } from 'node:crypto';
import { HelioError } from '../../../errors.ts';
import { inText } from '../evaluate.ts';
import { refused, unusable } from '../fault.ts';
import { at, parsePath } from '../json-path.ts';
import type { TemplateOf, TermOf } from '../template.ts';
import { digestAnswer } from './digest.ts';
import { type Answer, request } from './request.ts';
import type { Transport } from './transport.ts';

type Template = TemplateOf<'http'>;

const REMEDY = 'Check user, password or token of this device.';

/** A device that answers HTTP with JSON or plain numbers. */
export function openHttp(template: Template): Transport<TermOf<'http'>> {
  const { name, authorization, login } = template;
  const base = baseOf(template);
  const options = { timeoutMs: template.timeoutS * 1_000, selfSigned: String(template.selfSigned) === 'true' };
  /** Headers that a login has brought; undefined before it, and when they are no longer taken. */
  let session: Readonly<Record<string, string>> | undefined;

  const logIn = async (): Promise<Readonly<Record<string, string>>> => {
    const { post, body, token, cookies } = login!;
    const answer = await request(name, new URL(post, base), {
      ...options,
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
    });
    if (answer.status >= 400) throw refused(name, base.host, `its login says ${answer.status}`, REMEDY);
    const headers: Record<string, string> = {};
    if (token !== undefined) {
      const found = at(jsonOf(answer.body), parsePath(token)!);
      if (typeof found !== 'string') throw unusable(name, `there is no ${token} in the answer of its login`);
      headers.authorization = `Bearer ${found}`;
    }
    const set = answer.headers['set-cookie'] ?? [];
    if (cookies === true && set.length > 0)
      headers.cookie = set
        .slice(0, 20)
        .map((cookie) => cookie.split(';')[0]!)
        .join('; ');
    return headers;
  };

  const get = async (path: string): Promise<Answer> => {
    const url = new URL(path, base);
    const headers: Record<string, string> = { accept: 'application/json', ...fixed(authorization) };
    if (login !== undefined) {
      session ??= await logIn();
      Object.assign(headers, session);
    }
    const answer = await request(name, url, { ...options, method: 'GET', headers });
    if (answer.status !== 401 || authorization?.kind !== 'digest') return answer;
    const reply = digestAnswer(
      answer.headers['www-authenticate'] ?? '',
      authorization,
      'GET',
      url.pathname + url.search,
      randomBytes(12).toString('hex'),
    );
    if (reply === undefined) return answer;
    return request(name, url, { ...options, method: 'GET', headers: { ...headers, authorization: reply } });
  };

  const fetchBody = async (path: string): Promise<string> => {
    let answer = await get(path);
    const denied = (): boolean => answer.status === 401 || answer.status === 403;
    // What a login brought may have expired since.
    if (denied() && session !== undefined) {
      session = undefined;
      answer = await get(path);
    }
    if (denied()) throw refused(name, base.host, `${shown(path)} says ${answer.status}`, REMEDY);
    if (answer.status >= 300 && answer.status < 400)
      throw unusable(
        name,
        `${shown(path)} leads elsewhere (${answer.status} to ${String(answer.headers.location).slice(0, 200)})`,
        'Name that address: perhaps https instead of http.',
      );
    if (answer.status === 429 || answer.status >= 500)
      throw new HelioError(
        'HELIO-6101',
        `${name} at ${base.host} says ${answer.status} to ${shown(path)}.`,
        'It may be busy: it is asked again, ever more rarely.',
      );
    if (answer.status !== 200) throw unusable(name, `${shown(path)} says ${answer.status}`);
    return answer.body;
  };

  return {
    async poll() {
      const bodies = new Map<string, Promise<string>>();
      return async ({ get: path, path: inJson, ...words }) => {
        const body = bodies.get(path) ?? fetchBody(path);
        bodies.set(path, body);
        return inText(await body, inJson, words, name, shown(path));
      };
    },
    async close() {},
  };
}

/** Without the query, where a password may be. */
const shown = (path: string): string => path.split('?')[0]!;

function baseOf({ name, url }: Template): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol))
    throw new HelioError('HELIO-6103', `${name}: ${url} is no http address.`, 'Give a host as 192.168.1.20 or a name.');
  return base;
}

function fixed(authorization: Template['authorization']): Record<string, string> {
  if (authorization?.kind === 'basic') {
    const pair = Buffer.from(`${authorization.user}:${authorization.password}`).toString('base64');
    return { authorization: `Basic ${pair}` };
  }
  return authorization?.kind === 'bearer' ? { authorization: `Bearer ${authorization.token}` } : {};
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
