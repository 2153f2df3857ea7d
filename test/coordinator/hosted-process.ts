import { hosted } from './hosted.ts';

/** A coordinator in a process of its own, for tests that take something away from a process: its descriptors. Tells its port and an invitation, one line of JSON. */
const run = await hosted({}, { leaseMs: 60_000 });
const invitation = await run.invite({ uses: 1_000 });
console.log(JSON.stringify({ port: run.server.port, invitation }));
process.stdin.resume().on('end', () => process.exit(0));
