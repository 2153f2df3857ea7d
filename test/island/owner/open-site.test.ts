import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseSite } from '../../../src/energy/site/site-file.ts';
import { type OpenSite, openSite } from '../../../src/island/node/owner/open-site.ts';
import { httpDevice } from '../../services/http-device.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of cleanUp.splice(0).reverse()) await each();
});
const scratch = (): string => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-site-'));
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

async function opened(folder: string, said: string[]): Promise<OpenSite & { readonly url: string }> {
  const yaml =
    'location: { latitudeDeg: 48, longitudeDeg: 7.85, timeZone: Europe/Berlin }\nsignals: { port: 0 }\npolicy: { mode: always }\n';
  const site = await openSite({ site: parseSite(yaml, 'site.yaml'), folder, say: (sentence) => said.push(sentence) });
  cleanUp.push(() => site.close());
  return { ...site, url: /http:\S+/.exec(said.find((sentence) => sentence.startsWith('signals are heard'))!)![0] };
}

describe('a site whose files cannot be written', () => {
  it('obeys its signals and its policy all the same, and says so once', async () => {
    const [folder, said] = [scratch(), [] as string[]];
    // Folders in the files' places: no user may write there, whatever his rights.
    for (const file of ['standing.json', 'memory.json', 'data.json']) mkdirSync(path.join(folder, file));
    const { governor, url, onBytes } = await opened(folder, said);
    expect(governor.rest).toBeNull();
    onBytes(5);
    const put = (limitW: number) => fetch(`${url}/v1/limit`, { method: 'PUT', body: JSON.stringify({ limitW }) });
    expect((await put(0)).status).toBe(200);
    expect(governor.rest?.reason).toBe('grid-signal');
    expect((await fetch(`${url}/v1/limit`, { method: 'DELETE' })).status).toBe(200);
    expect(governor.rest).toBeNull();
    expect(
      said.filter((sentence) => sentence.startsWith('Where the site stands could not be written down')),
    ).toHaveLength(1);
  });
});

describe('what a policy remembers', () => {
  it.each(['{"isOn":true,"startsMs":[null]}', '{', '{"isOn":true,"sinceMs":-5}'])(
    'of a file that is damaged is left out, and said: %s',
    async (text) => {
      const [folder, said] = [scratch(), [] as string[]];
      writeFileSync(path.join(folder, 'memory.json'), text);
      await opened(folder, said);
      expect(said).toContainEqual(expect.stringContaining('memory.json is damaged, and left out'));
      // It has written one that holds.
      expect(JSON.parse(readFileSync(path.join(folder, 'memory.json'), 'utf8'))).toMatchObject({ isOn: true });
    },
  );
});

describe('a site with evcc', () => {
  it('is measured by evcc, and trains with what its cars leave', async () => {
    const car = {
      title: 'Garage',
      mode: 'pv',
      connected: true,
      charging: true,
      enabled: true,
      chargePower: 1_840,
      offeredCurrent: 8,
      maxCurrent: 16,
      phasesActive: 1,
    };
    const state = {
      grid: { power: -400 },
      pvPower: 4_000,
      battery: { power: 0, soc: 97 },
      homePower: 500,
      loadpoints: [car],
    };
    const evcc = await httpDevice(({ path: asked }) =>
      asked === '/api/state' ? { body: state } : { status: 404, body: '' },
    );
    cleanUp.push(() => evcc.stop());
    const [host, port] = evcc.host.split(':');
    const yaml = `location: { latitudeDeg: 48, longitudeDeg: 7.85 }
evcc: { host: ${host}, port: ${port} }
policy: { startDelayS: 0, minOffMinutes: 0 }
`;
    const open = async (): Promise<OpenSite> => {
      const site = await openSite({ site: parseSite(yaml, 'site.yaml'), folder: scratch(), say: () => {} });
      cleanUp.push(() => site.close());
      return site;
    };
    const waits = (await open()).governor.decision;
    expect(waits).toMatchObject({ powerW: 0, standing: { reason: 'no-sun' } });
    expect(waits.standing.next!.what).toContain('0 W surplus after Garage, which would take 1840 W more');
    // It charges as fast as it can: what goes to the grid all the same is training's.
    Object.assign(car, { chargePower: 3_680, offeredCurrent: 16 });
    expect((await open()).governor.decision).toMatchObject({ powerW: 200, standing: { state: 'training' } });
  });
});
