import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * Home Assistant's WebSocket interface in the shape that developers.home-assistant.io/docs/api/websocket documents: auth, ping, `energy/get_prefs` and
 * `subscribe_entities`.
 */
export interface FakeHomeAssistant {
  readonly port: number;
  /** Changes a state, and tells who follows it. */
  set(entity: string, state: string, unit?: string): void;
  /** From now on it says nothing. */
  hang(): void;
  cutAll(): void;
  stop(): Promise<void>;
}

interface State {
  readonly state: string;
  readonly unit: string | undefined;
}

export async function homeAssistant(
  token: string,
  states: Readonly<Record<string, readonly [state: string, unit?: string]>>,
  preferences?: unknown,
): Promise<FakeHomeAssistant> {
  const all = new Map<string, State>(
    Object.entries(states).map(([entity, [state, unit]]) => [entity, { state, unit }]),
  );
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/api/websocket' });
  await once(server, 'listening');
  const followers: { readonly socket: WebSocket; readonly id: number; readonly entities: readonly string[] }[] = [];
  let silent = false;
  const shortened = ({ state, unit }: State): unknown => ({
    s: state,
    a: unit === undefined ? {} : { unit_of_measurement: unit },
    c: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    lc: 1_700_000_000,
  });
  server.on('connection', (socket) => {
    let admitted = false;
    const send = (message: unknown): void => socket.send(JSON.stringify(message));
    send({ type: 'auth_required', ha_version: '2026.11.0' });
    socket.on('message', (data) => {
      if (silent) return;
      const { id, type, access_token, entity_ids } = JSON.parse(String(data));
      if (!admitted) {
        admitted = type === 'auth' && access_token === token;
        send(admitted ? { type: 'auth_ok' } : { type: 'auth_invalid', message: 'Invalid access token or password' });
        if (!admitted) socket.close();
      } else if (type === 'ping') send({ id, type: 'pong' });
      else if (type === 'energy/get_prefs' && preferences === undefined)
        send({ id, type: 'result', success: false, error: { code: 'not_found', message: 'No prefs' } });
      else if (type === 'energy/get_prefs') send({ id, type: 'result', success: true, result: preferences });
      else if (type === 'subscribe_entities') {
        followers.push({ socket, id, entities: entity_ids });
        send({ id, type: 'result', success: true, result: null });
        const known = (entity_ids as string[]).filter((entity) => all.has(entity));
        send({ id, type: 'event', event: { a: Object.fromEntries(known.map((e) => [e, shortened(all.get(e)!)])) } });
      } else
        send({ id, type: 'result', success: false, error: { code: 'unknown_command', message: 'Unknown command.' } });
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    set(entity, state, unit) {
      const before = all.get(entity);
      all.set(entity, { state, unit: unit ?? before?.unit });
      const change = { '+': { s: state, ...(unit === undefined ? {} : { a: { unit_of_measurement: unit } }) } };
      for (const { socket, id, entities } of followers)
        if (entities.includes(entity))
          socket.send(JSON.stringify({ id, type: 'event', event: { c: { [entity]: change } } }));
    },
    hang() {
      silent = true;
    },
    cutAll() {
      for (const socket of server.clients) socket.terminate();
    },
    async stop() {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
