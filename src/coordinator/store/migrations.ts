import { HelioError } from '../../errors.ts';
import type { Transaction } from './database.ts';
import { RECEIPTS_TABLE } from './receipts.ts';
import { RECORDS_TABLE, SERIES_TABLE } from './series-tables.ts';

/**
 * The tables of a store, step by step from the oldest version that is still read: a store of any of them becomes one of the newest, in one
 * transaction, when it is opened. Steps only add, with defaults: a database may hold many runs, and a coordinator of the version before goes on
 * writing its own until it is restarted. A step that was released never changes; what comes later is a step of its own.
 */
const STEPS: readonly { readonly version: number; readonly statements: readonly string[] }[] = [
  {
    version: 3,
    statements: [
      `CREATE TABLE IF NOT EXISTS helio_events (run TEXT NOT NULL, seq BIGINT NOT NULL, at_ms DOUBLE PRECISION NOT NULL,
        event TEXT NOT NULL, PRIMARY KEY (run, seq))`,
      `CREATE TABLE IF NOT EXISTS helio_merges (run TEXT NOT NULL, seq BIGINT NOT NULL, fragment BIGINT NOT NULL, version BIGINT NOT NULL,
        blob TEXT NOT NULL, PRIMARY KEY (run, fragment, version))`,
      `CREATE TABLE IF NOT EXISTS helio_sessions (run TEXT NOT NULL, number BIGINT NOT NULL, seq BIGINT NOT NULL, settings TEXT NOT NULL,
        PRIMARY KEY (run, number))`,
      `CREATE TABLE IF NOT EXISTS helio_checkpoints (run TEXT NOT NULL, id TEXT NOT NULL, seq BIGINT NOT NULL, state TEXT NOT NULL,
        blobs TEXT NOT NULL, committed BIGINT NOT NULL, PRIMARY KEY (run, id))`,
    ],
  },
  {
    version: 4,
    statements: [
      RECEIPTS_TABLE,
      // Who was merged, as JSON; nothing where it was not kept yet.
      'ALTER TABLE helio_merges ADD COLUMN what TEXT',
      // 0: the coordinator's state alone, which islands have not saved theirs with. And who has not, of those that were asked, as JSON.
      'ALTER TABLE helio_checkpoints ADD COLUMN islands_saved BIGINT NOT NULL DEFAULT 1',
      "ALTER TABLE helio_checkpoints ADD COLUMN missing TEXT NOT NULL DEFAULT '[]'",
      RECORDS_TABLE,
      SERIES_TABLE,
    ],
  },
];

const OLDEST = STEPS[0]!.version;
export const SCHEMA_VERSION = STEPS.at(-1)!.version;

/**
 * Makes the tables, or brings them to this version.
 *
 * @param place where it is, for messages
 * @throws HelioError HELIO-3001 when the store is of a newer version, or of one that is too old: nothing is changed
 */
export async function migrate(transaction: Transaction, place: string): Promise<void> {
  await transaction.query('CREATE TABLE IF NOT EXISTS helio_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)');
  await transaction.query("INSERT INTO helio_meta (name, value) VALUES ('schema', '0') ON CONFLICT DO NOTHING");
  // Whoever else opens it now waits here, and finds it done.
  await transaction.query("UPDATE helio_meta SET value = value WHERE name = 'schema'");
  const [row] = await transaction.query("SELECT value FROM helio_meta WHERE name = 'schema'");
  const version = Number(row?.value);
  if (version === SCHEMA_VERSION) return;
  if (version !== 0 && !(version >= OLDEST && version < SCHEMA_VERSION))
    throw new HelioError(
      'HELIO-3001',
      `The store ${place} has version ${String(row?.value)}, and this Heliotrope reads versions ${OLDEST} to ${SCHEMA_VERSION}.`,
      version > SCHEMA_VERSION
        ? 'Install the newer Heliotrope that wrote it. Nothing was changed.'
        : 'Go on with the Heliotrope that wrote it, or start the run afresh. Nothing was changed.',
    );
  for (const step of STEPS.filter((each) => each.version > version))
    for (const statement of step.statements) await transaction.query(statement);
  await transaction.query("UPDATE helio_meta SET value = $1 WHERE name = 'schema'", [String(SCHEMA_VERSION)]);
}
