import type { Database, Transaction } from '../../src/coordinator/store/database.ts';

/** A store as Heliotrope before schema 4 made it, with its own statements and a run of its time: what a later version must still read. */

const TABLES = [
  'CREATE TABLE IF NOT EXISTS helio_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)',
  `CREATE TABLE IF NOT EXISTS helio_events (run TEXT NOT NULL, seq BIGINT NOT NULL, at_ms DOUBLE PRECISION NOT NULL,
    event TEXT NOT NULL, PRIMARY KEY (run, seq))`,
  `CREATE TABLE IF NOT EXISTS helio_merges (run TEXT NOT NULL, seq BIGINT NOT NULL, fragment BIGINT NOT NULL, version BIGINT NOT NULL,
    blob TEXT NOT NULL, PRIMARY KEY (run, fragment, version))`,
  `CREATE TABLE IF NOT EXISTS helio_sessions (run TEXT NOT NULL, number BIGINT NOT NULL, seq BIGINT NOT NULL, settings TEXT NOT NULL,
    PRIMARY KEY (run, number))`,
  `CREATE TABLE IF NOT EXISTS helio_checkpoints (run TEXT NOT NULL, id TEXT NOT NULL, seq BIGINT NOT NULL, state TEXT NOT NULL,
    blobs TEXT NOT NULL, committed BIGINT NOT NULL, PRIMARY KEY (run, id))`,
];

/** One island that trains, one round merged, and validation under way. */
const ISLAND = {
  name: 'island-1',
  status: 'training',
  shard: 0,
  key: 'key-1',
  invitation: null,
  offences: 1,
  merged: [1],
  answerMs: 120,
  expected: [true],
  due: [null],
  progress: null,
  past: null,
  joins: 1,
};
const STATE = {
  phase: 'training',
  aloneSinceMs: null,
  islands: {
    size: 1,
    buckets: Array.from({ length: 128 }, (_, i) => (i === bucketOf('island-1') ? { 'island-1': ISLAND } : {})),
    training: ['island-1'],
    byShard: { 0: 1 },
    byInvitation: {},
  },
  returning: [],
  fragments: [{ version: 1, runStep: 10, progress: 10, nextStep: 20, stage: { kind: 'open' } }],
  merges: 1,
  mergedTokens: 1000,
  trainedMs: 5000,
  trainingSinceMs: 9000,
  mergedAtMs: 4900,
  evaluations: 2,
  evaluation: {
    id: 2,
    label: 'during',
    merges: 1,
    runStep: 10,
    parts: [{ island: 'island-1', sinceMs: 8999, answer: null }],
  },
  firstLoss: 4.5,
  lastLoss: 4.5,
  firstAccuracy: null,
  lastAccuracy: null,
  lastLossMerges: 0,
  checkpoints: 1,
  checkpoint: { id: '000001', merges: 1, waiting: [], thenStop: false, sinceMs: 9000 },
  checkpointMerges: 1,
  committed: null,
  banned: { 'key-9': 'not finite' },
  stopRequested: false,
  restore: null,
};
/** Who hands in the second round; a merge then, of which nothing was kept but the version. */
const EVENTS = [
  { kind: 'due', island: 'island-1', fragment: 0, version: 1, slackMs: 0 },
  { kind: 'contributed', island: 'island-1', fragment: 0, version: 1, round: 2, steps: 10, tokens: 1000 },
];

export async function writeSchema3(database: Database, run: string, settings: object): Promise<void> {
  await database.transact(async (transaction: Transaction) => {
    for (const table of TABLES) await transaction.query(table);
    await transaction.query("INSERT INTO helio_meta (name, value) VALUES ('schema', '3')");
    await transaction.query('INSERT INTO helio_sessions (run, number, seq, settings) VALUES ($1, 1, 0, $2)', [
      run,
      JSON.stringify(settings),
    ]);
    await transaction.query(
      'INSERT INTO helio_checkpoints (run, id, seq, state, blobs, committed) VALUES ($1, $2, $3, $4, $5, 1)',
      [run, '000001', 40, JSON.stringify(STATE), JSON.stringify({ parameters: 'aa' })],
    );
    for (const [i, event] of EVENTS.entries())
      await transaction.query('INSERT INTO helio_events (run, seq, at_ms, event) VALUES ($1, $2, $3, $4)', [
        run,
        41 + i,
        10_000 + i,
        JSON.stringify(event),
      ]);
    await transaction.query('INSERT INTO helio_merges (run, seq, fragment, version, blob) VALUES ($1, 42, 0, 2, $2)', [
      run,
      'bb',
    ]);
  });
}

/** FNV-1a, as the roster of that time. */
function bucketOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % 128;
}
