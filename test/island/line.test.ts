import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { ReconnectingLine } from '../../src/island/node/line.ts';
import type { Content } from '../../src/protocol/frame.ts';
import { newIdentity } from '../../src/protocol/identity.ts';
import { type Hosted, helloOf, hosted } from '../coordinator/hosted.ts';

const MIB = 2 ** 20;
/** So much passes the first time. */
const CUT = 5 * MIB;

let open: { readonly coordinator: Hosted; readonly proxy: Server; readonly line: ReconnectingLine } | undefined;
afterEach(async () => {
  open?.line.close();
  open?.proxy.close();
  await open?.coordinator.close();
});

it('a transfer that breaks off goes on where it was', async () => {
  const elements = 4 * MIB;
  const coordinator = await hosted({}, { elements });
  const passed: number[] = [];
  const proxy = createServer((island: Socket) => {
    const server = connect(coordinator.server.port, '127.0.0.1');
    const number = passed.push(0) - 1;
    for (const socket of [island, server]) socket.on('error', () => {});
    island.pipe(server);
    server.on('data', (data) => {
      passed[number]! += data.length;
      if (number > 0 || passed[number]! < CUT) return void island.write(data);
      island.destroy();
      server.destroy();
    });
    server.on('close', () => island.end());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}/v1/run`;
  const line = new ReconnectingLine({
    routes: [{ url, fingerprint: undefined, localAddress: undefined }],
    patienceS: 10,
    log: () => {},
  });
  open = { coordinator, proxy, line };
  const identity = newIdentity();
  const beginnings: (number | undefined)[] = [];
  const whole: Content[] = [];
  for (let item = await line.next(5_000); !whole.some((c) => c.kind === 'global'); item = await line.next(5_000)) {
    if (item === null || item === 'timeout') throw new Error('nothing came any more');
    if (item.kind === 'received') {
      whole.push(item.content);
      if (item.content.kind === 'global') expect(item.payload).toHaveLength(4 * elements);
    } else if (item.kind === 'told' && item.message.kind === 'challenge') {
      beginnings.push(line.beginnings[0]?.bytes);
      line.send({
        ...helloOf('attic', identity, item.message.nonce, coordinator.invite()),
        beginnings: line.beginnings,
      });
    }
  }
  const [first, second] = beginnings;
  expect(first).toBeUndefined();
  // Whole pieces came before the cut; after it only the rest, and little beside it.
  expect(second! / MIB).toBeOneOf([1, 2, 3, 4]);
  expect(passed[1]).toBeGreaterThan(4 * elements - second!);
  expect(passed[1]).toBeLessThan(4 * elements - second! + MIB / 10);
});
