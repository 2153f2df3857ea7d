import { monitorEventLoopDelay } from 'node:perf_hooks';
import { hosted } from '../../test/coordinator/hosted.ts';
import { wideLimits } from './wide-limits.ts';

/**
 * `node training-server.ts ISLANDS`: a coordinator in a process of its own, whose run waits for so many islands. Tells its port and invitation, and the processor
 * time that it has used at each merge.
 */
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
const islands = Number(process.argv[2]);
const run = await hosted(
  {
    connectionLimits: wideLimits(),
    onRecord: (record) => {
      if (record.kind === 'phase') process.send!({ kind: 'phase', phase: record.phase });
      if (record.kind !== 'merge') return;
      const { user, system } = process.cpuUsage();
      const merged = record.contributions.length;
      const stallMs = delay.max / 1e6;
      delay.reset();
      process.send!({
        kind: 'merge',
        merged,
        cpuS: (user + system) / 1e6,
        stallMs,
        rssBytes: process.memoryUsage().rss,
      });
    },
  },
  { islands, leaseMs: 300_000, outer: { quorum: islands, graceS: 300 } },
);
process.send!({
  kind: 'serving',
  port: run.server.port,
  invitation: await run.invite({ uses: 1_000_000, expiresAt: Math.floor(Date.now() / 1000) + 3_600 }),
});
