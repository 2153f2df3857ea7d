import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type FoundRun, findRuns } from '../../src/cli/lan/discovery.ts';
import { type Running, run, scratch, start, tinyRun } from './command.ts';

/** A run on its local network. It listens on a second loopback address, which Linux has, so that it counts as one of a network. */

const HOST = '127.0.0.2';
const serve = (folder: string, name: string, ...more: readonly string[]): Running =>
  start(
    ['serve', tinyRun(folder, name, { islands: 1, stop: { steps: 20 } }), '--host', HOST, '--port', '0', ...more],
    folder,
  );
async function codeOf(serving: Running): Promise<{ readonly code: string; readonly at: string }> {
  const line = /heliotrope join ([a-z]+-[a-z]+-\d+)/;
  await serving.said(line);
  const port = /listening on \S+:(\d+)/.exec(serving.stderr())![1]!;
  return { code: line.exec(serving.stderr())![1]!, at: `${HOST}:${port}` };
}

describe.skipIf(process.platform !== 'linux')('on a local network', { timeout: 120_000 }, () => {
  it('a code is the whole invitation, encrypted as the host is; a wrong one is told, and counted', async () => {
    const folder = scratch();
    const serving = serve(folder, 'coded', '--tls', 'self-signed');
    const { code, at } = await codeOf(serving);
    const wrong = await run(['join', 'wrong-word-0', '--at', at], folder);
    expect([wrong.status, wrong.stderr]).toEqual([4, expect.stringMatching(/does not know this code.*HELIO-4003/s)]);
    await serving.said(/a wrong code from 127\.\S+ \(1 wrong so far/);
    const attic = await run(['join', code.toUpperCase(), '--at', at, '--name', 'attic', '--threads', '1'], folder);
    expect([attic.status, attic.stderr]).toEqual([
      0,
      expect.stringContaining('the run is over for this island: finished'),
    ]);
    // Its owner is told what it did, and where that is signed.
    expect(attic.stderr).toMatch(/it trained \d+ steps on [\d,]+ tokens, in \d+ s of computing/);
    const [, receipts, file] = /signed ([\d,]+) receipts? for it: (\S+)/.exec(attic.stderr)!;
    expect(readFileSync(file!, 'utf8').trim().split('\n')).toHaveLength(Number(receipts));
    expect((await serving.done).stderr).toMatch(/somebody at 127\.\S+ knew the code and got the invitation [\w-]{12}/);
  });

  it('a code is in no log', async () => {
    const folder = scratch();
    const serving = serve(folder, 'logged', '--log', 'json');
    await serving.said('"event":"serving"');
    serving.child.kill('SIGINT');
    const lines = (await serving.done).stderr.split('\n').filter((line) => line.includes('"serving"'));
    expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual([
      expect.not.arrayContaining(['code', 'invitation']),
    ]);
  });

  it('a run announces its name and address, and neither its code nor an invitation', async (context) => {
    const folder = scratch();
    const heard: Buffer[] = [];
    const ear = createSocket({ type: 'udp4', reuseAddr: true }).on('message', (packet) => heard.push(packet));
    await new Promise<void>((resolve) => ear.bind(5_353, resolve));
    try {
      ear.addMembership('224.0.0.251');
    } catch {
      ear.close();
      return context.skip('no multicast here');
    }
    const serving = serve(folder, 'announced');
    const { code, at } = await codeOf(serving);
    const found: FoundRun[] = [];
    await findRuns(3, (each) => found.push(each));
    await sleep(200);
    ear.close();
    serving.child.kill('SIGINT');
    await serving.done;
    const mine = found.find(({ run: name }) => name.startsWith('announced-'));
    if (mine === undefined && heard.length === 0) return context.skip('no multicast here');
    expect(mine).toMatchObject({ takesCodes: true, secure: true, addresses: expect.any(Array) });
    expect(mine!.addresses.every((address) => address.endsWith(at.split(':')[1]!))).toBe(true);
    const packets = heard.map((packet) => packet.toString('latin1')).filter((packet) => packet.includes('announced-'));
    expect(packets.length).toBeGreaterThan(0);
    const [first, second] = code.split('-') as [string, string];
    for (const packet of packets) {
      expect(packet).not.toContain(`${first}-${second}`);
      expect(packet).not.toMatch(/code=|invitation/);
    }
  });
});
