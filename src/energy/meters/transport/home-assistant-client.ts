import { WebSocket } from 'ws';
import { z } from 'zod';
import { HelioError } from '../../../errors.ts';
import { late, refused, unreachable, unusable, within } from '../fault.ts';

/** As Home Assistant keeps it: text, whatever it means. */
export interface EntityState {
  readonly state: string;
  readonly unit: string | undefined;
}

const MOST_BYTES = 16 * 2 ** 20;

const message = z.looseObject({
  type: z.string(),
  id: z.number().optional(),
  success: z.boolean().optional(),
  result: z.unknown().optional(),
  error: z.looseObject({ code: z.unknown(), message: z.unknown() }).partial().optional(),
  message: z.unknown().optional(),
  event: z.unknown().optional(),
});

/** A state as `subscribe_entities` shortens it: s = state, a = attributes. */
const shortened = z.looseObject({ s: z.string().optional(), a: z.record(z.string(), z.unknown()).optional() });
const entityEvent = z.object({
  a: z.record(z.string(), shortened).optional(),
  c: z
    .record(
      z.string(),
      z.looseObject({ '+': shortened.optional(), '-': z.looseObject({ a: z.array(z.string()) }).optional() }),
    )
    .optional(),
  r: z.array(z.string()).optional(),
});

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * Home Assistant's WebSocket API (developers.home-assistant.io/docs/api/websocket): sign in with a long-lived token, ask for what its Energy settings
 * name, and follow the states of a few entities.
 */
export class HomeAssistantClient {
  readonly #device: string;
  readonly #host: string;
  readonly #socket: WebSocket;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  readonly #states = new Map<string, EntityState>();
  #id = 0;
  #following: number | undefined;
  #lost: Error | undefined;

  private constructor(device: string, url: URL, selfSigned: boolean, timeoutMs: number) {
    this.#device = device;
    this.#host = url.host;
    this.#timeoutMs = timeoutMs;
    this.#socket = new WebSocket(url, {
      maxPayload: MOST_BYTES,
      handshakeTimeout: timeoutMs,
      ...(selfSigned ? { rejectUnauthorized: false } : {}),
    });
    this.#socket.on('error', (error) => this.#lose(error));
    this.#socket.on('close', () => this.#lose(new Error('it closed the connection')));
  }

  /**
   * @param address http or https address of Home Assistant
   * @throws HelioError HELIO-6101, 6105, 6104 for a token that it does not take, 6103 for what is no address
   */
  static async open(
    device: string,
    address: string,
    token: string,
    { selfSigned, timeoutMs }: { readonly selfSigned: boolean; readonly timeoutMs: number },
  ): Promise<HomeAssistantClient> {
    if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
      throw new HelioError(
        'HELIO-6103',
        `${device}: ${address} is no http address.`,
        'It is like http://homeassistant.local:8123.',
      );
    const url = new URL('api/websocket', address.endsWith('/') ? address : `${address}/`);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const client = new HomeAssistantClient(device, url, selfSigned, timeoutMs);
    try {
      await within(client.#signIn(token), timeoutMs, () => late(device, url.host, 'let us in', timeoutMs));
    } catch (error) {
      client.close();
      throw unreachable(device, url.host, error);
    }
    return client;
  }

  get open(): boolean {
    return this.#lost === undefined;
  }

  /** @returns undefined where it has no Energy settings */
  async energyPreferences(): Promise<unknown> {
    try {
      return await this.#ask({ type: 'energy/get_prefs' });
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  }

  /** Follows the states of these entities, from now on. */
  async follow(entities: readonly string[]): Promise<void> {
    const id = this.#id + 1;
    this.#following = id;
    await this.#ask({ type: 'subscribe_entities', entity_ids: entities });
    // The first event with all states comes right after the answer, and before the pong.
    await this.ping();
  }

  /** Only who answers is alive: a connection that is cut says nothing. */
  async ping(): Promise<void> {
    await this.#ask({ type: 'ping' });
  }

  /** @returns undefined for an entity that it does not have */
  stateOf(entity: string): EntityState | undefined {
    return this.#states.get(entity);
  }

  close(): void {
    this.#socket.terminate();
  }

  #signIn(token: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#pending.set(0, { resolve: () => resolve(), reject });
    this.#socket.on('message', (data) => {
      const parsed = message.safeParse(jsonOf(String(data)));
      if (!parsed.success) {
        this.#lose(unusable(this.#device, 'it sent what is no message of Home Assistant', 'Check the address.'));
        this.close();
        return;
      }
      const { type } = parsed.data;
      if (type === 'auth_required') this.#socket.send(JSON.stringify({ type: 'auth', access_token: token }));
      else if (type === 'auth_ok') this.#settle(0, undefined);
      else if (type === 'auth_invalid')
        this.#settle(
          0,
          refused(
            this.#device,
            this.#host,
            String(parsed.data.message ?? 'the token').slice(0, 200),
            'Make a long-lived access token at the bottom of your profile page in Home Assistant: --set token=….',
          ),
        );
      else this.#take(parsed.data);
    });
    if (this.#lost !== undefined) reject(this.#lost);
    return promise;
  }

  #take({ type, id, success, result, error, event }: z.output<typeof message>): void {
    if (type === 'event' && id === this.#following) this.#note(event);
    else if (type === 'pong' && id !== undefined) this.#settle(id, undefined);
    else if (type === 'result' && id !== undefined) {
      const what = String(error?.message ?? 'no reason given').slice(0, 200);
      if (success === true) this.#settle(id, undefined, result);
      else
        this.#settle(
          id,
          error?.code === 'not_found' ? new NotFound(what) : unusable(this.#device, `it refused: ${what}`),
        );
    }
  }

  #note(event: unknown): void {
    const parsed = entityEvent.safeParse(event);
    if (!parsed.success) return;
    const { a = {}, c = {}, r = [] } = parsed.data;
    for (const [entity, { s, a: attributes }] of Object.entries(a))
      this.#states.set(entity, { state: s ?? 'unknown', unit: unitIn(attributes) });
    for (const [entity, { '+': now }] of Object.entries(c)) {
      const before = this.#states.get(entity);
      if (before === undefined || now === undefined) continue;
      this.#states.set(entity, { state: now.s ?? before.state, unit: unitIn(now.a) ?? before.unit });
    }
    for (const entity of r) this.#states.delete(entity);
  }

  #ask(command: { readonly type: string; readonly [key: string]: unknown }): Promise<unknown> {
    if (this.#lost !== undefined) return Promise.reject(unreachable(this.#device, this.#host, this.#lost));
    const id = ++this.#id;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    this.#socket.send(JSON.stringify({ id, ...command }));
    return within(promise, this.#timeoutMs, () => {
      const error = late(this.#device, this.#host, `answer ${command.type}`, this.#timeoutMs);
      this.#lose(error);
      this.close();
      return error;
    }).finally(() => this.#pending.delete(id));
  }

  #settle(id: number, error: Error | undefined, result?: unknown): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(result);
    else pending?.reject(error);
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    for (const { reject } of this.#pending.values()) reject(unreachable(this.#device, this.#host, error));
    this.#pending.clear();
  }
}

class NotFound extends Error {}

const unitIn = (attributes: Readonly<Record<string, unknown>> | undefined): string | undefined => {
  const unit = attributes?.unit_of_measurement;
  return typeof unit === 'string' ? unit : undefined;
};

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
