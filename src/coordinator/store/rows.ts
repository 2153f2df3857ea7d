import type { Transaction, Value } from './database.ts';

/** Rows in one statement: many spare round trips, and with very many numbered parameters SQLite takes long to read the statement. */
const MOST_ROWS = 128;

/**
 * Inserts many rows with few statements.
 *
 * @param head `INSERT INTO TABLE (COLUMNS)`
 * @param tail what follows the values, as `ON CONFLICT …`
 */
export async function insertRows(
  transaction: Transaction,
  head: string,
  rows: readonly (readonly Value[])[],
  tail = '',
): Promise<void> {
  for (let at = 0; at < rows.length; ) {
    // Lengths are powers of two, so that there are few different statements to prepare.
    const count = Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows.length - at)));
    const some = rows.slice(at, at + count);
    const columns = some[0]!.length;
    const places = some.map(
      (_, i) => `(${Array.from({ length: columns }, (_, column) => `$${i * columns + column + 1}`).join(', ')})`,
    );
    await transaction.query(`${head} VALUES ${places.join(', ')} ${tail}`, some.flat());
    at += count;
  }
}
