import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/** Share of its time that this process was busy, including time in which other processes kept it from running. */
export class EventLoopLoad {
  #before: EventLoopUtilization = performance.eventLoopUtilization();

  /** Since the last look, from 0 to 1. */
  share(): number {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#before);
    this.#before = now;
    return utilization;
  }
}
