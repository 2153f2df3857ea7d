import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { siteSchema } from '../../../src/energy/site/site-schema.ts';
import { watchGrid } from '../../../src/island/node/owner/grid-now.ts';
import { standInNotice } from '../../../src/island/node/owner/stand-in-notice.ts';

it('a fallback says that it stands in, once, and when it no longer does', () => {
  const said: string[] = [];
  const notice = standInNotice('carbon intensity', (sentence) => said.push(sentence));
  const service = { quality: 'modelled', method: 'GB Carbon Intensity API, average' } as const;
  const constant = { quality: 'assumed', method: '200 g/kWh for all hours' } as const;
  notice(service);
  expect(said).toEqual([]);
  notice({ ...constant, insteadOf: 'it says 500' });
  notice({ ...constant, insteadOf: 'it says 503' });
  expect(said).toEqual(['carbon intensity: 200 g/kWh for all hours (assumed) stands in.']);
  notice(undefined);
  notice(service);
  expect(said.slice(1)).toEqual([
    'carbon intensity is not known.',
    'carbon intensity comes from GB Carbon Intensity API, average again.',
  ]);
});

it('the owner of a site hears of it', async () => {
  const server = http.createServer((_, response) => response.writeHead(503).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(path.join(tmpdir(), 'grid-now-'));
  const said: string[] = [];
  const site = siteSchema.parse({
    location: { latitudeDeg: 51.5, longitudeDeg: -0.1 },
    grid: {
      intensity: {
        kind: 'gb-carbon-intensity',
        baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        fallback: [{ kind: 'constant', gPerKWh: 200 }],
      },
    },
  });
  const grid = await watchGrid(site, folder, (sentence) => said.push(sentence));
  grid.close();
  server.close();
  rmSync(folder, { recursive: true });
  expect(said.join('\n')).toMatch(/503[\s\S]*carbon intensity: 200 g\/kWh for all hours \(assumed\) stands in\./);
});
