import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from 'vitest';
import { run, scratch, start, tinyRun } from './command.ts';

const asRoot = process.getuid?.() === 0;
const mayMount =
  asRoot &&
  process.platform === 'linux' &&
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', scratch()]).status === 0;
const folder = scratch();
const text = (name: string, content: string): string => {
  writeFileSync(path.join(folder, name), content);
  return path.join(folder, name);
};

describe('bad input ends with one clear message and leaves nothing half-written', { timeout: 120_000 }, () => {
  const words = 'A sentence about a house, a garden and a walk to the sea. '.repeat(40);
  it.each<[string, () => string, number, RegExp]>([
    ['a run file that is not there', () => path.join(folder, 'none.yaml'), 2, /HELIO-1001.*none\.yaml does not exist/],
    ['YAML that does not parse', () => text('syntax.yaml', 'data: [a\nbatch: 3'), 2, /HELIO-1001.*syntax\.yaml:2:\d/],
    [
      'an unknown key',
      () => text('key.yaml', 'data: x.txt\nouter:\n  inerSteps: 5\n'),
      2,
      /key\.yaml:3:3: unknown key outer\.inerSteps.*Did you mean innerSteps\?/s,
    ],
    ['a wrong type', () => text('type.yaml', 'data: x.txt\nbatch: many\n'), 2, /type\.yaml:2:1: batch is "many"/],
    [
      'a number out of range',
      () => text('range.yaml', 'data: x.txt\nstop: { steps: 0 }\n'),
      2,
      /range\.yaml:2:\d+: stop\.steps is 0/,
    ],
    ['no data', () => text('nodata.yaml', 'batch: 3\n'), 2, /nodata\.yaml:1:1: data is missing/],
    [
      'a missing corpus',
      () => tinyRun(folder, 'missing', { data: 'nowhere/*.txt' }),
      2,
      /HELIO-1003.*nowhere\/\*\.txt.*matches no file/,
    ],
    [
      'an empty corpus',
      () => tinyRun(folder, 'empty', { data: text('empty.txt', '') }),
      2,
      /HELIO-1003.*empty\.txt is empty/,
    ],
    [
      'a corpus shorter than the context',
      () =>
        tinyRun(folder, 'short', { data: text('short.txt', words), tokenizer: { vocabularySize: 260 }, context: 4096 }),
      2,
      /HELIO-1003.*one context needs 4097.*smaller context/s,
    ],
    [
      'a vocabulary larger than the corpus supports',
      () => tinyRun(folder, 'vocabulary', { data: text('few.txt', words), tokenizer: { vocabularySize: 5000 } }),
      2,
      /HELIO-1004.*5000 is more than the corpus supports.*at most/s,
    ],
    [
      'a foreign tokenizer',
      () => tinyRun(folder, 'foreign', { tokenizer: { path: text('odd.json', '{}') } }),
      2,
      /HELIO-1004.*odd\.json/s,
    ],
    [
      'sizes that do not divide',
      () => tinyRun(folder, 'sizes', { model: { width: 100, heads: 3 } }),
      2,
      /HELIO-1002.*model\.width 100 does not divide into model\.heads 3/,
    ],
    [
      'a quorum of more islands than there are',
      () => tinyRun(folder, 'quorum', { outer: { quorum: 5 } }),
      2,
      /HELIO-1001.*outer\.quorum 5 is more than the 4 islands/,
    ],
    [
      'an overlap as long as a round',
      () => tinyRun(folder, 'overlap', { outer: { innerSteps: 5, overlapSteps: 5 } }),
      2,
      /outer\.overlapSteps 5 is no less than outer\.innerSteps 5/,
    ],
    [
      'mixing without overlap',
      () => tinyRun(folder, 'mixing', { outer: { localShare: 0.5 } }),
      2,
      /outer\.localShare 0\.5 mixes in.*outer\.overlapSteps is 0/,
    ],
    [
      'more fragments than tensors',
      () => tinyRun(folder, 'fragments', { outer: { fragments: 500 } }),
      2,
      /outer\.fragments 500 is more than/,
    ],
  ])('%s', async (_, file, status, message) => {
    const before = existsSync(path.join(folder, 'runs')) ? readdirSync(path.join(folder, 'runs')) : [];
    const outcome = await run(['train', file()], folder);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr).not.toMatch(/\n\s+at /);
    expect(outcome.status).toBe(status);
    expect(existsSync(path.join(folder, 'runs')) ? readdirSync(path.join(folder, 'runs')) : []).toEqual(before);
  });

  it('a port that is in use', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    const runs = scratch();
    const outcome = await run(['serve', tinyRun(folder, 'port'), '--port', String(port)], runs);
    expect([outcome.status, outcome.stderr]).toEqual([
      1,
      expect.stringMatching(/HELIO-4001.*127\.0\.0\.1:\d+.*--port 0/s),
    ]);
    expect(readdirSync(runs)).toEqual([]);
    blocker.close();
  });

  it('a coordinator that is not there', async () => {
    const outcome = await run(['join', 'http://127.0.0.1:9/join', '--patience', '0'], folder);
    expect([outcome.status, outcome.stderr]).toEqual([
      3,
      expect.stringMatching(/HELIO-4002.*No coordinator answers at 127\.0\.0\.1:9/s),
    ]);
  });

  it('an address that is none', async () => {
    const outcome = await run(['join', 'nonsense'], folder);
    expect([outcome.status, outcome.stderr]).toEqual([
      2,
      expect.stringMatching(/HELIO-1006.*nonsense is no invitation to a run/s),
    ]);
  });

  it('a misspelt command, as JSON too', async () => {
    const outcome = await run(['trian'], folder);
    expect([outcome.status, outcome.stderr]).toEqual([2, expect.stringContaining('train')]);
    const json = await run(['sample', 'nothing', '--json'], folder);
    expect([json.status, JSON.parse(json.stdout)]).toEqual([2, expect.objectContaining({ code: 'HELIO-1005' })]);
  });

  /** Runs `work` on a small file system of its own. */
  const onDisk = async (options: string, work: (disk: string) => Promise<void>): Promise<void> => {
    const disk = scratch();
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status).toBe(0);
    try {
      await work(disk);
    } finally {
      spawnSync('umount', ['-l', disk]);
    }
  };

  it.skipIf(asRoot)('a folder without permission', async () => {
    const locked = scratch();
    chmodSync(locked, 0o555);
    const outcome = await run(['train', tinyRun(folder, 'locked'), '--runs', path.join(locked, 'runs')], folder);
    expect([outcome.status, outcome.stderr]).toEqual([4, expect.stringMatching(/HELIO-3003.*make the run's folder/s)]);
  });

  it.skipIf(!mayMount)('a disk that may only be read', async () => {
    await onDisk('ro', async (disk) => {
      const outcome = await run(['train', tinyRun(folder, 'locked'), '--runs', path.join(disk, 'runs')], folder);
      expect([outcome.status, outcome.stderr]).toEqual([
        4,
        expect.stringMatching(/HELIO-3003.*make the run's folder/s),
      ]);
    });
  });

  it.skipIf(!mayMount)('a full disk', async () => {
    await onDisk('size=500k', async (disk) => {
      const file = tinyRun(folder, 'full', { islands: 1, stop: { steps: 20 } });
      const outcome = await run(['train', file, '--runs', path.join(disk, 'runs')], folder);
      expect([outcome.status, outcome.stderr]).toEqual([
        1,
        expect.stringMatching(/HELIO-3002.*No space left.*Free some space/s),
      ]);
      const left = readdirSync(disk, { recursive: true }).map(String);
      expect(left.filter((name) => name.endsWith('.tmp') || name.endsWith('model.safetensors'))).toEqual([]);
    });
  });

  it.skipIf(!mayMount)('a disk that fills up while a run trains, which goes on once there is space again', async () => {
    await onDisk('size=32m', async (disk) => {
      const place = ['--runs', path.join(disk, 'runs')];
      const settings = { islands: 1, stop: { steps: 100_000 }, checkpoints: { everyMerges: 1 } };
      const training = start(['train', tinyRun(folder, 'filled', settings), ...place], folder);
      const lines = (): number => {
        const file = path.join(disk, 'runs/filled/metrics.jsonl');
        return existsSync(file) ? readFileSync(file, 'utf8').split('"kind":"merge"').length - 1 : 0;
      };
      await expect.poll(lines, { timeout: 60_000 }).toBeGreaterThan(2);
      const filler = path.join(disk, 'filler');
      // Whatever gets free meanwhile is filled as well.
      const fill = setInterval(() => spawnSync('sh', ['-c', `cat /dev/zero >> ${filler}`]), 20);
      const outcome = await training.done;
      clearInterval(fill);
      expect([outcome.status, outcome.stderr]).toEqual([
        1,
        expect.stringMatching(
          /error HELIO-3002 .*No space left.*\n +Free some space, then `heliotrope train --resume filled`\.\n$/,
        ),
      ]);
      const merged = lines();
      rmSync(filler);
      const resumed = start(['train', '--resume', 'filled', ...place], folder);
      await expect.poll(lines, { timeout: 60_000 }).toBeGreaterThan(merged);
      resumed.child.kill('SIGINT');
      expect((await resumed.done).status).toBe(130);
    });
  });

  describe('checkpoints', () => {
    let base = '';
    beforeAll(async () => {
      base = scratch();
      const training = start(['train', tinyRun(base, 'stopped', { islands: 2, stop: { steps: 1_000 } })], base);
      await training.said(/step +[4-9]\d/);
      training.child.kill('SIGINT');
      expect((await training.done).status).toBe(130);
    });
    interface Newest {
      readonly id: string;
      /** File of each part. */
      readonly blob: (part: string) => string;
    }
    const newestOf = (made: string): Newest => {
      const database = new DatabaseSync(path.join(made, 'run.sqlite'), { readOnly: true });
      const row = database
        .prepare('SELECT id, blobs FROM helio_checkpoints WHERE committed = 1 ORDER BY id DESC')
        .get()!;
      database.close();
      const blobs = JSON.parse(String(row.blobs)) as Record<string, string>;
      return { id: String(row.id), blob: (part) => path.join(made, 'blobs', blobs[part]!) };
    };
    const damaged = (damage: (run: string, newest: Newest) => void): string => {
      const copy = scratch();
      cpSync(base, copy, { recursive: true });
      const made = path.join(copy, 'runs/stopped');
      damage(made, newestOf(made));
      return copy;
    };

    it.each<[string, (run: string, newest: Newest) => void, RegExp]>([
      [
        'truncated',
        (_, { blob }) => truncateSync(blob('parameters'), 1000),
        /HELIO-3001.*blobs.*is damaged: its SHA-256 is another/,
      ],
      ['foreign', (_, { blob }) => writeFileSync(blob('velocity'), 'hello'), /HELIO-3001.*blobs.*is damaged/],
      ['missing', (_, { blob }) => rmSync(blob('residual')), /HELIO-3001.*blobs.*is missing/],
      [
        'of another model',
        (made) =>
          writeFileSync(
            path.join(made, 'run.yaml'),
            readFileSync(path.join(made, 'run.yaml'), 'utf8').replace('width: 64', 'width: 32'),
          ),
        /HELIO-3001.*elements where/,
      ],
      [
        'without its database',
        (made) =>
          writeFileSync(path.join(made, 'run.sqlite'), 'not a database, certainly not one of SQLite'.repeat(20)),
        /HELIO-3001.*run\.sqlite is damaged, or no run's database/,
      ],
      [
        'with a database that has been replaced',
        (made) => {
          for (const ending of ['', '-wal', '-shm']) rmSync(path.join(made, `run.sqlite${ending}`), { force: true });
        },
        /HELIO-3001.*knows nothing of this run/,
      ],
    ])('%s', async (_, damage, message) => {
      const outcome = await run(['train', '--resume', 'stopped'], damaged(damage));
      expect([outcome.status, outcome.stderr]).toEqual([1, expect.stringMatching(message)]);
    });

    it('of an island, truncated', async () => {
      const copy = damaged((made, { id }) =>
        truncateSync(path.join(made, 'islands/island-1', `checkpoint-${id}.safetensors`), 100),
      );
      const outcome = await run(['train', '--resume', 'stopped'], copy);
      expect(outcome.status).not.toBe(0);
      expect(outcome.stderr).toMatch(/island-1 cannot run.*HELIO-3001.*checkpoint-.*is not a whole safetensors file/s);
    });
  });

  it('a model of an unknown architecture', async () => {
    const copy = scratch();
    mkdirSync(path.join(copy, 'model'));
    writeFileSync(path.join(copy, 'model/config.json'), '{"model_type": "bert"}');
    const outcome = await run(['sample', 'model'], copy);
    expect([outcome.status, outcome.stderr]).toEqual([
      1,
      expect.stringMatching(/HELIO-3001.*config\.json.*model_type is "bert", and llama, gpt2, mistral/s),
    ]);
  });
});
