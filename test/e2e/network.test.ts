import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { type Running, run, scratch, start, tinyRun } from './command.ts';

/** Ways to a coordinator: encrypted, over IPv6, by a second address, through a proxy; and invitations with a term. */

const tiny = (folder: string, name: string, steps = 20): string =>
  tinyRun(folder, name, { islands: 1, stop: { steps } });
async function invited(serving: Running): Promise<string> {
  const link = /heliotrope join '(https?:[^']+)'/;
  await serving.said(link);
  return link.exec(serving.stderr())![1]!;
}
const join = (link: string, folder: string, env: NodeJS.ProcessEnv = {}, ...more: readonly string[]) =>
  start(['join', link, '--name', 'attic', '--threads', '1', '--patience', '20', ...more], folder, env);

interface Listed {
  readonly invitation: string;
  readonly islands: number;
  readonly uses: number;
  readonly expiresAt: string;
}

describe('over the network', { timeout: 120_000 }, () => {
  it('an island comes encrypted, over IPv6, by the second address when the first does not answer', async () => {
    const folder = scratch();
    // Nobody listens on port 9 (discard).
    const args = ['--host', '::1', '--port', '0', '--tls', 'self-signed', '--announce', '[::1]:9', '--json'];
    const serving = start(['serve', tiny(folder, 'six'), ...args], folder);
    const link = await invited(serving);
    expect(link).toMatch(/^https:\/\/\[::1\]:9\/join#.*fingerprint=[0-9a-f]{64}/);
    const port = /listening on \S*:(\d+)/.exec(serving.stderr())![1]!;
    const both = `${link}&at=${encodeURIComponent(`[::1]:${port}`)}`;
    const foreign = both.replace(/fingerprint=../, 'fingerprint=00');
    const outcome = await join(foreign, folder, {}, '--patience', '3').done;
    expect([outcome.status, outcome.stderr]).toEqual([
      3,
      expect.stringContaining('is not the one that the invitation names'),
    ]);
    const attic = await join(both, folder, {}, '--uplink', '::1').done;
    expect([attic.status, attic.stderr]).toEqual([0, expect.stringContaining(`connected by [::1]:${port} from ::1`)]);
    expect((await serving.done).status).toBe(0);
  });

  it('a run that goes on encrypted, and was not, says that links of before are worth nothing', async () => {
    const folder = scratch();
    const first = start(['serve', tiny(folder, 'plain'), '--port', '0'], folder);
    await invited(first);
    first.child.kill('SIGTERM');
    expect((await first.done).stderr).not.toContain('worth nothing');
    const second = start(['serve', '--resume', 'plain', '--tls', 'self-signed'], folder);
    await second.said(/is encrypted, and was not before: links of before are worth nothing.*invite plain/);
    second.child.kill('SIGTERM');
    expect((await second.done).status).toBe(0);
  });

  let proxy: Server | undefined;
  afterAll(() => proxy?.close());
  it('an island comes through the proxy that its environment names', async () => {
    const folder = scratch();
    const asked: string[] = [];
    proxy = createServer().on('connect', (request, client) => {
      asked.push(request.url!);
      const [host, port] = request.url!.split(':');
      const server = connect(Number(port), host!, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(server).pipe(client);
      });
      for (const socket of [client, server]) socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => proxy!.listen(0, '127.0.0.1', resolve));
    const serving = start(['serve', tiny(folder, 'proxied'), '--port', '0', '--json'], folder);
    const link = await invited(serving);
    const HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const attic = await join(link, folder, { HTTP_PROXY, http_proxy: HTTP_PROXY, NO_PROXY: '', no_proxy: '' }).done;
    expect([attic.status, asked]).toEqual([0, [new URL(link).host]]);
    await serving.done;
  });

  it('an invitation lets in as many, and as long, as it says', async () => {
    const folder = scratch();
    const serving = start(['serve', tiny(folder, 'asked', 100_000), '--port', '0', '--islands', '2'], folder);
    await invited(serving);
    const make = async (...args: string[]): Promise<string> => {
      const { stdout } = await run(['invite', 'asked', ...args, '--json'], folder);
      return (JSON.parse(stdout) as { link: string }).link;
    };
    const short = await make('--expires', '1s');
    await sleep(1_200);
    const late = await join(short, folder).done;
    expect([late.status, late.stderr]).toEqual([4, expect.stringMatching(/expired at .*heliotrope invite/s)]);
    const once = await make('--uses', '1');
    const attic = join(once, folder);
    await serving.said('attic is training');
    const second = await run(['join', once, '--name', 'lab', '--state', path.join(folder, 'lab')], folder);
    expect([second.status, second.stderr]).toEqual([4, expect.stringContaining('is used up: its limit was 1')]);
    // What nobody came with is there to be taken back as well; what has expired is of no interest.
    const listed = JSON.parse((await run(['invite', 'asked', '--list', '--json'], folder)).stdout) as Listed[];
    expect(listed.map(({ uses, islands }) => [uses, islands]).toSorted()).toEqual([
      [1, 1],
      [1_000_000, 0],
    ]);
    const unused = listed.find(({ islands }) => islands === 0)!;
    expect(Date.parse(unused.expiresAt) - Date.now()).toBeGreaterThan(29 * 86_400_000);
    const taken = await run(['invite', 'asked', '--revoke', unused.invitation], folder);
    expect([taken.status, taken.stdout, taken.stderr]).toEqual([0, expect.stringContaining('revoked'), '']);
    const other = await run(['invite', 'nowhere'], folder);
    expect([other.status, other.stderr]).toEqual([2, expect.stringContaining('There is no run nowhere')]);
    serving.child.kill('SIGINT');
    await serving.done;
    await attic.done;
  });
});
