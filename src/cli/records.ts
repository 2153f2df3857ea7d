import type { RunRecord } from '../coordinator/events.ts';
import type { IslandShare, RunEnergy } from '../coordinator/run-energy.ts';
import type { Quality } from '../energy/figure.ts';
import type { Unit } from '../protocol/job.ts';
import type { HomeTotals } from '../simulate/home-records.ts';
import type { CodeTried } from './lan/opaque-server.ts';

/** A record as it is written to metrics.jsonl and told to whoever watches: when, and with the bytes so far. */
export type LiveRecord = RunRecord & {
  /** Seconds since the coordinator began. */
  readonly atS: number;
  /** Bytes that the island of this record has sent and received over all its connections. */
  readonly sentBytes?: number;
  readonly receivedBytes?: number;
};

/** What `serve --jsonl` prints, one a line: the interface between `serve` and `train`. */
export type ServeLine =
  | {
      readonly kind: 'serving';
      /** A link that islands join with. */
      readonly invitation: string;
      /** Lets in whoever knows it, on the local network; null where the run is not there. */
      readonly code: string | null;
      readonly port: number;
      readonly folder: string;
      /** The folder of this machine that holds the data, for islands that are started here: `join --data-root`. */
      readonly dataRoot: string;
      readonly islands: number;
      readonly steps: number;
      readonly unit: Unit;
      readonly parameters: number;
      readonly keptAs: string | null;
      /** What the settings make of the run that its owner may not expect. */
      readonly notices: readonly string[];
    }
  | { readonly kind: 'record'; readonly record: LiveRecord }
  /** An unknown island asks to be let in. */
  | { readonly kind: 'join-request'; readonly island: string; readonly key: string; readonly address: string }
  /** What its owner should know: a store is away and waited for, say. */
  | { readonly kind: 'notice'; readonly sentence: string }
  /** An error of one connection that nobody foresaw: a bug of ours, worth a report. */
  | { readonly kind: 'fault'; readonly place: string; readonly what: string }
  /** An attempt with a code on the local network. */
  | ({ readonly kind: 'code' } & CodeTried)
  | { readonly kind: 'result'; readonly summary: Summary }
  | { readonly kind: 'error'; readonly code: string; readonly what: string; readonly remedy: string };

/** `summary.json` of a run (DESIGN, section 9). Bytes are those sent and received, averaged over islands. */
export interface Summary {
  readonly name: string;
  readonly status: 'finished' | 'interrupted' | 'failed';
  readonly reason: string;
  readonly startedAt: string;
  readonly islands: number;
  readonly parameters: number;
  /** Of them, those that were trained: with adapters, few. */
  readonly trainedParameters: number;
  readonly vocabularySize: number | null;
  readonly steps: number;
  readonly merges: number;
  readonly tokens: number;
  readonly wallS: number;
  readonly validationLoss: { readonly before: number | null; readonly after: number | null };
  /** Where the validation loss was lowest; null where it was not measured on the way. Summaries of earlier versions have none. */
  readonly lowestLoss?: { readonly loss: number; readonly step: number } | null;
  readonly perplexity: { readonly before: number | null; readonly after: number | null } | null;
  /** Of a classifier: share of held-out examples that are right. */
  readonly accuracy: { readonly before: number | null; readonly after: number | null } | null;
  /** Steps that islands left out because a gradient was not finite. */
  readonly skippedSteps: number;
  readonly bytesPerIsland: number;
  readonly bytesPerIslandDataParallel: number;
  readonly bytesMethod: string;
  readonly computeS: number;
  readonly waitS: number;
  readonly exchangeS: number;
  readonly evaluateS: number;
  readonly computeShare: number;
  readonly energyWh: number;
  readonly energyMethod: string;
  readonly gCO2e: number;
  readonly carbonMethod: string;
  /** As good as the worse of energy and carbon. Summaries of earlier versions have none of the three. */
  readonly energyQuality?: Quality;
  /** The same in parts: by source, by method, by part of the run, and in the books that are never added. Summaries of earlier versions have none. */
  readonly energy?: RunEnergy;
  /** What the islands that trained computed with, as they say. */
  readonly hardware?: string;
  /** Where, as the run file says. */
  readonly location?: string;
  /** Most memory of the process that hosted the run last. Summaries of earlier versions have none. */
  readonly coordinatorMemoryBytes?: number;
  /** Of a run in homes: what each took, from where, and what it cost. */
  readonly homes?: readonly HomeTotals[];
  readonly samples: { readonly before: string; readonly after: string } | null;
  readonly islandDetails: readonly IslandDetail[];
}

export interface IslandDetail {
  readonly island: string;
  readonly steps: number;
  readonly tokens: number;
  readonly skippedSteps: number;
  readonly joins: number;
  readonly computeS: number;
  readonly waitS: number;
  readonly exchangeS: number;
  readonly evaluateS: number;
  readonly cpuS: number;
  readonly peakMemoryBytes: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly energy?: IslandShare;
}
