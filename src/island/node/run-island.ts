import { operatorsOnProcessor } from '../../ml/engine/capabilities.ts';
import type { Provider } from '../../ml/engine/session.ts';
import type { Content, Sink } from '../../protocol/frame.ts';
import type { Identity } from '../../protocol/identity.ts';
import type { CoordinatorConnection, EnergyBooks, IslandHost, OwnerRules } from '../host.ts';
import { leaveReason } from '../leave-reason.ts';
import type { DataAccess } from '../own-data.ts';
import { type Ending, IslandSession } from '../runtime.ts';
import { BaseFiles } from './base-file.ts';
import { ReceiptFile } from './receipt-file.ts';
import { ReconnectingConnection } from './reconnecting-connection.ts';
import type { Route } from './route-search.ts';
import { TraceFile } from './trace-file.ts';
import { WorkerExchange } from './worker-exchange.ts';
import { WorkerTrainer } from './worker-trainer.ts';

export interface NodeIslandOptions {
  readonly routes: readonly Route[];
  readonly name: string;
  readonly identity: Identity;
  readonly invitation: string | null;
  readonly software: string;
  readonly threads: number;
  readonly device: Provider;
  readonly stateFolder: (run: string) => string;
  /** What its owner lets it read, by absolute paths. */
  readonly data: DataAccess;
  /** Whether it measures the model on held-out data for the run. */
  readonly evaluates: boolean;
  /** How long to look for a coordinator that does not answer (any more). */
  readonly patienceS: number;
  readonly log: (sentence: string) => void;
  /** Where the island's timeline goes, if anywhere. */
  readonly traceFile: string | undefined;
  /** What its owner allows; nothing where it may always train. */
  readonly rules?: OwnerRules | undefined;
  /** Where its owner keeps energy books. */
  readonly books?: EnergyBooks | undefined;
  /** Told now and then how many bytes it has sent and received since. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** When aborted, the island leaves the run and ends. */
  readonly signal: AbortSignal;
  /** Wraps the connection to the coordinator, for tests. */
  readonly over?: (connection: CoordinatorConnection) => CoordinatorConnection;
}

/**
 * Runs an island on Node until its run is over. It trains on while the connection is lost.
 *
 * @throws HelioError HELIO-4002 when the coordinator stays away, or whatever made the island unable to go on
 */
export async function runIsland(options: NodeIslandOptions): Promise<Ending> {
  const trace = options.traceFile === undefined ? undefined : new TraceFile(options.traceFile, options.name);
  const trainer = new WorkerTrainer(tokenizing(options.log));
  const exchange = new WorkerExchange();
  const receipts = new ReceiptFile(options.stateFolder);
  const host: IslandHost = {
    name: options.name,
    identity: options.identity,
    invitation: options.invitation,
    software: options.software,
    threads: options.threads,
    engine: { device: options.device, onProcessor: operatorsOnProcessor(options.device) },
    stateFolder: options.stateFolder,
    data: options.data,
    evaluates: options.evaluates,
    rules: options.rules,
    books: options.books,
    kind: 'process',
    keepReceipt: (receipt, signature, host) => receipts.add({ ...receipt, signature, host }),
    nowMs: () => performance.now(),
    cpuS: () => (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
    peakMemoryBytes: () => process.resourceUsage().maxRSS * 1024,
    trace: (span) => trace?.add(span),
    say: options.log,
  };
  const { over = (inner) => inner } = options;
  const bases = new BaseFiles();
  const sink = ({ kind }: Content, bytes: number): Sink =>
    kind === 'base' ? bases.make(bytes) : new Uint8Array(bytes);
  const connection = over(new ReconnectingConnection({ ...options, sink }));
  const session = new IslandSession(host, connection, trainer, exchange);
  const leave = (): void => session.leave('stopped by its owner');
  options.signal.addEventListener('abort', leave);
  if (options.signal.aborted) leave();
  try {
    return await session.run();
  } catch (error) {
    session.leave(leaveReason(error));
    throw error;
  } finally {
    options.signal.removeEventListener('abort', leave);
    connection.close();
    reportWork(session.work, receipts.account, options.log);
    trace?.flush();
    await exchange.release();
    await trainer.release().catch(() => {});
    bases.close();
  }
}

/** Tells the owner what the island did, and where its receipts are. */
function reportWork(
  { steps, tokens, unit, computeS }: IslandSession['work'],
  receipts: ReceiptFile['account'],
  log: (sentence: string) => void,
): void {
  if (steps === 0) return;
  const number = (value: number): string => Math.round(value).toLocaleString('en-US');
  log(
    `it trained ${number(steps)} step${steps === 1 ? '' : 's'} on ${number(tokens)} ${unit}, in ${number(computeS)} s of computing`,
  );
  if (receipts !== undefined)
    log(
      `the host has signed ${number(receipts.count)} receipt${receipts.count === 1 ? '' : 's'} for it: ${receipts.file}`,
    );
}

/** Says every tenth of the way, for texts that take a while. */
function tokenizing(log: (sentence: string) => void): (share: number) => void {
  let said = 0;
  return (share) => {
    if (share < said) said = 0;
    if (share - said < 0.1 && (share < 1 || said === 1)) return;
    said = share;
    log(`tokenizing: ${Math.round(share * 100)} %`);
  };
}
