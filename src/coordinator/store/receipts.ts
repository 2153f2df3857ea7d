import type { Receipt } from '../../protocol/receipts.ts';
import type { Transaction } from './database.ts';

/** What the host has signed of islands' work: kept beyond checkpoints, as an account that either side may show long after. */

export interface SignedReceipt {
  readonly receipt: Receipt;
  /** The host's. */
  readonly signature: string;
}

/** Seconds that receipts are kept at least: 400 days. */
const KEPT_S = 400 * 86_400;
/** What counts as time passed between two merges of a fragment: a clock that was put right makes no receipt a year older. */
const MOST_PAUSE_S = 86_400;
/** Receipts that one question is answered with. */
export const MOST_RECEIPTS = 10_000;
/** Rows in one statement. */
const ROWS = 500;

export const RECEIPTS_TABLE = `CREATE TABLE IF NOT EXISTS helio_receipts (run TEXT NOT NULL, island TEXT NOT NULL, fragment BIGINT NOT NULL,
    merged BIGINT NOT NULL, at_s BIGINT NOT NULL, receipt TEXT NOT NULL, PRIMARY KEY (run, fragment, merged, island))`;

/** A receipt that is there already is left as it is: a merge is signed for once. */
export async function insertReceipts(
  transaction: Transaction,
  run: string,
  receipts: readonly SignedReceipt[],
): Promise<void> {
  for (let from = 0; from < receipts.length; from += ROWS) {
    const some = receipts.slice(from, from + ROWS);
    const places = some.map((_, i) => `($1, ${[2, 3, 4, 5, 6].map((column) => `$${5 * i + column}`).join(', ')})`);
    const values = some.flatMap(({ receipt, signature }) => {
      const { island, fragment, merged, atS } = receipt;
      return [island, fragment, merged, atS, JSON.stringify({ receipt, signature })];
    });
    await transaction.query(
      `INSERT INTO helio_receipts (run, island, fragment, merged, at_s, receipt) VALUES ${places.join(', ')} ON CONFLICT DO NOTHING`,
      [run, ...values],
    );
  }
}

/**
 * Forgets receipts that are old by the clock, and behind which as much time has passed from merge to merge of their fragment. A clock alone may be years off, for a
 * while: a machine that begins at 1970, or that was told a wrong year. Merges are numbered in the order in which they were.
 *
 * @param nowS seconds since 1970
 */
export async function purgeReceipts(transaction: Transaction, run: string, nowS: number): Promise<void> {
  const merges =
    'SELECT fragment, merged, MAX(at_s) AS at_s FROM helio_receipts WHERE run = $1 GROUP BY fragment, merged';
  const pairs = `SELECT fragment, merged, at_s, LEAD(at_s) OVER (PARTITION BY fragment ORDER BY merged) AS next_s FROM (${merges}) AS merges`;
  const passed = `CASE WHEN next_s - at_s > ${MOST_PAUSE_S} THEN ${MOST_PAUSE_S} WHEN next_s > at_s THEN next_s - at_s ELSE 0 END`;
  const ages = `SELECT fragment, merged, SUM(${passed}) OVER (PARTITION BY fragment ORDER BY merged DESC) AS age_s FROM (${pairs}) AS pairs`;
  const old = await transaction.query(
    `SELECT fragment, MAX(merged) AS merged FROM (${ages}) AS ages WHERE age_s >= ${KEPT_S} GROUP BY fragment`,
    [run],
  );
  for (const { fragment, merged } of old)
    await transaction.query(
      'DELETE FROM helio_receipts WHERE run = $1 AND fragment = $2 AND merged <= $3 AND at_s < $4',
      [run, Number(fragment), Number(merged), nowS - KEPT_S],
    );
}

/** The newest ones, of one island or of all. */
export async function selectReceipts(
  transaction: Transaction,
  run: string,
  island: string | null,
): Promise<readonly SignedReceipt[]> {
  const [which, values] = island === null ? ['', [run]] : ['AND island = $2', [run, island]];
  const rows = await transaction.query(
    `SELECT receipt FROM helio_receipts WHERE run = $1 ${which} ORDER BY at_s DESC, fragment, merged, island LIMIT ${MOST_RECEIPTS}`,
    values,
  );
  return rows.map((row) => JSON.parse(String(row.receipt)) as SignedReceipt);
}

/** Where a page of receipts ends. */
type Place = readonly [atS: number, fragment: number, merged: number, island: string];
const PAGE = 5_000;

/** All of them, the oldest first, a page at a time. @param after where the page before ended */
export async function selectReceiptsAfter(
  transaction: Transaction,
  run: string,
  after: Place | undefined,
): Promise<{ readonly receipts: readonly SignedReceipt[]; readonly end: Place | undefined }> {
  const from = after === undefined ? '' : 'AND (at_s, fragment, merged, island) > ($2, $3, $4, $5)';
  const rows = await transaction.query(
    `SELECT receipt FROM helio_receipts WHERE run = $1 ${from} ORDER BY at_s, fragment, merged, island LIMIT ${PAGE}`,
    [run, ...(after ?? [])],
  );
  const receipts = rows.map((row) => JSON.parse(String(row.receipt)) as SignedReceipt);
  const last = receipts.length === PAGE ? receipts.at(-1)!.receipt : undefined;
  return { receipts, end: last && [last.atS, last.fragment, last.merged, last.island] };
}
