import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Leases, leaseOf } from '../../src/coordinator/leases.ts';
import { type Hosted, hosted, Puppet } from './hosted.ts';

const TICK_MS = 250;

describe('leases', () => {
  it('end who is silent for longer than his lease, once, and nobody else', () => {
    const leases = new Leases(15_000);
    leases.seen('silent', 0);
    leases.seen('talking', 0);
    const gone: (readonly [string, number])[] = [];
    for (let nowMs = 0; nowMs <= 60_000; nowMs += TICK_MS) {
      if (nowMs % 2_000 === 0) leases.seen('talking', nowMs);
      for (const { island, silentMs } of leases.expire(nowMs)) gone.push([island, silentMs]);
    }
    expect(gone).toEqual([['silent', 15_250]]);
  });

  it('do not count a stall of the coordinator, however long', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 1e9 }), fc.integer({ min: 0, max: 5_000 }), (stallMs, beforeMs) => {
        const leases = new Leases(15_000);
        for (const island of ['a', 'b']) leases.seen(island, 0);
        let nowMs = 0;
        for (; nowMs <= beforeMs; nowMs += TICK_MS) expect(leases.expire(nowMs)).toEqual([]);
        // The timer's turn comes before anything is read.
        nowMs += stallMs;
        expect(leases.expire(nowMs)).toEqual([]);
        leases.seen('a', nowMs);
        const untilMs = nowMs + 15_000;
        for (; nowMs <= untilMs; nowMs += TICK_MS) {
          leases.seen('a', nowMs);
          for (const { island } of leases.expire(nowMs)) expect(island).toBe('b');
        }
        expect(leases.expire(nowMs)).toEqual([]);
      }),
    );
  });

  it('count what was silent before a stall and after it together', () => {
    const leases = new Leases(15_000);
    leases.seen('a', 0);
    let nowMs = 0;
    for (; nowMs < 10_000; nowMs += TICK_MS) expect(leases.expire(nowMs)).toEqual([]);
    nowMs += 3_600_000;
    const sinceMs = nowMs;
    while (leases.expire(nowMs).length === 0) nowMs += TICK_MS;
    expect(nowMs - sinceMs).toBeGreaterThan(3_000);
    expect(nowMs - sinceMs).toBeLessThan(6_000);
  });

  it('are longer for a tab, whose timers run once a minute', () => {
    expect(leaseOf('process', 15_000)).toBe(15_000);
    expect(leaseOf('cluster', 15_000)).toBe(15_000);
    expect(leaseOf('tab', 15_000)).toBe(90_000);
    expect(leaseOf('tab', 120_000)).toBe(120_000);
    const leases = new Leases(15_000);
    leases.seen('tab', 0, 90_000);
    leases.seen('tab', 1_000);
    const nowMs = Array.from({ length: 1_000 }, (_, i) => i * TICK_MS).find((ms) => leases.expire(ms).length > 0);
    expect(nowMs).toBe(91_250);
  });

  it('go on for an island of which bytes come, though nothing whole', () => {
    const leases = new Leases(15_000);
    leases.seen('thin', 0);
    let heard = true;
    for (let nowMs = 0; nowMs <= 60_000; nowMs += TICK_MS) expect(leases.expire(nowMs, () => heard)).toEqual([]);
    heard = false;
    const gone = Array.from({ length: 100 }, (_, i) => leases.expire(60_250 + i * TICK_MS, () => heard)).flat();
    expect(gone.map(({ island }) => island)).toEqual(['thin']);
  });
});

/** The event loop of this process stands still: so does the coordinator in it, while its sockets fill. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('a coordinator', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  const puppet = (port: number, name: string): Puppet => {
    const each = new Puppet(port, name);
    ends.push(() => each.close());
    return each;
  };
  const gone = (coordinator: Hosted): readonly unknown[] =>
    coordinator.records.filter((record) => record.kind === 'island' && record.status === 'gone');

  it('that was blocked for longer than a lease ends nobody', async () => {
    const coordinator = await hosted({}, { leaseMs: 2_000, islands: 2 });
    ends.push(() => coordinator.close());
    const attic = puppet(coordinator.server.port, 'attic');
    await attic.hello(await coordinator.invite());
    await attic.hears('welcome');
    block(3_000);
    // Heard in time after it, and again.
    for (let i = 0; i < 10; i++) {
      attic.say({ kind: 'alive' });
      await sleep(300);
    }
    expect([attic.closed, gone(coordinator)]).toEqual([false, []]);
    await expect.poll(() => gone(coordinator), { timeout: 20_000 }).toMatchObject([{ island: 'attic' }]);
  });

  it('tells an island how long it may be silent, and answers its heartbeat', async () => {
    const coordinator = await hosted({}, { leaseMs: 2_000, islands: 3 });
    ends.push(() => coordinator.close());
    const [tab, attic] = [puppet(coordinator.server.port, 'tab'), puppet(coordinator.server.port, 'attic')];
    await tab.hello(await coordinator.invite(), { host: 'tab' });
    await attic.hello(await coordinator.invite());
    expect((await tab.hears('admitted')).leaseS).toBe(90);
    expect((await attic.hears('admitted')).leaseS).toBe(2);
    attic.say({ kind: 'alive' });
    await attic.hears('alive');
    await expect.poll(() => gone(coordinator), { timeout: 20_000 }).toMatchObject([{ island: 'attic' }]);
    expect(tab.closed).toBe(false);
  });

  it('hears an island whose large piece comes slowly, and says so', async () => {
    const coordinator = await hosted({}, { leaseMs: 1_500, islands: 2 });
    ends.push(() => coordinator.close());
    // A thin link: everything waits for its turn, a few bytes at a time.
    let thin = false;
    const link = createServer((island: Socket) => {
      const server = connect(coordinator.server.port, '127.0.0.1');
      server.pipe(island);
      for (const socket of [island, server]) socket.on('error', () => {});
      island.on('close', () => server.destroy());
      const waiting: Buffer[] = [];
      island.on('data', (data) => (thin ? waiting.push(data) : server.write(data)));
      const drip = setInterval(() => {
        const next = waiting.shift();
        if (next === undefined) return;
        server.write(next.subarray(0, 100));
        if (next.length > 100) waiting.unshift(next.subarray(100));
      }, 100);
      ends.push(
        () => clearInterval(drip),
        () => server.destroy(),
      );
    });
    await new Promise<void>((resolve) => link.listen(0, '127.0.0.1', resolve));
    ends.push(() => link.close());
    const attic = puppet((link.address() as { port: number }).port, 'attic');
    await attic.hello(await coordinator.invite());
    await attic.hears('welcome');
    thin = true;
    attic.sendRaw(new Uint8Array(100_000));
    await attic.hears('alive');
    const sinceMs = performance.now();
    while (performance.now() - sinceMs < 5_000) await sleep(100);
    expect([attic.closed, gone(coordinator)]).toEqual([false, []]);
  });

  it('that was stopped and continued finds its islands where they were', async () => {
    const script = path.join(import.meta.dirname, 'hosting.ts');
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, '3000'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    ends.push(() => child.kill('SIGKILL'));
    const lines = createInterface(child.stdout);
    const said: Record<string, unknown>[] = [];
    lines.on('line', (line) => said.push(JSON.parse(line)));
    await once(lines, 'line');
    const { port, invitation } = said[0] as { port: number; invitation: string };
    const attic = puppet(port, 'attic');
    await attic.hello(invitation);
    await attic.hears('welcome');
    const heartbeat = setInterval(() => attic.say({ kind: 'alive' }), 500);
    ends.push(() => clearInterval(heartbeat));
    child.kill('SIGSTOP');
    await sleep(6_000);
    child.kill('SIGCONT');
    await sleep(4_000);
    const isGone = (record: Record<string, unknown>): boolean => record.status === 'gone';
    expect([attic.closed, said.filter(isGone)]).toEqual([false, []]);
    clearInterval(heartbeat);
    await expect.poll(() => said.filter(isGone), { timeout: 20_000 }).toMatchObject([{ island: 'attic' }]);
  });
});
