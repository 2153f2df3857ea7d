import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Event } from '../../src/coordinator/events.ts';
import { initialState, react } from '../../src/coordinator/run.ts';
import type { RunSettings, RunState } from '../../src/coordinator/state.ts';
import { NO_TOTALS } from '../../src/energy/accounting/index.ts';
import { NO_PROGRESS } from '../../src/protocol/messages.ts';
import { checkTallies } from './tallies.ts';
import { settingsFor } from './world.ts';

/** Whatever happens in whatever order: what could come of honest islands, and what could not. */
const NAMES = ['a', 'island-2', 'constructor', 'tostring', 'e'];
const island = fc.constantFrom(...NAMES);
const small = fc.nat(6);
const count = fc.oneof(small, fc.constantFrom(0, 10, 40, 2 ** 32, Number.MAX_SAFE_INTEGER));
const fragment = fc.oneof({ weight: 9, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.constantFrom(999, 7) });
const real = fc.oneof(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, 1, 3));
const length = fc.option(fc.oneof(real, fc.constantFrom(1, 2, 1e-18, 1e300)), { nil: undefined });

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('joined' as const),
      island,
      key: fc.constantFrom('', ...NAMES.map((name) => `key of ${name}`)),
      invitation: fc.option(fc.record({ id: fc.constantFrom('__proto__', 'i', 'constructor'), uses: fc.nat(3) })),
      evaluates: fc.boolean(),
      holds: fc.array(fc.record({ version: small, newest: small, round: small }), { maxLength: 4 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('ready' as const),
      island,
      restored: fc.option(fc.constantFrom('000001', 'x')),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('progress' as const),
      island,
      progress: fc.record({ tokens: count, computeS: fc.constantFrom(0, 1e-300, 1, 1e12) }).map((said) => ({
        ...NO_PROGRESS,
        ...said,
      })),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('energy' as const),
      island,
      account: fc.constantFrom('aaaaaaaa', 'bbbbbbbb', 'constructor'),
      totals: fc.record({ coveredS: count, tokens: count }).map((said) => ({ ...NO_TOTALS, ...said })),
      host: fc.constantFrom('process' as const, 'tab' as const),
      atS: real,
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('due' as const),
      island,
      fragment,
      version: small,
      slackMs: fc.constantFrom(0, 100, 1e9),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('contributed' as const),
      island,
      fragment,
      version: small,
      round: fc.nat(30),
      steps: count,
      tokens: count,
      length,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('left-out' as const),
      island,
      fragment,
      round: fc.nat(30),
      steps: count,
      length,
      reason: fc.constant('r'),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('evaluated' as const),
      island,
      evaluation: small,
      part: fc.nat(4),
      lossSum: real,
      tokens: count,
      correct: fc.option(count, { nil: undefined }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('saved' as const),
      island,
      checkpoint: fc.nat(5).map((n) => `00000${n}`),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('left' as const),
      island,
      reason: fc.constant('r'),
      because: fc.constantFrom('left', 'connection-lost', 'lease-expired', 'connected-again'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc
      .record({
        kind: fc.constant('standing' as const),
        island,
        state: fc.constantFrom('away', 'away', 'training', 'a word of another version'),
        backInMs: fc.option(fc.constantFrom(0, 1_000, 1e300, -1), { nil: undefined }),
        due: fc.option(fc.array(fc.record({ fragment, version: small }), { maxLength: 4 }), { nil: undefined }),
      })
      .map(({ state, ...said }) => ({ ...said, standing: { state, reason: 'policy', next: null, fix: null } })),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('offended' as const), island, reason: fc.constant('r') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('revoked' as const),
      invitation: fc.constantFrom('__proto__', 'i', 'constructor'),
      islands: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('recovered' as const), trainedMs: fc.nat(1e6) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'keys-forgotten' as const }) },
  { weight: 10, arbitrary: fc.constant({ kind: 'tick' as const }) },
);

const outer = fc.record({
  innerSteps: fc.integer({ min: 1, max: 12 }),
  startSteps: fc.constantFrom(0, 0, 2),
  stepsBySpeed: fc.boolean(),
  fragments: fc.integer({ min: 1, max: 3 }),
  quorum: fc.constantFrom('all' as const, 1, 2, 3),
  pull: fc.constantFrom('present' as const, 'due' as const),
  graceS: fc.constantFrom(0, 0.5, 5),
  maxStaleness: fc.constantFrom(0, 1, 5),
  overlapSteps: fc.constantFrom(0, 4),
  oneStepDelay: fc.boolean(),
  weighting: fc.constantFrom('tokens' as const, 'tokens-times-rate' as const),
  downCodec: fc.constantFrom('f32' as const, 'int4' as const),
});
const settings = fc
  .record({
    outer,
    parts: fc.integer({ min: 1, max: 4 }),
    stop: fc.record({ loss: fc.constant(0.5) }, { requiredKeys: [] }),
  })
  .map(({ outer: change, parts, stop }) =>
    settingsFor(change, { steps: 60, stop, evaluation: { everyMerges: 1, parts }, checkpointEveryMerges: 2 }),
  );

const GATHERED: readonly Event[] = NAMES.flatMap((name): Event[] => [
  { kind: 'joined', island: name, key: `key of ${name}`, invitation: null, holds: [] },
  { kind: 'ready', island: name, restored: null },
]);

/** Contributions that fit are rare among all: those of the stage are put in. */
function fitting(state: RunState, at: Event): Event {
  if (at.kind === 'evaluated' && state.evaluation !== null) return { ...at, evaluation: state.evaluation.id };
  if (at.kind !== 'due' && at.kind !== 'contributed') return at;
  const version = state.fragments[at.fragment]?.version ?? 0;
  return at.version % 3 === 0 ? at : { ...at, version };
}

function run(given: RunSettings, events: readonly (readonly [Event, number])[]): void {
  let state = initialState(given);
  let nowMs = 0;
  let version = 0;
  for (const [raw, afterMs] of [...GATHERED.map((each) => [each, 10] as const), ...events]) {
    nowMs += afterMs;
    const at = fitting(state, raw);
    const asJson = JSON.parse(JSON.stringify(state)) as RunState;
    expect(asJson).toEqual(JSON.parse(JSON.stringify(asJson)));
    const next = react(given, state, at, nowMs);
    const other = react(given, asJson, JSON.parse(JSON.stringify(at)) as Event, nowMs);
    expect(JSON.stringify(other)).toBe(JSON.stringify(next));
    expect(JSON.stringify(next.state)).not.toMatch(/"(lossSum|fastest|pace|length|stepsPerMs|mergedTokens)":"/);
    finite(next);
    state = next.state;
    checkTallies(state);
    const merges = state.fragments.reduce((sum, each) => sum + each.version, 0);
    expect(merges).toBeGreaterThanOrEqual(version);
    version = merges;
  }
}

/** JSON knows no other numbers. */
function finite(value: unknown, path = ''): void {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${path} is ${value}`);
  if (typeof value === 'object' && value !== null)
    for (const [key, each] of Object.entries(value)) finite(each, `${path}.${key}`);
}

const RUNS = Number(process.env.RUNS ?? 150);
it('the machine takes any events in any order, counts right, and goes on from its JSON alike', () => {
  fc.assert(
    fc.property(
      settings,
      fc.array(fc.tuple(event, fc.constantFrom(0, 5, 250, 1_000, 9_000)), {
        minLength: 30,
        maxLength: 120,
        size: 'max',
      }),
      (given, events) => run(given, events),
    ),
    { numRuns: RUNS },
  );
}, 300_000);
