import { type HttpDevice, httpDevice, type Said } from './http-device.ts';

/** A virtual top node of OpenADR 3 as its OpenAPI documents it: tokens by client credentials, programs, and events in pages. */
export interface LocalVtn {
  readonly device: HttpDevice;
  readonly baseUrl: string;
  events: unknown[];
  programs: unknown[];
  /** What it answers to everything, in place of what it should. */
  instead: Said | undefined;
  /** Tokens that it has given out; the last holds. */
  tokens: number;
}

export async function localVtn(): Promise<LocalVtn> {
  const vtn: { -readonly [K in keyof LocalVtn]: LocalVtn[K] } = {
    device: undefined as unknown as HttpDevice,
    baseUrl: '',
    events: [],
    programs: [
      { id: 'other', programName: 'ResTOU' },
      { id: 'p-1', programName: 'Flex' },
    ],
    instead: undefined,
    tokens: 0,
  };
  vtn.device = await httpDevice(({ method, path, headers, body }) => {
    if (vtn.instead !== undefined) return vtn.instead;
    const url = new URL(path, 'http://vtn');
    if (method === 'POST' && url.pathname === '/openadr3/3.1.0/auth/token') {
      const form = Object.fromEntries(new URLSearchParams(body));
      if (form.grant_type !== 'client_credentials' || form.client_id !== 'home-7' || form.client_secret !== 's3cret')
        return { status: 401, body: { error: 'invalid_client' } };
      return { body: { access_token: `t${++vtn.tokens}`, token_type: 'Bearer', expires_in: 3600 } };
    }
    if (headers.authorization !== `Bearer t${vtn.tokens}`)
      return { status: 403, body: { title: 'Forbidden', status: 403 } };
    const page = (rows: readonly unknown[]): Said => {
      const [skip, limit] = [Number(url.searchParams.get('skip')), Number(url.searchParams.get('limit'))];
      return { body: rows.slice(skip, skip + limit) };
    };
    if (url.pathname === '/openadr3/3.1.0/programs') return page(vtn.programs);
    if (url.pathname === '/openadr3/3.1.0/events')
      return page(
        vtn.events.filter((event) => (event as { programID?: string }).programID === url.searchParams.get('programID')),
      );
    return { status: 404, body: { title: 'Not Found', status: 404 } };
  });
  vtn.baseUrl = `http://${vtn.device.host}/openadr3/3.1.0`;
  return vtn;
}

/** An event as a VTN answers it. */
export const adrEvent = (
  change: Readonly<Record<string, unknown>> & {
    readonly start?: string;
    readonly type?: string;
    readonly value?: unknown;
  } = {},
): Record<string, unknown> => {
  const { start = '2026-03-10T12:00:00Z', type = 'IMPORT_CAPACITY_LIMIT', value = 2, ...more } = change;
  return {
    id: 'e-1',
    createdDateTime: '2026-03-10T11:00:00Z',
    modificationDateTime: '2026-03-10T11:00:00Z',
    objectType: 'EVENT',
    programID: 'p-1',
    eventName: 'evening peak',
    priority: 0,
    targets: [],
    reportDescriptors: null,
    payloadDescriptors: [{ objectType: 'EVENT_PAYLOAD_DESCRIPTOR', payloadType: type, units: 'KW' }],
    intervalPeriod: { start, duration: 'PT1H', randomizeStart: 'PT0S' },
    intervals: [{ id: 0, payloads: [{ type, values: [value] }] }],
    ...more,
  };
};
