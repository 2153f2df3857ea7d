import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { explainSystemError, HelioError } from '../../errors.ts';
import type { Database, Row, Transaction, Value } from './database.ts';
import { claim, type Held, takeRun } from './fencing.ts';

/**
 * A run's database in one file, held by one process. WAL with full synchronisation: a commit has reached the disk when it returns, and a
 * torn last record is none (docs/decisions/0005-embedded-store.md).
 *
 * @throws HelioError HELIO-3001 when the file is there and no sound database, HELIO-3005 when another process has it
 */
export function openSqlite(file: string): Database {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(file);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    const [check] = database.prepare('PRAGMA quick_check(1)').all();
    if (check?.quick_check !== 'ok') throw new Error(`malformed: ${String(check?.quick_check)}`);
  } catch (error) {
    throw explain(error, file, 'open');
  }
  const statements = new Map<string, StatementSync>();
  const prepared = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql.replaceAll('$', '?'));
    statements.set(sql, statement);
    return statement;
  };
  const transaction: Transaction = {
    query: async (sql: string, values: readonly Value[] = []): Promise<readonly Row[]> => prepared(sql).all(...values),
  };
  const whole = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      database.exec('BEGIN IMMEDIATE');
      const result = await work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw explain(error, file, 'write');
    }
  };
  // The lock of the file keeps others out; where it means nothing, as on some network file systems, the epoch does.
  const held: Held = { run: '', holder: `process ${process.pid}`, place: file, nowS: "unixepoch('subsec')" };
  let epoch: number | undefined;
  let committed = 0;
  return {
    place: file,
    async transact(work) {
      epoch ??= await whole(() => takeRun(transaction, held, true));
      const mine = epoch;
      const number = committed + 1;
      const result = await whole(async () => {
        if (!(await claim(transaction, held, mine, number))) throw new Error(`transaction ${number} is there already`);
        return work(transaction);
      });
      committed = number;
      return result;
    },
    async ping() {
      try {
        prepared('SELECT 1').all();
      } catch (error) {
        throw explain(error, file, 'read');
      }
    },
    async close() {
      database.close();
    },
  };
}

function explain(error: unknown, file: string, doing: 'open' | 'read' | 'write'): HelioError {
  const text = String(error);
  if (/database is locked/.test(text)) {
    return new HelioError(
      'HELIO-3005',
      `The run's database ${file} is held by another process.`,
      'Wait for the coordinator that has it, or stop it.',
      { cause: error },
    );
  }
  if (/not a database|malformed/.test(text)) {
    return new HelioError(
      'HELIO-3001',
      `${file} is damaged, or no run's database (${text.replace(/^Error: /, '')}).`,
      'Restore it from a copy (`heliotrope runs import`), or start the run afresh. Nothing was changed.',
      { cause: error },
    );
  }
  if (/disk is full/.test(text)) return explainSystemError({ code: 'ENOSPC' }, `${doing} the run's database ${file}`);
  if (/readonly|read-only/.test(text))
    return explainSystemError({ code: 'EACCES' }, `${doing} the run's database ${file}`);
  return explainSystemError(error, `${doing} the run's database ${file}`);
}
