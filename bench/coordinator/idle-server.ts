import { allIslands } from '../../src/coordinator/roster.ts';
import { hosted } from '../../test/coordinator/hosted.ts';
import { wideLimits } from './wide-limits.ts';

/** A coordinator in a process of its own, for `idle-clients.ts`. Tells its port and invitation, and every second what it uses. */
const run = await hosted({ connectionLimits: wideLimits() });
process.send!({
  kind: 'serving',
  port: run.server.port,
  invitation: await run.invite({ uses: 1_000_000, expiresAt: Math.floor(Date.now() / 1000) + 3_600 }),
});
let before = process.cpuUsage();
let beforeMs = performance.now();
setInterval(() => {
  const used = process.cpuUsage(before);
  const seconds = (performance.now() - beforeMs) / 1000;
  before = process.cpuUsage();
  beforeMs = performance.now();
  const islands = allIslands(run.server.state.islands).filter((island) => island.status !== 'gone').length;
  const cpuShare = (used.user + used.system) / 1e6 / seconds;
  process.send!({ kind: 'usage', islands, cpuShare, rssBytes: process.memoryUsage().rss });
}, 1_000);
