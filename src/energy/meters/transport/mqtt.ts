import type { MqttClient } from 'mqtt';
import { HelioError } from '../../../errors.ts';
import { inText } from '../evaluate.ts';
import { late, refused, unreachable, unusable, within } from '../fault.ts';
import type { TemplateOf, TermOf } from '../template.ts';
import { termsOf } from '../terms.ts';
import type { Transport } from './transport.ts';

const MOST_PAYLOAD_BYTES = 100_000;
/** Bad user name or password; not authorized (MQTT 3.1.1 §3.2.2.3, and their numbers in MQTT 5). */
const DENIED = new Set([4, 5, 134, 135]);

interface Message {
  readonly text: string;
  readonly atMs: number;
}

/**
 * A device that publishes by an MQTT broker. The connection stays; a poll looks at the last message of each topic, and waits for the first one. A
 * message older than `staleAfterS` says nothing: the broker is there, and the device may be gone. One that the broker has kept (retained) counts
 * as of the moment when it came.
 */
export function openMqtt(template: TemplateOf<'mqtt'>, clock: () => number): Transport<TermOf<'mqtt'>> {
  const { name, url, user, password, keepAlive } = template;
  const timeoutMs = template.timeoutS * 1_000;
  const topics = topicsOf(template);
  const last = new Map<string, Message>();
  const waiting = new Map<string, Set<() => void>>();
  let client: MqttClient | undefined;
  let alive: NodeJS.Timeout | undefined;

  const drop = (): void => {
    clearInterval(alive);
    client?.end(true);
    client = undefined;
    last.clear();
  };

  const open = async (): Promise<MqttClient> => {
    if (!URL.canParse(url) || !/^(mqtts?|wss?):$/.test(new URL(url).protocol))
      throw new HelioError(
        'HELIO-6103',
        `${name}: ${url} is no address of an MQTT broker.`,
        'It is like mqtt://HOST:1883.',
      );
    const { connect } = (await import('mqtt')).default;
    // Who asks decides when to try again: see MeterSet.
    const opening = connect(url, {
      reconnectPeriod: 0,
      connectTimeout: timeoutMs,
      ...(user === undefined ? {} : { username: user }),
      ...(password === undefined ? {} : { password }),
      ...(String(template.selfSigned) === 'true' ? { rejectUnauthorized: false } : {}),
    });
    client = opening;
    const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
    opening.once('connect', () => resolve());
    opening.on('error', reject);
    opening.on('close', () => {
      reject(new Error('it closed the connection'));
      if (client === opening) drop();
    });
    opening.on('message', (topic, payload) => {
      if (payload.length > MOST_PAYLOAD_BYTES || !topics.has(topic)) return;
      last.set(topic, { text: payload.toString('utf8'), atMs: clock() });
      for (const wake of waiting.get(topic) ?? []) wake();
    });
    try {
      await within(connected, timeoutMs, () => late(name, hostOf(url), 'accept a connection', timeoutMs));
      await within(opening.subscribeAsync([...topics]), timeoutMs, () =>
        late(name, hostOf(url), 'subscribe', timeoutMs),
      );
    } catch (error) {
      drop();
      const { code } = error as { code?: unknown };
      throw typeof code === 'number' && DENIED.has(code)
        ? refused(name, hostOf(url), (error as Error).message, 'Check user and password of the broker.')
        : unreachable(name, hostOf(url), error);
    }
    if (keepAlive !== undefined) {
      const say = (): void => void opening.publish(keepAlive.topic, keepAlive.payload);
      say();
      alive = setInterval(say, keepAlive.everyS * 1_000);
      alive.unref();
    }
    return opening;
  };

  const firstOf = async (topic: string, until: number): Promise<Message> => {
    const there = last.get(topic);
    if (there !== undefined) return there;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakes = waiting.get(topic) ?? new Set();
    waiting.set(topic, wakes.add(resolve));
    try {
      await within(promise, Math.max(0, until - performance.now()), () =>
        unusable(
          name,
          `nothing came on ${topic} within ${template.timeoutS} s`,
          'Check the topic (mosquitto_sub -v -t "#" shows what there is), and that the device publishes it.',
        ),
      );
    } finally {
      wakes.delete(resolve);
    }
    return last.get(topic)!;
  };

  return {
    async poll() {
      if (client?.connected !== true) await open();
      // All topics have one deadline together.
      const until = performance.now() + timeoutMs;
      return async ({ topic, path, ...words }, { aged }) => {
        const { text, atMs } = await firstOf(topic, until);
        const ageMs = Math.max(0, clock() - atMs);
        const ageS = Math.round(ageMs / 1_000);
        aged?.(ageMs);
        if (ageS > template.staleAfterS)
          throw unusable(
            name,
            `the last message on ${topic} is ${ageS} s old`,
            'The broker is there; see whether the device is.',
          );
        return inText(text, path, words, name, topic);
      };
    },
    async close() {
      drop();
    },
  };
}

const hostOf = (url: string): string => new URL(url).host;

function topicsOf({ name, values }: TemplateOf<'mqtt'>): ReadonlySet<string> {
  const topics = new Set(values.flatMap(({ from }) => termsOf(from).map(({ topic }) => topic)));
  for (const topic of topics)
    if (/[+#]/.test(topic))
      throw new HelioError('HELIO-6103', `${name}: the topic ${topic} stands for many.`, 'Name one, without + and #.');
  return topics;
}
