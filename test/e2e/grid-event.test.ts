import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { adrEvent, localVtn } from '../services/vtn.ts';
import { run, scratch, start, tinyRun } from './command.ts';

/** A grid operator's event, as the home's island, its owner and the coordinator see it. */

interface Status {
  readonly mergedTokens: number;
  readonly islands: readonly {
    readonly status: string;
    readonly tokens: number;
    readonly standing: { readonly reason: string };
  }[];
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
const soon = { timeout: 30_000, interval: 300 };

it('an unannounced event stops it, nothing is lost, and it holds while the operator is silent; another dims it', {
  timeout: 180_000,
}, async () => {
  const folder = scratch();
  const vtn = await localVtn();
  ends.push(() => vtn.device.stop());
  writeFileSync(path.join(folder, 'secret.txt'), 's3cret\n');
  const site = path.join(folder, 'site.yaml');
  writeFileSync(
    site,
    `location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }
machine: { idleW: 40, trainW: 200 }
policy: { mode: always }
gridOperator:
  kind: openadr-3
  baseUrl: ${vtn.baseUrl}
  program: Flex
  clientId: { text: home-7 }
  clientSecret: { file: secret.txt }
  pollS: 5
`,
  );
  const serving = start(
    ['serve', tinyRun(folder, 'event', { islands: 1, stop: { steps: 100_000 } }), '--port', '0'],
    folder,
  );
  ends.push(() => serving.child.kill('SIGKILL'));
  const link = /heliotrope join '(https?:[^']+)'/;
  await serving.said(link);
  const home = start(
    [
      'join',
      link.exec(serving.stderr())![1]!,
      '--name',
      'attic',
      '--threads',
      '1',
      '--site',
      site,
      '--state',
      path.join(folder, 'attic'),
    ],
    folder,
  );
  ends.push(() => home.child.kill('SIGKILL'));
  const status = async (): Promise<Status> =>
    JSON.parse((await run(['status', 'event', '--json'], folder)).stdout) as Status;
  const attic = async () => (await status()).islands[0]!;
  await serving.said('attic is training');
  await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(0);

  const begins = new Date().toISOString();
  vtn.events = [adrEvent({ type: 'SIMPLE', value: 3, start: begins })];
  await home.said(/does not train: The grid operator \(Flex: evening peak\) allows 0 W until \d\d:\d\d/);
  await expect.poll(async () => (await attic()).status, soon).toBe('away');
  const { tokens, standing } = await attic();
  expect(standing.reason).toBe('grid-signal');
  await expect.poll(async () => (await status()).mergedTokens, soon).toBe(tokens);

  // While the operator cannot be reached, what is known of it holds.
  vtn.instead = { status: 503, body: '' };
  await home.said('the grid operator is not heard: The grid operator’s VTN at');
  expect((await attic()).tokens).toBe(tokens);
  await expect
    .poll(async () => (await run(['status'], folder)).stdout, soon)
    .toMatch(/^home: away · grid-signal\n.*allows 0 W until.*\n {2}the grid operator is not heard: .* says 503/);

  // It takes the event back.
  vtn.events = [];
  vtn.instead = undefined;
  await home.said('the grid operator is heard again');
  await expect.poll(async () => (await attic()).tokens, soon).toBeGreaterThan(tokens);

  vtn.events = [adrEvent({ type: 'DISPATCH_SETPOINT', value: 0.15, start: new Date().toISOString() })];
  await home.said(/trains: It always trains\. The grid operator \(Flex: evening peak\) allows 150 W until \d\d:\d\d\./);
  expect((await attic()).status).toBe('training');
  for (const each of [home, serving]) each.child.kill('SIGINT');
  await Promise.all([home.done, serving.done]);
});
