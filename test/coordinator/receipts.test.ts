import { afterEach, expect, it } from 'vitest';
import { Receipts } from '../../src/coordinator/server/receipts.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { openSqlite } from '../../src/coordinator/store/sqlite.ts';
import { newFile } from './places.ts';

const DAY_S = 86_400;
const NOW_S = 1_800_000_000;

let store: SqlRunStore;
afterEach(() => store.close());

/** Days, since the first, at which old receipts are looked for while there is a merge at each of these. */
async function purgedOf(mergedAtDays: readonly number[]): Promise<readonly number[]> {
  store = await SqlRunStore.open(await openSqlite(newFile()), 'r');
  const purged: number[] = [];
  let nowS = 0;
  const receipts = new Receipts({
    run: 'r',
    sign: async () => 'signature',
    nowS: () => nowS,
    store: new Proxy(store, {
      get: (target, name) =>
        name !== 'addReceipts'
          ? Reflect.get(target, name)
          : (...[signed, purgeAtS]: Parameters<SqlRunStore['addReceipts']>) => {
              if (purgeAtS !== undefined) purged.push((purgeAtS - NOW_S) / DAY_S);
              return target.addReceipts(signed, purgeAtS);
            },
    }),
  });
  for (const [i, day] of mergedAtDays.entries()) {
    nowS = NOW_S + day * DAY_S;
    const claimed = { steps: 1, tokens: 1, form: 'update', codec: 'f32' };
    receipts.handedIn(0, 'a', { key: 'k', version: i, round: i + 1, claimed, hash: 'h', signature: 's' });
    await receipts.merged(0, i + 1, [{ island: 'a', weight: 1, steps: 1, tokens: 1 }], () => undefined);
  }
  expect(await store.receipts(null)).toHaveLength(mergedAtDays.length);
  return purged;
}

it('old receipts are looked for once a day, however many merges there are', async () => {
  const everyQuarter = Array.from({ length: 200 }, (_, i) => i / 96);
  expect(await purgedOf(everyQuarter)).toEqual([0, 1, 2]);
});

it('old receipts are looked for also after a clock that was far ahead was put right', async () => {
  expect(await purgedOf([0, 3_000, 0.5, 0.75, 1.5])).toEqual([0, 3_000, 0.5, 1.5]);
});
