import { hosted } from './hosted.ts';

/** A coordinator in a process of its own, for tests that stop it: says its port and an invitation, and then its records, as lines of JSON. */
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const port = Number(process.argv[3] ?? 0);
const coordinator = await hosted({ port, onRecord: say }, { leaseMs: Number(process.argv[2]), islands: 2 });
say({ port: coordinator.server.port, invitation: await coordinator.invite() });
