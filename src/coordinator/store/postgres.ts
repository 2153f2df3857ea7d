import postgres from 'postgres';
import { HelioError } from '../../errors.ts';
import type { Database, Row, Value } from './database.ts';

/** How long a commit waits for a database that is away; the run goes on meanwhile, and nothing is sent that is not committed. */
const PATIENCE_MS = 60_000;

/**
 * A database that many runs share, each held by one process.
 *
 * @param url postgres://user:password@host:port/database
 * @param run whose memory it is
 * @throws HelioError HELIO-3006 when it cannot be reached, HELIO-3005 when another process has the run
 */
export async function openPostgres(url: string, run: string): Promise<Database> {
  const { host, pathname } = new URL(url);
  const place = `postgres://${host}${pathname}`;
  const sql = postgres(url, { max: 1, onnotice: () => {}, connect_timeout: 10, idle_timeout: 0, max_lifetime: null });
  /** A lock of the session: it ends with the connection, also when this process is killed. */
  const hold = async (): Promise<void> => {
    const [row] = await sql`SELECT pg_try_advisory_lock(hashtextextended(${`heliotrope ${run}`}, 0)) AS held`;
    if (row?.held === true) return;
    throw new HelioError(
      'HELIO-3005',
      `The run ${run} in ${place} is held by another process.`,
      'Wait for the coordinator that has it, or stop it.',
    );
  };
  try {
    await hold();
  } catch (error) {
    await sql.end({ timeout: 1 });
    throw explain(error, place);
  }
  const transact = async <T>(work: Parameters<Database['transact']>[0], sinceMs: number): Promise<T> => {
    try {
      return (await sql.begin(async (transaction) => {
        const query = async (text: string, values: readonly Value[] = []): Promise<readonly Row[]> =>
          transaction.unsafe(text, values as Value[]);
        return work({ query });
      })) as T;
    } catch (error) {
      if (!isAway(error) || performance.now() - sinceMs > PATIENCE_MS) throw explain(error, place);
      await new Promise((resolve) => setTimeout(resolve, 500));
      // A new connection is a new session: the run has to be held again before anything is written.
      await hold().catch((reason: unknown) => {
        if (!isAway(reason)) throw explain(reason, place);
      });
      return transact(work, sinceMs);
    }
  };
  return {
    place,
    transact: (work) => transact(work, performance.now()),
    close: () => sql.end({ timeout: 5 }),
  };
}

const isAway = (error: unknown): boolean =>
  /^(ECONN|CONNECT|CONNECTION|ETIMEDOUT|EPIPE|57P0)/.test(String((error as { code?: unknown } | null)?.code ?? ''));

function explain(error: unknown, place: string): HelioError {
  if (error instanceof HelioError) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new HelioError(
    'HELIO-3006',
    `The database ${place} cannot be used: ${what}.`,
    'Check its address, name and password, and that it runs; what was committed is kept.',
    { cause: error },
  );
}
