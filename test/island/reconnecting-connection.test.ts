import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { ReconnectingConnection } from '../../src/island/node/reconnecting-connection.ts';
import { IslandSession } from '../../src/island/runtime.ts';
import type { Content } from '../../src/protocol/frame.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { FRESH, type Hosted, helloOf, hosted } from '../coordinator/hosted.ts';
import { fakeHost, fakeTrainer, realExchange } from './fakes.ts';

/** A model of 16 MiB, and a way to its coordinator that breaks once, after 5 MiB in one direction. */

const MIB = 2 ** 20;
const ELEMENTS = 4 * MIB;
const CUT = 5 * MIB;

let open:
  | { readonly coordinator: Hosted; readonly proxy: Server; readonly connection: ReconnectingConnection }
  | undefined;
afterEach(async () => {
  open?.connection.close();
  open?.proxy.close();
  await open?.coordinator.close();
});

/** @returns bytes that passed in that direction: by connection, and in all at each merge */
async function breaking(direction: 'up' | 'down') {
  const passed: number[] = [];
  const untilMerge: number[] = [];
  const coordinator = await hosted(
    { onRecord: ({ kind }) => kind === 'merge' && untilMerge.push(passed.reduce((sum, bytes) => sum + bytes, 0)) },
    { elements: ELEMENTS },
  );
  const proxy = createServer((island: Socket) => {
    const server = connect(coordinator.server.port, '127.0.0.1');
    const number = passed.push(0) - 1;
    for (const socket of [island, server]) {
      socket.on('error', () => {});
      socket.on('close', () => [island, server].map((each) => each.destroy()));
    }
    const [counted, other] = direction === 'up' ? [island, server] : [server, island];
    other.pipe(counted);
    counted.on('data', (data) => {
      passed[number]! += data.length;
      if (number > 0 || passed[number]! < CUT) return void other.write(data);
      counted.destroy();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}/v1/run`;
  const routes = [{ url, fingerprint: undefined, localAddress: undefined }];
  const connection = new ReconnectingConnection({ routes, patienceS: 10, log: () => {} });
  open = { coordinator, proxy, connection };
  return { coordinator, connection, passed, untilMerge };
}

it('what an island is sent goes on where it broke off', async () => {
  const { coordinator, connection, passed } = await breaking('down');
  const identity = await newIdentity();
  const beginnings: (number | undefined)[] = [];
  const whole: Content[] = [];
  for (
    let item = await connection.next(5_000);
    !whole.some((c) => c.kind === 'global');
    item = await connection.next(5_000)
  ) {
    if (item === null || item === 'timeout') throw new Error('nothing came any more');
    if (item.kind === 'received') {
      whole.push(item.content);
      if (item.content.kind === 'global') expect(item.payload).toHaveLength(4 * ELEMENTS);
    } else if (item.kind === 'told' && item.message.kind === 'challenge') {
      beginnings.push(connection.beginnings[0]?.bytes);
      connection.send(await helloOf('attic', identity, item.message.nonce, await coordinator.invite()));
    } else if (item.kind === 'told' && item.message.kind === 'admitted') {
      connection.send({ ...FRESH, holds: [], beginnings: connection.beginnings });
    }
  }
  const [first, second] = beginnings;
  expect(first).toBeUndefined();
  // Whole pieces came before the cut; after it only the rest, and little beside it.
  expect(second! / MIB).toBeOneOf([1, 2, 3, 4]);
  expect(passed[1]).toBeGreaterThan(4 * ELEMENTS - second!);
  expect(passed[1]).toBeLessThan(4 * ELEMENTS - second! + MIB / 10);
});

it('so does what it hands in', async () => {
  const { coordinator, connection, passed, untilMerge } = await breaking('up');
  const host = fakeHost({ name: 'attic', invitation: await coordinator.invite() });
  const trainer = fakeTrainer({
    snapshot: async () => new Float32Array(ELEMENTS).fill(0.5),
  });
  void new IslandSession(host, connection, trainer, realExchange()).run().catch(() => {});
  await expect.poll(() => untilMerge.length, { timeout: 20_000 }).toBeGreaterThan(0);
  // Once to the cut, and then the rest: had it begun again, there would be 5 MiB more.
  expect(passed.length).toBeGreaterThanOrEqual(2);
  expect(untilMerge[0]).toBeGreaterThan(4 * ELEMENTS);
  expect(untilMerge[0]).toBeLessThan(4 * ELEMENTS + 3 * MIB);
});
