import type { Unit } from '../protocol/job.ts';
import { NO_PROGRESS, type Progress } from '../protocol/messages.ts';
import type { IslandHost } from './host.ts';
import type { IslandTrainer } from './trainer-interface.ts';

/** How often the coordinator is told, where there is nothing else to tell. */
const REPORT_MS = 400;
/** How often the owner is told. */
const OWNER_MS = 60_000;

type Counted = 'computeS' | 'waitS' | 'exchangeS' | 'evaluateS';

/** What an island has done since it was started, for the coordinator and for its owner. */
export class Counters {
  readonly #host: IslandHost;
  readonly #cpuBeforeS: number;
  #counters = { ...NO_PROGRESS };
  #steps = 0;
  #reportedMs = 0;
  #toldOwnerMs = 0;
  unit: Unit = 'tokens';

  constructor(host: IslandHost) {
    this.#host = host;
    this.#cpuBeforeS = host.cpuS();
  }

  get work(): { readonly steps: number; readonly tokens: number; readonly unit: Unit; readonly computeS: number } {
    const { tokens, computeS } = this.#counters;
    return { steps: this.#steps, tokens, unit: this.unit, computeS };
  }

  /** Of the newest step; 0 before the first. */
  get tokensPerS(): number {
    return this.#counters.tokensPerS;
  }

  took(what: Counted, seconds: number): void {
    this.#counters[what] += seconds;
  }

  stepped(seconds: number, result: Awaited<ReturnType<IslandTrainer['step']>>): void {
    this.took('computeS', seconds);
    this.#counters.tokens += result.tokens;
    this.#steps++;
    if (result.skipped) this.#counters.skippedSteps++;
    else Object.assign(this.#counters, { loss: result.loss, gradNorm: result.gradNorm });
    // A clock may be coarse.
    if (seconds > 0) this.#counters.tokensPerS = result.tokens / seconds;
  }

  get isReportDue(): boolean {
    return this.#host.nowMs() - this.#reportedMs >= REPORT_MS;
  }

  /** What the coordinator is told now. */
  report(step: number): Progress {
    this.#reportedMs = this.#host.nowMs();
    const cpuS = this.#host.cpuS() - this.#cpuBeforeS;
    return { ...this.#counters, step, cpuS, peakMemoryBytes: this.#host.peakMemoryBytes() };
  }

  /** Tells the owner now and then that the island is at work. */
  tellOwner({ step, loss, tokensPerS }: Progress): void {
    if (this.#reportedMs - this.#toldOwnerMs < OWNER_MS || tokensPerS === 0) return;
    this.#toldOwnerMs = this.#reportedMs;
    this.#host.say(`step ${step} · loss ${loss.toFixed(4)} · ${tokensPerS.toFixed(0)} ${this.unit}/s`);
  }
}
