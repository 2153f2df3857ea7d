import { HelioError } from '../../errors.ts';
import type { Transaction } from './database.ts';

/**
 * Who holds a run. Taking it raises its epoch, a fencing token: every transaction begins with the writing of (epoch, number) into the
 * run's own row, which fails when another has taken the run since, and locks the row until the transaction has ended. So nothing of an
 * earlier holder lands after a later one began, however long it was asleep; and a holder that never heard whether a COMMIT was done
 * reads in the row whether it was.
 */
const TABLE = `CREATE TABLE IF NOT EXISTS helio_holders (run TEXT PRIMARY KEY, epoch BIGINT NOT NULL, number BIGINT NOT NULL,
  holder TEXT NOT NULL, renewed_s DOUBLE PRECISION NOT NULL, released BIGINT NOT NULL)`;

/** A holder that was not heard of for so long has gone, whatever its session looks like to the database. */
const STALE_S = 45;

/**
 * A run that nobody took yet has epoch 0. A coordinator of version 0.1 takes none, and may be hosting it: only a lock of the session tells.
 */
const isFree = (nowS: string): string => `epoch > 0 AND (released = 1 OR renewed_s < ${nowS} - ${STALE_S})`;

/** A run as a database keeps it. */
export interface Held {
  readonly run: string;
  /** Name and a random number. */
  readonly holder: string;
  /** Of the database, for messages. */
  readonly place: string;
  /** Seconds by the database's own clock, in its SQL. */
  readonly nowS: string;
}

/**
 * Takes the run, unless another has it.
 *
 * @param alone whether it is known otherwise that nobody else has it
 * @returns the new epoch
 * @throws HelioError HELIO-3005
 */
export async function takeRun(transaction: Transaction, held: Held, alone: boolean): Promise<number> {
  const { run, holder, nowS } = held;
  await transaction.query(TABLE);
  await transaction.query(
    `INSERT INTO helio_holders (run, epoch, number, holder, renewed_s, released) VALUES ($1, 0, 0, '', 0, 1) ON CONFLICT (run) DO NOTHING`,
    [run],
  );
  const [taken] = await transaction.query(
    `UPDATE helio_holders SET epoch = epoch + 1, number = 0, holder = $2, renewed_s = ${nowS}, released = 0
      WHERE run = $1 AND (holder = $3 OR (${isFree(nowS)})${alone ? ' OR TRUE' : ''}) RETURNING epoch`,
    [run, holder, holder],
  );
  if (taken !== undefined) return Number(taken.epoch);
  const [now] = await transaction.query(
    `SELECT epoch, holder, ${nowS} - renewed_s AS silent_s FROM helio_holders WHERE run = $1`,
    [run],
  );
  const by =
    Number(now?.epoch) === 0
      ? 'of an earlier version of Heliotrope'
      : `${nameOf(now?.holder)}, last heard of ${Math.round(Number(now?.silent_s))} s ago`;
  throw new HelioError(
    'HELIO-3005',
    `The run ${run} in ${held.place} is held by another process: ${by}.`,
    'Wait for the coordinator that has it, or stop it.',
  );
}

/**
 * Begins a transaction of this epoch, with the next number.
 *
 * @returns false when the transaction of this number is committed already
 * @throws HelioError HELIO-3005 when another has taken the run
 */
export async function claim(transaction: Transaction, held: Held, epoch: number, number: number): Promise<boolean> {
  const [mine] = await transaction.query(
    `UPDATE helio_holders SET number = $3, renewed_s = ${held.nowS} WHERE run = $1 AND epoch = $2 AND number = $4 RETURNING epoch`,
    [held.run, epoch, number, number - 1],
  );
  if (mine !== undefined) return true;
  const [row] = await transaction.query('SELECT epoch, number, holder FROM helio_holders WHERE run = $1', [held.run]);
  if (Number(row?.epoch) === epoch && Number(row?.number) === number) return false;
  throw takenOver(held, row?.holder);
}

/** Says that the holder is alive. @throws HelioError HELIO-3005 when another has taken the run */
export async function renew(transaction: Transaction, held: Held, epoch: number): Promise<void> {
  const [mine] = await transaction.query(
    `UPDATE helio_holders SET renewed_s = ${held.nowS} WHERE run = $1 AND epoch = $2 RETURNING epoch`,
    [held.run, epoch],
  );
  if (mine !== undefined) return;
  const [row] = await transaction.query('SELECT holder FROM helio_holders WHERE run = $1', [held.run]);
  throw takenOver(held, row?.holder);
}

/** Releases the run: the next process can take it at once. */
export async function release(transaction: Transaction, held: Held, epoch: number): Promise<void> {
  await transaction.query('UPDATE helio_holders SET released = 1 WHERE run = $1 AND epoch = $2', [held.run, epoch]);
}

const takenOver = (held: Held, by: unknown): HelioError =>
  new HelioError(
    'HELIO-3005',
    `The run ${held.run} in ${held.place} was taken over by another process: ${nameOf(by)}.`,
    'Let that one go on: nothing that this one decided since is committed, and its islands find the other.',
  );

/** Without the number that only tells it from others. */
const nameOf = (holder: unknown): string => String(holder ?? 'unknown').replace(/#.*$/, '');
