import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import type { CoordinatorConnection, Incoming } from '../../src/island/host.ts';
import { IslandSession } from '../../src/island/runtime.ts';
import type { IslandExchange } from '../../src/island/trainer-interface.ts';
import type { Content } from '../../src/protocol/frame.ts';
import { type CoordinatorMessage, islandMessageSchema, parseMessage } from '../../src/protocol/messages.ts';
import { OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../src/protocol/versions.ts';
import { fakeHost, fakeTrainer } from './fakes.ts';

/** An island between a scripted coordinator and a trainer that computes nothing: only the order of things is looked at. */

const host = fakeHost();
const trainer = fakeTrainer();
/** Opening takes longer than the coordinator's next word. */
const exchange: IslandExchange = {
  prepare: async () => {},
  contribute: async () => ({ form: 'update', codec: 'f32', payload: new Uint8Array(4) }),
  receive: async () => {
    await sleep(50);
    return new Float32Array(1);
  },
  show: async () => {},
  reset: async () => {},
  rebase: async () => {},
  save: async () => ({ residuals: [], memories: [] }),
  load: async () => {},
  release: async () => {},
};

it.each(['', 'oneStepDelay: true, maxStaleness: 1, overlapSteps: 5'])(
  'a pull that comes after a merged fragment finds it taken, also while it is still being opened (%s)',
  async (outer) => {
    const job = resolveJob(
      parseRunFile(`data: a\nouter: { innerSteps: 20, ${outer} }\nstop: { steps: 100 }`, 'f'),
      'f',
    );
    const told = (message: CoordinatorMessage): Incoming => ({ kind: 'told', message });
    const place = (version: number): Incoming =>
      told({ kind: 'place', fragment: 0, version, stepsUntilDue: 20, round: version });
    const received = (content: Content): Incoming => ({
      kind: 'received',
      sinceMs: 0,
      payload: new Uint8Array(4),
      content,
    });
    const merged = (version: number): Incoming[] => [
      place(version),
      received({ kind: 'merged', fragment: 0, version, runStep: 0, form: 'parameters', codec: 'f32' }),
    ];
    const script: Incoming[] = [
      { kind: 'connected' },
      told({ kind: 'challenge', protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL, nonce: 'a'.repeat(32), run: 'r' }),
      told({ kind: 'admitted', protocol: PROTOCOL_VERSION, capabilities: [], run: 'r', leaseS: 10 }),
      told({
        kind: 'welcome',
        run: 'r',
        manifest: { tensors: [{ name: 'w', shape: [1], role: 'other', fragment: 0, offset: 0 }] },
        hostKey: '',
        job,
        dataFolder: '',
        shard: { index: 0, count: 1 },
        restore: null,
        beginnings: [],
        fragments: [0],
      }),
      received({ kind: 'preparation' }),
      place(0),
      received({ kind: 'global', fragment: 0, version: 0, runStep: 0 }),
      told({ kind: 'start' }),
      ...merged(1),
      told({ kind: 'pull', fragment: 0, version: 1 }),
      ...merged(2),
      told({ kind: 'pull', fragment: 0, version: 2 }),
      told({ kind: 'stop', reason: 'finished' }),
    ];
    const sent: Content[] = [];
    const connection: CoordinatorConnection = {
      send: () => {},
      transfer: async ({ content }) => {
        sent.push(content);
      },
      next: async () => {
        const item = script.shift();
        // A wait lets other things happen.
        if (item === undefined) await sleep(1);
        return item ?? 'timeout';
      },
      wake: () => {},
      sleep: () => {},
      awaken: () => {},
      beginnings: [],
      close: () => {},
    };
    expect(await new IslandSession(host, connection, trainer, exchange).run()).toBe('finished');
    // Hashed and signed beside training.
    await expect.poll(() => sent.length).toBe(2);
    const bases = sent.map((content) => (content.kind === 'contribution' ? content.version : -1));
    // With one step of delay a fragment is taken after the contribution, so each base lies one behind, and never two.
    expect(bases).toEqual(outer === '' ? [1, 2] : [0, 1]);
  },
);

it('what it says is a message, also of a model that has diverged and by a clock that stands still', async () => {
  const job = resolveJob(parseRunFile('data: a\nouter: { innerSteps: 20 }\nstop: { steps: 100 }', 'f'), 'f');
  const told = (message: CoordinatorMessage): Incoming => ({ kind: 'told', message });
  const script: Incoming[] = [
    { kind: 'connected' },
    told({ kind: 'challenge', protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL, nonce: 'a'.repeat(32), run: 'r' }),
    told({ kind: 'admitted', protocol: PROTOCOL_VERSION, capabilities: [], run: 'r', leaseS: 10 }),
    told({
      kind: 'welcome',
      run: 'r',
      manifest: { tensors: [{ name: 'w', shape: [1], role: 'other', fragment: 0, offset: 0 }] },
      hostKey: '',
      job,
      dataFolder: '',
      shard: { index: 0, count: 1 },
      restore: null,
      beginnings: [],
      fragments: [0],
    }),
    { kind: 'received', sinceMs: 0, payload: new Uint8Array(4), content: { kind: 'preparation' } },
    told({ kind: 'place', fragment: 0, version: 0, stepsUntilDue: 20, round: 0 }),
    {
      kind: 'received',
      sinceMs: 0,
      payload: new Uint8Array(4),
      content: { kind: 'global', fragment: 0, version: 0, runStep: 0 },
    },
    told({ kind: 'evaluate', evaluation: 1, parts: [0, 1], of: 2 }),
    told({ kind: 'start' }),
  ];
  const said: string[] = [];
  const connection: CoordinatorConnection = {
    send: (message) => {
      said.push(JSON.stringify(message));
      if (said.filter((text) => text.includes('"due"')).length === 1 && script.length === 0)
        script.push(told({ kind: 'stop', reason: 'finished' }));
    },
    transfer: async () => {},
    next: async () => script.shift() ?? 'timeout',
    wake: () => {},
    sleep: () => {},
    awaken: () => {},
    beginnings: [],
    close: () => {},
  };
  const losses = [Number.NaN, Number.POSITIVE_INFINITY];
  const diverged = fakeTrainer({
    step: async () => ({ loss: 1, gradNorm: 1, tokens: 10, skipped: false }),
    evaluate: async () => ({ lossSum: losses.shift()!, tokens: 10 }),
  });
  const stopped = fakeHost({ nowMs: () => 5 });
  expect(await new IslandSession(stopped, connection, diverged, exchange).run()).toBe('finished');
  const messages = said.map((text) => parseMessage(islandMessageSchema, text)!);
  const { MAX_VALUE } = Number;
  expect(messages.flatMap((each) => (each.kind === 'evaluated' ? each.lossSum : []))).toEqual([MAX_VALUE, MAX_VALUE]);
  expect(messages.some(({ kind }) => kind === 'progress')).toBe(true);
});
