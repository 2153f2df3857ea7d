import { emptyMap, entryOf, type PersistentMap, withEntry } from '../../coordinator/persistent-map.ts';
import type { Phase } from '../../coordinator/state.ts';
import type { LiveRecord } from '../records.ts';

/** What the live display knows; folded from records, so that any process that reads them can paint it. */
export interface View {
  readonly phase: Phase;
  readonly totalSteps: number;
  readonly runStep: number;
  readonly nowS: number;
  readonly trainingSinceS: number | null;
  readonly islands: PersistentMap<IslandRow>;
  /** Of the islands that train: how many, and the sum of their steps. */
  readonly training: { readonly islands: number; readonly steps: number };
  readonly validation: readonly { readonly runStep: number; readonly loss: number }[];
}

export interface IslandRow {
  readonly status: string;
  readonly step: number;
  readonly tokensPerS: number;
  readonly loss: number | null;
  readonly sentBytes: number;
}

export const emptyView = (totalSteps: number): View => ({
  phase: 'gathering',
  totalSteps,
  runStep: 0,
  nowS: 0,
  trainingSinceS: null,
  islands: emptyMap,
  training: { islands: 0, steps: 0 },
  validation: [],
});

const NEW_ROW: IslandRow = { status: 'joining', step: 0, tokensPerS: 0, loss: null, sentBytes: 0 };

export function fold(view: View, record: LiveRecord): View {
  const next = { ...view, nowS: Math.max(view.nowS, record.atS) };
  const row = (island: string, change: Partial<IslandRow>): View => {
    const before = entryOf(view.islands, island) ?? NEW_ROW;
    const after = { ...before, sentBytes: record.sentBytes ?? before.sentBytes, ...change };
    const [gone, come] = [countOf(before), countOf(after)];
    const training = {
      islands: view.training.islands - gone.islands + come.islands,
      steps: view.training.steps - gone.steps + come.steps,
    };
    return { ...next, training, islands: withEntry(view.islands, island, after) };
  };
  switch (record.kind) {
    case 'phase':
      return {
        ...next,
        phase: record.phase,
        trainingSinceS: view.trainingSinceS ?? (record.phase === 'training' ? record.atS : null),
      };
    case 'island':
      return row(record.island, { status: record.status });
    case 'progress': {
      const { step, tokensPerS, loss } = record.progress;
      return row(record.island, { step, tokensPerS, loss });
    }
    case 'merge':
      return { ...next, runStep: Math.max(view.runStep, record.runStep) };
    case 'evaluation':
      return { ...next, validation: [...view.validation, { runStep: record.runStep, loss: record.loss }] };
    case 'evaluation-given-up':
    case 'took-records':
    case 'plan':
    case 'doubted':
    case 'left-out':
    case 'checkpoint':
    case 'energy':
    case 'energy-refused':
    case 'offence':
      return next;
  }
}

const countOf = ({ status, step }: IslandRow): View['training'] =>
  status === 'training' ? { islands: 1, steps: step } : { islands: 0, steps: 0 };

/** Steps of the islands that train, on average, as a share of the run. */
export function shareDone({ training, totalSteps, runStep }: View): number {
  const mean = training.islands === 0 ? runStep : training.steps / training.islands;
  return Math.min(1, Math.max(mean, runStep) / totalSteps);
}

/** Seconds until the last step at the pace so far; undefined while there is no pace. */
export function etaS(view: View): number | undefined {
  const share = shareDone(view);
  if (view.trainingSinceS === null || share === 0) return undefined;
  return ((view.nowS - view.trainingSinceS) * (1 - share)) / share;
}
