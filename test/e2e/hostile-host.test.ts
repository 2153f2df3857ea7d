import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import type { Preparation } from '../../src/island/node/job-data.ts';
import { trainBpe } from '../../src/ml/data/bpe-training.ts';
import { writeLink } from '../../src/protocol/invitation.ts';
import { standing } from '../../src/protocol/standing.ts';
import { type Hosted, hosted } from '../coordinator/hosted.ts';
import { run, scratch } from './command.ts';

/**
 * A host whose run names files of its islands' disks. Each canary is a pipe: whoever opens it waits for ever, and the test with him.
 */

let host: Hosted | undefined;
afterEach(async () => {
  await host?.close();
  host = undefined;
});

const text: Preparation = {
  kind: 'text',
  tokenizerJson: JSON.stringify(trainBpe(['the quick brown fox jumps over the lazy dog'], 257)),
};
const table: Preparation = {
  kind: 'table',
  layout: { features: [{ name: 'x', kind: 'number' }], targets: [{ name: 'y', kind: 'category', values: ['a', 'b'] }] },
  scaling: { mean: [0], deviation: [1] } as never,
  shape: [1],
  outputs: 2,
};

describe('a joiner that gave no --data, and a run file that is hostile', { timeout: 60_000 }, () => {
  it.each<[string, (canary: string) => object, Preparation]>([
    ['text by an absolute path', (canary) => ({ data: canary }), text],
    ['text by a glob', (canary) => ({ data: `${path.dirname(canary)}/c*.txt` }), text],
    ['text by a path that climbs', (canary) => ({ data: `${'../'.repeat(20)}${canary.slice(1)}` }), text],
    ['a table', (canary) => ({ data: { table: canary, target: 'y' }, model: { architecture: 'mlp' } }), table],
    [
      'images',
      (canary) => ({ data: { images: canary, labels: canary }, model: { architecture: 'cnn' } }),
      { ...table, kind: 'images' } as Preparation,
    ],
  ])(
    'opens nothing, tells its owner what was asked for and what to do, and its host nothing: %s',
    async (_, file, preparation) => {
      const folder = scratch();
      const canary = path.join(folder, 'canary.txt');
      execFileSync('mkfifo', [canary]);
      const job = resolveJob(parseRunFile(JSON.stringify({ ...file(canary), islands: 1 }), 'hostile.yaml'), 'hostile');
      host = await hosted({ job, dataFolder: '/', preparation: JSON.stringify(preparation) });
      const link = writeLink({
        addresses: [`127.0.0.1:${host.server.port}`],
        secure: false,
        fingerprint: undefined,
        invitation: await host.invite(),
      });
      const joined = await run(['join', link, '--name', 'attic', '--threads', '1'], folder, {
        HELIOTROPE_DATA_ROOT: '',
      });
      expect([joined.status, joined.stderr]).toEqual([
        2,
        expect.stringMatching(/HELIO-1007.*The run asks for .*(canary|c\*)\.txt.*--data \.\/my-texts.*--data-root/s),
      ]);
      const said = JSON.stringify(host.records.filter((record) => record.kind === 'island'));
      expect(said).toContain('its owner has not opened the files that the run names (HELIO-1007)');
      expect(said).not.toContain(folder);
    },
  );
});

describe('a host whose words move the cursor', { timeout: 60_000 }, () => {
  it('is read as text', async () => {
    const folder = scratch();
    const nasty = 'no\u001b[2J\u0007 entry';
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(sockets, 'listening');
    sockets.on('connection', (socket) => {
      const say = (message: object): void => socket.send(JSON.stringify(message));
      say({ kind: 'standing', ...standing('waiting', 'host-is-asked', nasty) });
      say({ kind: 'refused', code: 'HELIO-4003', what: nasty, remedy: nasty });
    });
    const link = `http://127.0.0.1:${(sockets.address() as AddressInfo).port}/join`;
    const { status, stderr } = await run(['join', link, '--name', 'attic'], folder);
    sockets.close();
    expect([status, stderr.match(/no \[2J {2}entry/g)?.length]).toEqual([4, 3]);
    for (const character of ['\u0007', '\u001b']) expect(stderr).not.toContain(character);
  });
});
