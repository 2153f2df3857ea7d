import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { allIslands } from '../roster.ts';
import { runStepOf } from '../run.ts';
import type { RunEnergy } from '../run-energy.ts';
import type { Phase, RunState } from '../state.ts';
import type { Traffic } from './traffic-counter.ts';

/** What is only known when it is looked at. */
export interface Observed {
  readonly state: RunState;
  readonly connections: number;
  /** Connections that were not let in yet. */
  readonly strangers: number;
  /** Of all islands: added up when it is asked for. */
  readonly traffic: () => Traffic;
  /** The same. */
  readonly energy: () => RunEnergy;
}

const PHASES: readonly Phase[] = [
  'gathering',
  'measuring',
  'training',
  'paused',
  'concluding',
  'finished',
  'interrupted',
  'failed',
];
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** A coordinator's metrics in Prometheus' text format. Islands are counted, not named: labels must not grow with them. */
export class RunMetrics {
  readonly #registry = new Registry();
  readonly #observe: () => Observed;
  readonly merges = new Histogram({
    name: 'heliotrope_merge_seconds',
    help: 'From the decision to merge until the result is committed.',
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly refusals = new Counter({
    name: 'heliotrope_refusals_total',
    help: 'Connections that were refused or closed for what came over them, by error code.',
    labelNames: ['code'],
    registers: [this.#registry],
  });

  readonly turnedAway = new Counter({
    name: 'heliotrope_turned_away_total',
    help: 'Connections that were closed before anyone was let in, by cause.',
    labelNames: ['why'],
    registers: [this.#registry],
  });
  readonly faults = new Counter({
    name: 'heliotrope_faults_total',
    help: 'Internal errors; each closed the connection that caused it.',
    registers: [this.#registry],
  });

  constructor(run: string, observe: () => Observed) {
    this.#observe = observe;
    this.#registry.setDefaultLabels({ run });
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge('heliotrope_run_step', "The run's step.", ({ state }) => runStepOf(state));
    this.#counter(
      'heliotrope_merges_total',
      'Merges of single fragments since the run began.',
      ({ state }) => state.merges,
    );
    this.#counter(
      'heliotrope_merged_tokens_total',
      'Tokens merged since the run began.',
      ({ state }) => state.mergedTokens,
    );
    this.#gauge(
      'heliotrope_validation_loss',
      'The newest validation loss.',
      ({ state }) => state.lastLoss ?? Number.NaN,
    );
    this.#gauge('heliotrope_strangers', 'Open connections that were not let in.', ({ strangers }) => strangers);
    this.#gauge('heliotrope_connections', 'Open connections.', ({ connections }) => connections);
    this.#counter(
      'heliotrope_sent_bytes_total',
      'Bytes sent to islands since the coordinator began.',
      (o) => o.traffic().sentBytes,
    );
    this.#counter(
      'heliotrope_received_bytes_total',
      'Bytes from islands since the coordinator began.',
      (o) => o.traffic().receivedBytes,
    );
    this.#gauge('heliotrope_banned_keys', 'Keys that are banned from the run.', ({ state }) => state.banned.size);
    this.#byLabel(
      'heliotrope_islands',
      'Islands by status.',
      'status',
      ['joining', 'training', 'away', 'gone'],
      ({ state }, status) =>
        allIslands(state.islands).reduce((sum, island) => sum + (island.status === status ? 1 : 0), 0),
    );
    this.#byLabel(
      'heliotrope_energy_watt_hours',
      'Energy of the run by how it is known.',
      'quality',
      ['measured', 'modelled', 'assumed'],
      (o, quality) => o.energy().qualityWh[quality as keyof RunEnergy['qualityWh']],
    );
    this.#byLabel(
      'heliotrope_energy_source_watt_hours',
      'Energy of the run by physical source; unallocated is what no source explains.',
      'source',
      ['pv', 'battery', 'grid', 'unallocated'],
      (o, source) => o.energy().computeWh[source as keyof RunEnergy['computeWh']],
    );
    this.#byLabel(
      'heliotrope_emissions_grams',
      'gCO2e of the run with average intensity, in two books that are never added.',
      'book',
      ['attributional', 'counterfactual'],
      (o, book) => o.energy()[book === 'attributional' ? 'attributionalG' : 'counterfactualG'],
    );
    this.#byLabel(
      'heliotrope_phase',
      'Phase of the run: 1 for the one that it is in.',
      'phase',
      PHASES,
      ({ state }, phase) => (state.phase === phase ? 1 : 0),
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, value: (observed: Observed) => number): void {
    const observe = this.#observe;
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(value(observe())),
    });
  }

  /** Of what only grows: Prometheus wants such to be called `_total`. */
  #counter(name: string, help: string, value: (observed: Observed) => number): void {
    const observe = this.#observe;
    let before = 0;
    const counter: Counter = new Counter({
      name,
      help,
      registers: [this.#registry],
      collect: () => {
        const now = value(observe());
        if (now > before) counter.inc(now - before);
        before = Math.max(before, now);
      },
    });
  }

  #byLabel(
    name: string,
    help: string,
    label: string,
    values: readonly string[],
    value: (observed: Observed, label: string) => number,
  ): void {
    const observe = this.#observe;
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect: () => {
        for (const each of values) gauge.set({ [label]: each }, value(observe(), each));
      },
    });
  }
}
