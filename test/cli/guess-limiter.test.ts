import { describe, expect, it } from 'vitest';
import { GUESSES_PER_DAY, type Guess, GuessLimiter, isLocal } from '../../src/cli/lan/guess-limiter.ts';
import { CODE_BITS, CODE_PATTERN, newCode } from '../../src/cli/lan/join-code.ts';

const SECOND = 1_000;
const DAY = 86_400 * SECOND;
/** Whether a guess is allowed, and then wrong. */
const guess = (guesses: GuessLimiter, address: string, nowMs: number): boolean =>
  'lane' in guesses.take(address, nowMs);
const attackers = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `10.0.${Math.floor(i / 250)}.${1 + (i % 250)}`);

describe('a code', () => {
  it('has more than 22 bits: 256 words, 256 words and 100 numbers, none twice', () => {
    const seen = [new Set<string>(), new Set<string>(), new Set<string>()];
    for (let i = 0; i < 256; i++)
      newCode((below) => i % below)
        .split('-')
        .forEach((word, place) => void seen[place]!.add(word));
    expect(seen.map((words) => words.size)).toEqual([256, 256, 100]);
    expect(CODE_BITS).toBeCloseTo(22.64, 2);
    for (const word of [...seen[0]!, ...seen[1]!]) expect(word).toMatch(/^[a-z]{3,9}$/);
    expect([...seen[0]!].filter((word) => seen[1]!.has(word))).toEqual([]);
  });

  it.each(['amber-fox-42', 'Amber-Fox-7'])('is told from a link: %s', (code) => expect(code).toMatch(CODE_PATTERN));
  it.each(['http://a/join', 'amber-fox', 'amber-fox-421', 'amber fox 42'])('is told from anything else: %s', (text) =>
    expect(text).not.toMatch(CODE_PATTERN),
  );
});

describe('guesses at a code', () => {
  it('from one address: ten, and then one a minute', () => {
    const guesses = new GuessLimiter();
    const allowed = Array.from({ length: 50 }, () => guess(guesses, '10.0.0.1', 0)).filter(Boolean).length;
    expect(allowed).toBe(10);
    expect(guesses.take('10.0.0.1', 59 * SECOND)).toEqual({ afterS: 1 });
    expect(guess(guesses, '10.0.0.1', 60 * SECOND)).toBe(true);
    expect(guess(guesses, '10.0.0.1', 60 * SECOND)).toBe(false);
  });

  it('from all addresses together: so few that a code takes most of a year to find', () => {
    const guesses = new GuessLimiter();
    const many = attackers(2_000);
    let allowed = 0;
    for (let nowMs = 0; nowMs < DAY / 4; nowMs += 10 * SECOND)
      for (const address of many) if (guess(guesses, address, nowMs)) allowed++;
    // What may come at once, and what comes in the long run.
    expect(allowed).toBeLessThanOrEqual(60 + 20 + GUESSES_PER_DAY / 4);
    expect(2 ** CODE_BITS / GUESSES_PER_DAY / 2).toBeGreaterThan(300);
  });

  it('of strangers do not shut the door for an address that was not wrong before', () => {
    const guesses = new GuessLimiter();
    for (let nowMs = 0; nowMs < 3_600 * SECOND; nowMs += SECOND)
      for (const address of attackers(15)) guess(guesses, address, nowMs);
    expect(guess(guesses, '192.168.1.7', 3_600 * SECOND)).toBe(true);
  });

  it('of so many strangers that they do shut it, for thirty seconds an address at most', () => {
    const guesses = new GuessLimiter();
    const many = attackers(200);
    let nowMs = 0;
    for (; nowMs < 60 * SECOND; nowMs += SECOND) for (const address of many) guess(guesses, address, nowMs);
    expect(guess(guesses, '192.168.1.7', nowMs - SECOND)).toBe(false);
    for (; nowMs < 200 * 30 * SECOND; nowMs += 10 * SECOND) for (const address of many) guess(guesses, address, nowMs);
    expect(guess(guesses, '192.168.1.7', nowMs)).toBe(true);
  });

  it('that were right cost nothing', () => {
    const guesses = new GuessLimiter();
    for (let i = 0; i < 500; i++) {
      const taken = guesses.take('10.0.0.1', 0);
      expect(taken).toMatchObject({ lane: 'fresh' });
      guesses.giveBack(taken as Guess);
    }
  });

  it('are forgotten a day after the last', () => {
    const guesses = new GuessLimiter();
    for (let i = 0; i < 3; i++) guess(guesses, '10.0.0.1', 0);
    expect(guesses.take('10.0.0.1', DAY - 1)).toMatchObject({ lane: 'known' });
    expect(guesses.take('10.0.0.1', 3 * DAY)).toMatchObject({ lane: 'fresh' });
  });

  it('count by address, of IPv6 by network', () => {
    const guesses = new GuessLimiter();
    const first = (address: string): string => (guesses.take(address, 0) as Guess).block;
    expect(first('::ffff:192.168.1.20')).toBe(first('192.168.1.20'));
    expect(first('2001:db8:1:2:3:4:5:6')).toBe(first('2001:0db8:1:2::9'));
    expect(first('2001:db8:1:2::1')).not.toBe(first('2001:db8:1:3::1'));
  });

  it.each([
    ['127.0.0.1', true],
    ['::ffff:10.1.2.3', true],
    ['192.168.200.3', true],
    ['fe80::1%eth0', true],
    ['fd00::1', true],
    ['203.0.113.9', false],
    ['::ffff:203.0.113.9', false],
    ['2001:db8::1', false],
    ['', false],
    ['nonsense', false],
  ])('are taken on the local network alone: %s %s', (address, local) => expect(isLocal(address)).toBe(local));
});
