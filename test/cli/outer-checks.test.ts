import { describe, expect, it } from 'vitest';
import { checkContinued, checkOuter, outerNotices } from '../../src/cli/outer-checks.ts';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import { STRATEGY_NAMES } from '../../src/protocol/outer-names.ts';

const job = (outer: string, more = 'stop: { steps: 2000 }') =>
  resolveJob(parseRunFile(`data: a\nouter: { ${outer} }\n${more}`, 'f'), 'f');

describe('outer settings that do not fit', () => {
  it.each([
    ['quorum: 5', /quorum 5 is more than the 4 islands/],
    ['innerSteps: 10, overlapSteps: 10', /overlapSteps 10 is no less than outer\.innerSteps 10/],
    ['innerSteps: 3, fragments: 4', /fragments 4 is more than outer\.innerSteps 3/],
    ['localShare: 0.5', /localShare 0\.5 mixes in .*outer\.overlapSteps is 0/],
    ['oneStepDelay: true', /maxStaleness 0 leaves those out/],
    ['oneStepDelay: true, maxStaleness: 1, pull: due', /oneStepDelay is for rounds together/],
    ['oneStepDelay: true, maxStaleness: 1, localShare: 0.5, overlapSteps: 2', /nothing is taken on arrival/],
    ['carryOver: true, localShare: 0.5, overlapSteps: 2', /carryOver keeps all .*localShare 0\.5 a share/],
    ['carryOver: true, oneStepDelay: true, maxStaleness: 1', /carryOver is about what is taken on arrival/],
    ['oneStepDelay: true, maxStaleness: 1, exactOverlap: true', /exactOverlap says when .*oneStepDelay/],
    ['momentumPeriod: 4', /momentumPeriod 4 is delayed Nesterov's/],
  ])('%s is refused', (outer, message) => {
    expect(() => checkOuter(job(outer))).toThrow(message);
  });

  it('Muon’s strategy with another inner optimizer is refused', () => {
    expect(() => checkOuter(job('strategy: muloco', 'inner: { optimizer: adamw }'))).toThrow(/muloco has Muon inside/);
  });

  it.each(STRATEGY_NAMES)('%s fits by itself', (strategy) => {
    const inner = `stop: { steps: 2000 }\ninner: { optimizer: ${strategy === 'muloco' ? 'muon' : 'adamw'} }`;
    expect(() => checkOuter(job(`strategy: ${strategy}`, inner))).not.toThrow();
    expect(outerNotices(job(`strategy: ${strategy}`, inner)).filter((n) => !n.includes('no multiple'))).toEqual([]);
  });
});

describe('what is rounded, and what is known to end badly', () => {
  it.each([
    ['innerSteps: 30', /the last round has only 20 steps/],
    ['innerSteps: 5000', /merged once, at the last step/],
    ['innerSteps: 10, fragments: 4', /fragments are due at steps 3, 5, 8, 10 of a round/],
    ['strategy: diloco', /momentum 0\.9 is the papers', who have AdamW inside; with Muon inside it overshoots/],
    ['upCodec: top-1/64+int4, momentum: 0.7', /momentum 0\.7 runs on without what top-1\/64\+int4 holds back/],
    ['strategy: async, downCodec: int8', /downCodec int8 carries differences.*come back whole, in f32/],
    ['innerSteps: 10, averaging: krum', /promises to survive 1 of more than 4 islands, and there are 4/],
  ])('%s is said aloud', (outer, message) => {
    expect(outerNotices(job(outer)).join(' ')).toMatch(message);
  });

  it('nothing is said of what fits', () => {
    expect(outerNotices(job('innerSteps: 20, fragments: 4'))).toEqual([]);
  });
});

describe('the default', () => {
  const outer = (steps: number, inner = '{}') => job('', `stop: { steps: ${steps} }\ninner: ${inner}`).outer;

  it('merges more seldom the longer the run, in four bits', () => {
    expect([100, 400, 1600, 40_000, 1_000_000].map((steps) => outer(steps).innerSteps)).toEqual([10, 10, 20, 100, 100]);
    expect(outer(400)).toMatchObject({ rate: 0.8, momentum: 0.7, upCodec: 'int4', downCodec: 'int4', startSteps: 0 });
    expect(outer(3).innerSteps).toBe(3);
  });

  it.each([
    ['sign', 0.9, 0.3],
    ['top-1/64+int4', 1, 0],
    ['low-rank-8+int4', 1, 0],
    ['int2', 0.8, 0.7],
  ])('has the momentum that %s bears, whichever way it goes', (codec, rate, momentum) => {
    for (const way of ['upCodec', 'downCodec'])
      expect(job(`${way}: ${codec}`).outer).toMatchObject({ rate, momentum, [way]: codec });
    expect(job(`upCodec: ${codec}, momentum: 0.1`).outer.momentum).toBe(0.1);
  });

  it('with another inner optimizer than Muon merges twice as often, and with less momentum', () => {
    expect(outer(400, '{ optimizer: adamw }')).toMatchObject({ innerSteps: 5, rate: 0.9, momentum: 0.3 });
    expect(outer(1600, '{ optimizer: sgd }').innerSteps).toBe(10);
  });
});

describe('outer settings of a run that has begun', () => {
  const outer = (text: string) => job(text).outer;
  it.each([
    ['fragments: 1', 'fragments: 2', /outer\.fragments is 2, and this run was begun with 1/],
    ['fragments: 2', 'fragments: 2, fragmentation: strided', /outer\.fragmentation is strided/],
    ['optimizer: delayed-nesterov', 'optimizer: adam', /outer\.optimizer is adam, .* delayed-nesterov/],
    ['optimizer: yogi', 'optimizer: delayed-nesterov', /outer\.optimizer is delayed-nesterov/],
  ])('are not changed from %s to %s', (before, now, message) => {
    expect(() => checkContinued(outer(before), outer(now))).toThrow(
      expect.objectContaining({ code: 'HELIO-1001', message: expect.stringMatching(message) }),
    );
  });

  it.each([
    ['innerSteps: 10, momentum: 0.9', 'innerSteps: 20, momentum: 0.5, upCodec: f32, averaging: median'],
    ['fragments: 1', 'fragments: 1, fragmentation: strided'],
    ['optimizer: nesterov', 'optimizer: adam'],
    ['optimizer: adam', 'optimizer: yogi'],
    ['optimizer: delayed-nesterov', 'optimizer: momentum'],
  ])('may go from %s to %s', (before, now) => {
    checkContinued(outer(before), outer(now));
    checkContinued({}, outer(now));
  });
});
