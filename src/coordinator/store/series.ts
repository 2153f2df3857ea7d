import type { RunRecord } from '../events.ts';
import type { Row, Transaction } from './database.ts';
import {
  type Bucket,
  bucketOf,
  joinPoints,
  type Point,
  type Points,
  RESOLUTIONS,
  type ResolutionS,
} from './downsample.ts';
import { insertRows } from './rows.ts';

/** What happened in a run and what its islands counted, as a dashboard asks for it. Both are bounded: in age, in rows, and in each row's size. */

/** Kinds of records that are kept one by one; progress of islands goes into buckets of time. */
export type RecordKind = Exclude<RunRecord['kind'], 'progress'>;
const RECORD_KINDS: Readonly<Record<RecordKind, true>> = {
  phase: true,
  island: true,
  merge: true,
  evaluation: true,
  'evaluation-given-up': true,
  'took-records': true,
  plan: true,
  doubted: true,
  'left-out': true,
  checkpoint: true,
  offence: true,
  energy: true,
  'energy-refused': true,
};
/** The newest of each kind are kept, and this many characters of one. */
const MOST_RECORDS = 20_000;
const MOST_CHARACTERS = 8_192;
/** Rows of one resolution, over all islands; the run's own are kept for ever. */
const MOST_BUCKETS = 500_000;
/** Of one answer; the newest. */
const MOST_ANSWERED = 100_000;

export interface KeptRecord {
  /** Seconds since 1970. */
  readonly atS: number;
  readonly record: RunRecord;
}

export interface RecordQuery {
  readonly kinds: readonly RecordKind[];
  readonly fromS?: number;
  readonly most?: number;
}

export interface SeriesQuery {
  /** Metrics: of progress (`loss`, `tokens`, …), `sentBytes`, `receivedBytes`; of the run `validationLoss`, `runStep`, `contributions`. */
  readonly names: readonly string[];
  /** Of all islands, and of the run as a whole, where none are named; the run as a whole is ''. */
  readonly islands?: readonly string[];
  /** Seconds since 1970; `toS` is not part of it. */
  readonly fromS: number;
  readonly toS: number;
  readonly resolutionS: ResolutionS;
}

export interface SeriesPoint {
  readonly name: string;
  readonly island: string;
  /** When its bucket begins, in seconds since 1970. */
  readonly atS: number;
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly last: number;
}

/** @param number of the first of them: each has its own */
export async function insertRecords(
  transaction: Transaction,
  run: string,
  records: readonly KeptRecord[],
  number: number,
): Promise<void> {
  const rows = records.map(({ atS, record }, i) => [run, number + i, record.kind, atS, textOf(record)]);
  await insertRows(transaction, 'INSERT INTO helio_records (run, number, kind, at_s, record)', rows);
}

/** The newest, oldest first. */
export async function selectRecords(
  transaction: Transaction,
  run: string,
  { kinds, fromS = 0, most = MOST_RECORDS }: RecordQuery,
): Promise<readonly KeptRecord[]> {
  const rows: Row[] = [];
  for (const kind of new Set(kinds))
    rows.push(
      ...(await transaction.query(
        'SELECT number, at_s, record FROM helio_records WHERE run = $1 AND kind = $2 AND at_s >= $3 ORDER BY number DESC LIMIT $4',
        [run, kind, fromS, Math.min(most, MOST_RECORDS)],
      )),
    );
  return rows
    .toSorted((a, b) => Number(a.number) - Number(b.number))
    .slice(-most)
    .map((row) => ({ atS: Number(row.at_s), record: JSON.parse(String(row.record)) as RunRecord }));
}

export async function insertBuckets(transaction: Transaction, run: string, buckets: readonly Bucket[]): Promise<void> {
  // A clock that was set back closes a bucket twice, and no statement may write a row twice.
  const each = new Map<string, Bucket>();
  for (const bucket of buckets) {
    const key = `${bucket.resolutionS} ${bucket.bucketS} ${bucket.island}`;
    const before = each.get(key);
    each.set(key, before === undefined ? bucket : { ...bucket, points: joinPoints(before.points, bucket.points) });
  }
  const rows = [...each.values()].map(({ island, resolutionS, bucketS, points }) => [
    run,
    resolutionS,
    bucketS,
    island,
    JSON.stringify(points, rounded),
  ]);
  const tail = 'ON CONFLICT (run, resolution_s, bucket_s, island) DO UPDATE SET points = excluded.points';
  await insertRows(transaction, 'INSERT INTO helio_series (run, resolution_s, bucket_s, island, points)', rows, tail);
}

/** Buckets that are over and not yet in one of the next resolution, perhaps: what a coordinator goes on from. */
export async function selectUnfinished(
  transaction: Transaction,
  run: string,
  nowS: number,
): Promise<readonly Bucket[]> {
  const [row] = await transaction.query(
    'SELECT MAX(bucket_s) AS newest FROM helio_series WHERE run = $1 AND resolution_s = $2 AND bucket_s <= $3',
    [run, RESOLUTIONS[0]!.resolutionS, Math.ceil(nowS)],
  );
  if (row?.newest === null || row?.newest === undefined) return [];
  const found: Bucket[] = [];
  for (const [level, { resolutionS }] of RESOLUTIONS.entries()) {
    // One before as well: it may have been over, and its coordinator killed before that was written.
    const coarser = (RESOLUTIONS[level + 1] ?? RESOLUTIONS[level]!).resolutionS;
    const from = bucketOf(Number(row.newest), coarser) - coarser;
    found.push(...(await selectBuckets(transaction, run, resolutionS, from, nowS + 1)));
  }
  return found;
}

/** Where a coarse bucket is not over yet, the finer ones of its time are put together. */
export async function selectSeries(
  transaction: Transaction,
  run: string,
  { names, islands, fromS, toS, resolutionS }: SeriesQuery,
): Promise<readonly SeriesPoint[]> {
  const only = islands?.length === 1 ? islands[0] : undefined;
  const wanted = islands === undefined ? undefined : new Set(islands);
  const found = new Map<string, Bucket>();
  let from = bucketOf(fromS, resolutionS);
  for (const { resolutionS: own } of RESOLUTIONS.filter((each) => each.resolutionS <= resolutionS).toReversed()) {
    for (const bucket of await selectBuckets(transaction, run, own, from, toS, only)) {
      from = Math.max(from, bucket.bucketS + own);
      if (wanted?.has(bucket.island) === false) continue;
      const bucketS = bucketOf(bucket.bucketS, resolutionS);
      const key = `${bucketS} ${bucket.island}`;
      const before = found.get(key);
      const points = before === undefined ? bucket.points : joinPoints(before.points, bucket.points);
      found.set(key, { ...bucket, resolutionS, bucketS, points });
    }
  }
  return [...found.values()].flatMap(({ island, bucketS, points }) =>
    names.flatMap((name) => {
      const point = Object.hasOwn(points, name) ? points[name] : undefined;
      if (point === undefined) return [];
      const [count, min, max, sum, last] = point;
      return [{ name, island, atS: bucketS, count, min, max, sum, last }];
    }),
  );
}

/** In their order; of too many the newest. */
async function selectBuckets(
  transaction: Transaction,
  run: string,
  resolutionS: ResolutionS,
  fromS: number,
  toS: number,
  island?: string,
): Promise<readonly Bucket[]> {
  const rows = await transaction.query(
    `SELECT bucket_s, island, points FROM helio_series WHERE run = $1 AND resolution_s = $2 AND bucket_s >= $3 AND bucket_s < $4
      ${island === undefined ? '' : 'AND island = $5'} ORDER BY bucket_s DESC, island DESC LIMIT ${MOST_ANSWERED}`,
    [run, resolutionS, Math.floor(fromS), Math.ceil(toS), ...(island === undefined ? [] : [island])],
  );
  return rows
    .map((row) => ({
      island: String(row.island),
      resolutionS,
      bucketS: Number(row.bucket_s),
      points: JSON.parse(String(row.points)) as Points,
    }))
    .toReversed();
}

/** Forgets what is too old or too much. */
export async function prune(
  transaction: Transaction,
  run: string,
  nowS: number,
  most: { readonly records: number; readonly buckets: number } = { records: MOST_RECORDS, buckets: MOST_BUCKETS },
): Promise<void> {
  for (const kind of Object.keys(RECORD_KINDS))
    await transaction.query(
      `DELETE FROM helio_records WHERE run = $1 AND kind = $2 AND number <=
        (SELECT number FROM helio_records WHERE run = $1 AND kind = $2 ORDER BY number DESC LIMIT 1 OFFSET $3)`,
      [run, kind, most.records],
    );
  for (const { resolutionS, keptS } of RESOLUTIONS) {
    const which = "run = $1 AND resolution_s = $2 AND island <> ''";
    if (Number.isFinite(keptS))
      await transaction.query('DELETE FROM helio_series WHERE run = $1 AND resolution_s = $2 AND bucket_s < $3', [
        run,
        resolutionS,
        Math.floor(nowS - keptS),
      ]);
    // Whole buckets of time, all islands alike.
    await transaction.query(
      `DELETE FROM helio_series WHERE ${which} AND bucket_s <=
        (SELECT bucket_s FROM helio_series WHERE ${which} ORDER BY bucket_s DESC LIMIT 1 OFFSET $3)`,
      [run, resolutionS, most.buckets],
    );
  }
}

/** As JSON, of a bounded length: of long lists the first, of long sentences the beginning. */
function textOf(record: RunRecord): string {
  const text = JSON.stringify(record);
  if (text.length <= MOST_CHARACTERS) return text;
  const shorten = (_: string, value: unknown): unknown =>
    Array.isArray(value) ? value.slice(0, 16) : typeof value === 'string' ? value.slice(0, 500) : value;
  return JSON.stringify({ ...record, shortened: true }, shorten);
}

/** Seven digits of a fraction are enough for a curve. */
const rounded = (_: string, value: Point | number | unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(7)) : value;
