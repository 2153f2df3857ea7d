import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Figure, publish } from '../figures.ts';
import { makeBase, type Shape } from './base.ts';
import { type Road, walk } from './walk.ts';

/**
 * `npm run bench sizes`: models of the sizes that users bring go the whole road on this machine. A base of SmolLM2's configuration, the dry run, a
 * few steps on two islands, a stop and a resumption, exports, and what others read of them. Some minutes each; `--only 135m`, `--only 360m-lora` …
 */
const ROADS: Readonly<Record<string, Road & { readonly shape: Shape }>> = {
  '135m': { shape: '135m', model: {}, inner: {} },
  '135m-lora': { shape: '135m', model: { lora: { rank: 8, alpha: 16 } }, inner: {} },
  '360m-lora': { shape: '360m', model: { lora: { rank: 8, alpha: 16 } }, inner: {} },
};
const SHORT = ['135m'];

export async function sizes({
  short,
  json,
  only,
}: {
  readonly short: boolean;
  readonly json: string | undefined;
  readonly only: readonly string[];
}): Promise<boolean> {
  const startedAt = new Date();
  const names = only.length > 0 ? only : short ? SHORT : Object.keys(ROADS);
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-sizes-'));
  const figures: Figure[] = [];
  try {
    for (const name of names) {
      const road = ROADS[name];
      if (road === undefined) {
        console.error(`--only ${name} is none of ${Object.keys(ROADS).join(', ')}.`);
        return false;
      }
      const place = path.join(folder, name);
      console.error(`${name}: a base …`);
      makeBase(path.join(place, 'base'), road.shape);
      figures.push(...(await walk(place, name, road)));
      rmSync(place, { recursive: true });
    }
    publish('sizes', startedAt, figures, json);
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
