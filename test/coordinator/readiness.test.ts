import { afterEach, expect, it } from 'vitest';
import { readiness } from '../../src/coordinator/server/readiness.ts';
import { type Hosted, hosted } from './hosted.ts';

let run: Hosted | undefined;
afterEach(async () => {
  await run?.close();
  run = undefined;
});
const readyz = async (): Promise<[number, string]> => {
  const answer = await fetch(`http://127.0.0.1:${run!.server.port}/readyz`);
  return [answer.status, await answer.text()];
};

it('islands may come when both stores can be used', async () => {
  run = await hosted({ ready: async () => null });
  expect(await readyz()).toEqual([200, 'ready\n']);
});

it('or may not, and anybody is told which, and nothing of where it is', async () => {
  let broken = false;
  let now = 0;
  run = await hosted({
    ready: async () => {
      if (broken) throw new Error('The database postgres://db.example.org/secret cannot be used.');
      return now < 5_000 ? 'the database cannot be used' : null;
    },
    nowMs: () => now,
  });
  expect(await readyz()).toEqual([503, 'the database cannot be used\n']);
  now = 10_000;
  expect(await readyz()).toEqual([200, 'ready\n']);
  [broken, now] = [true, 20_000];
  expect(await readyz()).toEqual([503, 'a store cannot be used\n']);
});

it('a store that is slow is asked once, however many ask', async () => {
  let asked = 0;
  const answer = Promise.withResolvers<null>();
  const ready = readiness(
    () => {
      asked++;
      return answer.promise;
    },
    () => 0,
  );
  const all = Array.from({ length: 1_000 }, () => ready());
  expect(asked).toBe(1);
  answer.resolve(null);
  expect(new Set(await Promise.all(all))).toEqual(new Set([null]));
});
