import path from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION } from '../../src/cli/context.ts';
import { keptIdentity } from '../../src/cli/identity-file.ts';
import { runIsland } from '../../src/island/node/run-island.ts';
import { seededRandom } from '../../src/ml/tensor/random.ts';
import { readLink } from '../../src/protocol/invitation.ts';
import { RUN_PATH } from '../../src/protocol/messages.ts';
import { LIES, type Lie, type LieName } from '../../test/coordinator/liars.ts';
import { LyingConnection } from '../../test/island/lying-connection.ts';

/** An island as `heliotrope join` is one, which lies: about something else every few seconds. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    state: { type: 'string' },
    'data-root': { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    /** One lie for all the time. */
    lie: { type: 'string' },
  },
});
const EVERY_MS = 5_000;
const log = (sentence: string): void => void process.stderr.write(`${values.name}: ${sentence}\n`);
const random = seededRandom(Number(values.seed));
// What no honest island does gets it banned, and a model of nothing is another attack (`outer.averaging`).
const names = (Object.keys(LIES) as LieName[]).filter((lie) => lie !== 'is not finite' && lie !== 'is tiny');
const chosen = (): LieName => (values.lie as LieName | undefined) ?? names[random.integer(names.length)]!;
let [name, sinceMs] = [chosen(), performance.now()];
const lie = (): Lie => {
  if (performance.now() - sinceMs > EVERY_MS) {
    [name, sinceMs] = [chosen(), performance.now()];
    log(`from now on one that ${name}`);
  }
  return LIES[name];
};

const { addresses, secure, fingerprint, invitation } = readLink(positionals[0]!);
const identity = await keptIdentity(path.join(values.state!, 'island.key'));
await runIsland({
  routes: addresses.map((address) => ({
    url: `${secure ? 'wss' : 'ws'}://${address}${RUN_PATH}`,
    fingerprint,
    localAddress: undefined,
  })),
  name: values.name!,
  identity,
  invitation,
  software: `heliotrope ${VERSION}`,
  threads: 1,
  device: 'cpu',
  stateFolder: () => values.state!,
  data: { kind: 'inside', folders: values['data-root'] },
  evaluates: true,
  patienceS: 60,
  log,
  traceFile: undefined,
  signal: new AbortController().signal,
  over: (connection) => new LyingConnection(connection, { identity, random, lie }),
});
