import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import { afterEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { watchCertificate } from '../../src/cli/certificate-watch.ts';
import { readPair } from '../../src/cli/tls.ts';
import { hosted } from '../coordinator/hosted.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** The name in the certificate that a new connection sees. */
const shownBy = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });

it('a renewed certificate is seen by new connections, open ones go on, and a broken one is said and not used', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-certificate-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  const files = { cert: path.join(folder, 'cert.pem'), key: path.join(folder, 'key.pem') };
  const made = async (name: string) => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: name }], { keyType: 'ec' });
    return { cert, key };
  };
  const [first, second, third] = await Promise.all(['first', 'second', 'third'].map(made));
  const write = (pair: { cert: string; key: string }): void => {
    writeFileSync(files.cert, pair.cert);
    writeFileSync(files.key, pair.key);
  };
  write(first!);
  const pair = readPair(files.cert, files.key);
  const coordinator = await hosted({ tls: pair }, { islands: 2 });
  ends.push(() => coordinator.close());
  const { port } = coordinator.server;
  const said: string[] = [];
  ends.push(
    watchCertificate(
      files,
      pair,
      { use: (renewed) => coordinator.server.useCertificate(renewed), say: (sentence) => said.push(sentence) },
      100,
    ),
  );
  const open = new WebSocket(`wss://127.0.0.1:${port}/v1/run`, { rejectUnauthorized: false });
  ends.push(() => open.terminate());
  const heard: string[] = [];
  open.on('message', (data) => heard.push((JSON.parse(String(data)) as { kind: string }).kind));
  await expect.poll(() => heard).toEqual(['challenge']);
  expect(await shownBy(port)).toBe('first');

  write(second!);
  await expect.poll(() => shownBy(port), { timeout: 20_000 }).toBe('second');
  expect(said).toEqual([expect.stringContaining('is a new one')]);
  open.send(JSON.stringify({ kind: 'hello' }));
  // It is refused for what it says, on the connection of before.
  await expect.poll(() => heard).toEqual(['challenge', 'refused']);

  // Of another key, cut off, and gone: each said once, and none used.
  writeFileSync(files.cert, third!.cert);
  await expect.poll(() => said.at(-1), { timeout: 20_000 }).toMatch(/belongs to another.*stays in use/);
  writeFileSync(files.cert, third!.cert.slice(0, 100));
  await expect.poll(() => said.length, { timeout: 20_000 }).toBe(3);
  rmSync(files.cert);
  await expect.poll(() => said.at(-1), { timeout: 20_000 }).toMatch(/Could not read .*cert\.pem/);
  await sleep(500);
  expect([said.length, await shownBy(port)]).toEqual([4, 'second']);

  write(third!);
  await expect.poll(() => shownBy(port), { timeout: 20_000 }).toBe('third');
});
