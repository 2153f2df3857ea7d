import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { openSwitch, type SignalSwitch } from '../../../src/island/node/owner/signals.ts';

const open: SignalSwitch[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function switchOf(token?: string) {
  let changes = 0;
  const made = await openSwitch({ port: 0, token, standing: () => ({ state: 'training' }), changed: () => changes++ });
  open.push(made);
  const ask = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${made.port}${path}`, { method, ...(body === undefined ? {} : { body }), headers });
  return { made, ask, changes: () => changes };
}

it('dims, stops, and takes it back; what has a term ends by itself', async () => {
  const { made, ask, changes } = await switchOf();
  expect((await ask('PUT', '/v1/limit', '{"limitW": 150, "from": "evcc"}')).status).toBe(200);
  expect(made.signals(0)).toEqual([{ from: 'evcc', limitW: 150, untilMs: null }]);
  await ask('PUT', '/v1/limit', '{"limitW": 0, "untilS": 1000}');
  expect(made.signals(999_999)).toMatchObject([{ limitW: 0, untilMs: 1_000_000 }]);
  expect(made.signals(1_000_000)).toEqual([]);
  await ask('DELETE', '/v1/limit');
  expect([made.signals(0), changes()]).toEqual([[], 3]);
  expect(await (await ask('GET', '/v1/standing')).json()).toEqual({ state: 'training' });
});

it.each([
  ['PUT', '/v1/limit', 'limit please', 400],
  ['PUT', '/v1/limit', '{"limitW": -5}', 400],
  ['PUT', '/v1/limit', '{"limitW": 5, "extra": 1}', 400],
  ['PUT', '/v1/limit', `{"limitW": 5, "from": "${'x'.repeat(5_000)}"}`, 413],
  ['POST', '/v1/limit', '{}', 405],
  ['GET', '/v1/other', undefined, 404],
])('%s %s with %s is refused, and changes nothing', async (method, path, body, status) => {
  const { made, ask, changes } = await switchOf();
  expect((await ask(method, path, body)).status).toBe(status);
  expect([made.signals(0), changes()]).toEqual([[], 0]);
});

it('obeys no web page, and with a token nobody without it', async () => {
  const plain = await switchOf();
  expect((await plain.ask('PUT', '/v1/limit', '{"limitW": 0}', { origin: 'http://evil.example' })).status).toBe(403);
  const guarded = await switchOf('a-token-of-16-letters');
  expect((await guarded.ask('PUT', '/v1/limit', '{"limitW": 0}')).status).toBe(401);
  expect(
    (await guarded.ask('PUT', '/v1/limit', '{"limitW": 0}', { authorization: 'Bearer a-token-of-16-letters' })).status,
  ).toBe(200);
});

it('says when its port is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as AddressInfo;
  await expect(openSwitch({ port, token: undefined, standing: () => 0, changed: () => {} })).rejects.toThrow(
    /port \d+ \(EADDRINUSE\).*signals\.port/s,
  );
  other.close();
});
