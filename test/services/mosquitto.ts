import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import mqtt from 'mqtt';
import { findMosquitto } from '../../scripts/meter-servers.mjs';
import { freePort, listening } from './ports.ts';

/** A broker of its own for a test file: Debian's mosquitto. */
export interface Mosquitto {
  readonly port: number;
  /** As a device does. */
  publish(messages: Readonly<Record<string, string>>, retain?: boolean): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  stop(): Promise<void>;
  remove(): Promise<void>;
}

/** @param lines of its configuration, beside the port */
export async function mosquitto(lines: readonly string[] = ['allow_anonymous true']): Promise<Mosquitto> {
  const program = findMosquitto()!;
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-mosquitto-'));
  const file = path.join(folder, 'mosquitto.conf');
  const port = await freePort();
  writeFileSync(file, [`listener ${port} 127.0.0.1`, ...lines, ''].join('\n'));
  let broker: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    broker = spawn(program, ['-c', file], { stdio: 'ignore' });
    await listening(port);
  };
  const stop = async (): Promise<void> => {
    if (broker === undefined) return;
    const ended = new Promise((resolve) => broker!.once('exit', resolve));
    broker.kill('SIGKILL');
    await ended;
    broker = undefined;
  };
  await start();
  return {
    port,
    start,
    stop,
    async publish(messages, retain = true) {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
      for (const [topic, payload] of Object.entries(messages))
        await client.publishAsync(topic, payload, { retain, qos: 1 });
      await client.endAsync();
    },
    async remove() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
