import { FragmentExchange } from '../../src/island/fragment-exchange.ts';
import type { IslandHost } from '../../src/island/host.ts';
import { NOTHING } from '../../src/island/own-data.ts';
import type { IslandExchange, IslandTrainer } from '../../src/island/trainer-interface.ts';
import { newIdentity } from '../../src/protocol/identity.ts';

const IDENTITY = await newIdentity();

/** The world of an island that does nothing of its own. */
export const fakeHost = (change: Partial<IslandHost> = {}): IslandHost => ({
  name: 'island-1',
  identity: IDENTITY,
  invitation: null,
  software: 'test',
  threads: 1,
  engine: { device: 'cpu', onProcessor: [] },
  stateFolder: () => '',
  data: NOTHING,
  evaluates: true,
  kind: 'process',
  keepReceipt: () => {},
  nowMs: () => performance.now(),
  cpuS: () => 0,
  peakMemoryBytes: () => 0,
  trace: () => {},
  say: () => {},
  ...change,
});

/** A trainer that computes nothing. */
export const fakeTrainer = (change: Partial<IslandTrainer> = {}): IslandTrainer => ({
  prepare: async () => {},
  step: () => new Promise((resolve) => setTimeout(resolve, 1, { loss: 1, gradNorm: 1, tokens: 10, skipped: false })),
  snapshot: async () => new Float32Array(1),
  take: async () => {},
  evaluate: async () => ({ lossSum: 1, tokens: 1 }),
  save: async () => {},
  restore: async () => null,
  skipTo: async (step) => step,
  release: async () => {},
  ...change,
});

/** An exchange in this thread. */
export function realExchange(): IslandExchange {
  let inner: FragmentExchange | undefined;
  return {
    prepare: async (...args) => {
      inner = new FragmentExchange(...args);
    },
    contribute: async (...args) => inner!.contribute(...args),
    receive: async (...args) => inner!.receive(...args),
    show: async (...args) => inner!.show(...args),
    reset: async (...args) => inner!.reset(...args),
    rebase: async (...args) => inner!.rebase(...args),
    save: async () => inner!.save(),
    load: async (state) => inner!.load(state),
    release: async () => {},
  };
}

/** An exchange that packs and opens nothing. */
export const idleExchange: IslandExchange = {
  prepare: async () => {},
  contribute: async () => ({ form: 'update', codec: 'f32', payload: new Uint8Array(4) }),
  receive: async () => new Float32Array(1),
  show: async () => {},
  reset: async () => {},
  rebase: async () => {},
  save: async () => ({ residuals: [], memories: [] }),
  load: async () => {},
  release: async () => {},
};
