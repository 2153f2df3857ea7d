import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/** How much of its time this process was at work, also where others kept it from it. */
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
