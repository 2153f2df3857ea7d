/** What happened in a run, newest first to be read: a row for each merge, evaluation, phase, offence and the like. */
export const RECORDS_TABLE = `CREATE TABLE IF NOT EXISTS helio_records (run TEXT NOT NULL, number BIGINT NOT NULL, kind TEXT NOT NULL,
  at_s DOUBLE PRECISION NOT NULL, record TEXT NOT NULL, PRIMARY KEY (run, kind, number))`;

/**
 * What islands count, in buckets of time: a row for each island, resolution (seconds) and bucket (its beginning, seconds since 1970), with every
 * metric in it as JSON, {METRIC: [count, min, max, sum, last]}. The island of the run as a whole is ''.
 */
export const SERIES_TABLE = `CREATE TABLE IF NOT EXISTS helio_series (run TEXT NOT NULL, resolution_s BIGINT NOT NULL, bucket_s BIGINT NOT NULL,
  island TEXT NOT NULL, points TEXT NOT NULL, PRIMARY KEY (run, resolution_s, bucket_s, island))`;
