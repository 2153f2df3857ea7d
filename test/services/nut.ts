import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findNut } from '../../scripts/meter-servers.mjs';
import { freePort, listening } from './ports.ts';

/** A server of Network UPS Tools of its own: Debian's upsd with the driver that plays a UPS from a file. */
export interface Nut {
  readonly port: number;
  /** Ends the driver, as when the UPS's cable is pulled. */
  pullCable(): Promise<void>;
  stop(): Promise<void>;
}

const answer = (port: number, question: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write(`${question}\n`));
    socket.once('error', reject).once('data', (data) => {
      socket.destroy();
      resolve(String(data));
    });
  });

/** @param variables of the UPS `attic` */
export async function nut(variables: Readonly<Record<string, string>>): Promise<Nut> {
  const { upsd, driver } = findNut()!;
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-nut-'));
  const state = path.join(folder, 'state');
  mkdirSync(state);
  const port = await freePort();
  const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text, { mode: 0o640 });
  write(
    'attic.dev',
    `${Object.entries(variables)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n')}\n`,
  );
  write('ups.conf', `[attic]\n  driver = dummy-ups\n  port = ${path.join(folder, 'attic.dev')}\n  mode = dummy-once\n`);
  write('upsd.conf', `LISTEN 127.0.0.1 ${port}\nMAXAGE 15\n`);
  write('upsd.users', '[watcher]\n  password = "se cret"\n  upsmon secondary\n');
  // Both go by user root here, and by whoever runs the tests elsewhere: no other user can read the folder.
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : [];
  const env = { ...process.env, NUT_CONFPATH: folder, NUT_STATEPATH: state, NUT_ALTPIDPATH: state };
  const options = { env, stdio: 'ignore' as const };
  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  // -D keeps them in the foreground.
  const ups = spawn(driver, ['-a', 'attic', '-D', ...user], options);
  await sleep(300);
  const server = spawn(upsd, ['-D', ...user], options);
  const stop = async (): Promise<void> => {
    await end(server);
    await end(ups);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await listening(port);
    // Until the driver has told it all, the server's UPS has the status WAIT.
    for (let tries = 0; !(await answer(port, 'GET VAR attic battery.charge')).startsWith('VAR'); tries++) {
      if (tries === 100) throw new Error('upsd does not hear of its driver');
      await sleep(100);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, pullCable: () => end(ups), stop };
}
