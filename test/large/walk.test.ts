import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const WALK = path.join(import.meta.dirname, 'walk.ts');

/** 614 million parameters, 2.29 GiB; `npm run bench coordinator -- --only large` does the same with a billion. */
const LAYERS = '9';
const MOST_BYTES = 2 ** 30;

describe('a model whose states are larger than one array, read or write may be', () => {
  it.each([
    ['is hashed as a base', 'hash'],
    ['travels as a base from file to file', 'travel'],
    ['is saved in shards and loaded again', 'shards'],
    ['goes into a run’s checkpoint and back', 'checkpoint'],
    ['goes into an island’s checkpoint and back', 'island'],
    ['is hashed in one array', 'wall'],
  ])(
    '%s, and is never in memory as a whole',
    async (_, name) => {
      const { stdout } = await run(process.execPath, [WALK, LAYERS, name]);
      const { parameters, peakBytes } = JSON.parse(stdout) as { parameters: number; peakBytes: number };
      expect(4 * parameters).toBeGreaterThan(2 ** 31);
      // Of the one array nobody writes a byte: its pages are all the system's page of zeros.
      expect(peakBytes).toBeLessThan(MOST_BYTES);
    },
    600_000,
  );
});
