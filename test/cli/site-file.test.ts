import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { readSiteFile } from '../../src/cli/site-file.ts';

it('paths in a site file are relative to it, wherever the command was started', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'site-'));
  const file = path.join(folder, 'site.yaml');
  writeFileSync(
    file,
    `location: { latitudeDeg: 48, longitudeDeg: 8 }
grid:
  intensity:
    kind: electricity-maps
    zone: DE
    token: { file: em.txt }
    fallback: [{ kind: file, path: ci.csv, unit: g/kWh }, { kind: constant }]
  tariff: { kind: file, path: /elsewhere/price.csv, unit: MWh }
policy: { mode: always }
weather: { kind: open-meteo, fallback: [{ kind: file, path: data/sun.csv }] }
`,
  );
  const { grid, weather } = readSiteFile(file);
  rmSync(folder, { recursive: true });
  expect(grid.intensity).toMatchObject({
    token: { file: path.join(folder, 'em.txt') },
    fallback: [{ path: path.join(folder, 'ci.csv') }, { kind: 'constant' }],
  });
  expect(grid.tariff).toMatchObject({ path: '/elsewhere/price.csv' });
  expect(weather).toMatchObject({ fallback: [{ path: path.join(folder, 'data/sun.csv') }] });
});
