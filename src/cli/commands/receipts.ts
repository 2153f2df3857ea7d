import { existsSync } from 'node:fs';
import path from 'node:path';
import type { SignedReceipt } from '../../coordinator/store/receipts.ts';
import { HelioError } from '../../errors.ts';
import { unitOf } from '../../protocol/job.ts';
import { isGenuine } from '../../protocol/receipts.ts';
import { lastServed } from '../addresses.ts';
import { type CommandContext, print, printJson, tell } from '../context.ts';
import { askCoordinator } from '../host-client.ts';
import { runIdentity } from '../host-run.ts';
import { keptIdentity } from '../identity-file.ts';
import { count, integer } from '../live/format.ts';
import { RECEIPTS_FILE, type ReceiptOfFile, readReceipts } from '../receipt-lines.ts';
import { readRunFile } from '../run-file.ts';
import { findRun } from '../run-folder.ts';
import { openStores } from '../stores.ts';
import { sanitized } from '../terminal-text.ts';

export interface ReceiptsOptions {
  readonly island?: string;
  /** The key of the host that is to have signed them; left out: the one that each names. */
  readonly host?: string;
}

/** What was merged of each island, and whether the host signed it: of a run here, or of an island's own file. */
export async function receipts(place: string, options: ReceiptsOptions, context: CommandContext): Promise<number> {
  const isFile = place.endsWith('.jsonl') && existsSync(place);
  const found = isFile ? await ofFile(place) : await ofRun(place, options, context);
  const unit = isFile ? 'tokens or examples' : unitOfRun(findRun(context.runs, place));
  const checked = await Promise.all(
    found
      .filter(({ receipt }) => options.island === undefined || receipt.island === options.island)
      .map(async ({ receipt, signature, host }) => {
        const key = options.host ?? host ?? nobody(place);
        return { ...receipt, signature, host: key, valid: await isGenuine(receipt, signature, key) };
      }),
  );
  const wrong = checked.filter(({ valid }) => !valid).length;
  if (context.json) printJson(checked);
  else {
    const byIsland = Map.groupBy(checked, ({ island }) => island);
    for (const [island, theirs] of byIsland) {
      // Each fragment's receipts cover all that was trained since its one before: those of several are about the same tokens.
      const byFragment = [...Map.groupBy(theirs, ({ fragment }) => fragment).values()];
      const tokens = Math.max(...byFragment.map((of) => of.reduce((sum, each) => sum + each.tokens, 0)));
      const last = new Date(1000 * theirs.reduce((newest, { atS }) => Math.max(newest, atS), 0)).toISOString();
      print(`${island.padEnd(24)} ${count(theirs.length, 'merge')}  ${integer(tokens)} ${unit}  last ${last}`);
    }
    if (checked.length === 0)
      print(options.island === undefined ? 'No receipts yet.' : `No receipts of ${options.island}.`);
    else print(verdict(checked.length, wrong, [...new Set(checked.map(({ host }) => sanitized(host, 64)))]));
  }
  return wrong === 0 ? 0 : 1;
}

/** What it counts; of one that was brought here without its run file nobody knows. */
function unitOfRun(folder: string): string {
  const file = path.join(folder, 'run.yaml');
  return existsSync(file) ? unitOf(readRunFile(file).job) : 'tokens or examples';
}

function verdict(all: number, wrong: number, hosts: readonly string[]): string {
  const whom = hosts.length === 1 ? `the host ${hosts[0]}` : `the hosts ${hosts.join(' and ')}`;
  return wrong === 0 ? `All are signed by ${whom}.` : `${integer(wrong)} of ${integer(all)} are NOT signed by ${whom}.`;
}

function nobody(file: string): never {
  throw new HelioError(
    'HELIO-1006',
    `The host whose signatures ${file} should have is not named.`,
    'Give the public key of the host: --host KEY.',
  );
}

async function ofFile(file: string): Promise<readonly ReceiptOfFile[]> {
  const found: ReceiptOfFile[] = [];
  let cutOff = 0;
  for await (const each of readReceipts(file, () => cutOff++)) found.push(each);
  if (cutOff > 0) tell(`${cutOff} lines of ${file} were cut off, and are left out`);
  return found;
}

async function ofRun(
  run: string,
  { island }: ReceiptsOptions,
  context: CommandContext,
): Promise<readonly ReceiptOfFile[]> {
  const folder = findRun(context.runs, run);
  // Of a run that was exported elsewhere: another host has signed them.
  const brought = path.join(folder, RECEIPTS_FILE);
  const before = existsSync(brought) ? await ofFile(brought) : [];
  return [...before, ...(await ofHost(folder, island))];
}

async function ofHost(folder: string, island: string | undefined): Promise<readonly ReceiptOfFile[]> {
  const { publicKey: host } = await keptIdentity(path.join(folder, 'run.key'));
  const query = island === undefined ? '' : `?island=${encodeURIComponent(island)}`;
  if (lastServed(folder) !== undefined) {
    try {
      const signed = await askCoordinator<readonly SignedReceipt[]>(folder, 'GET', `/v1/receipts${query}`);
      return signed.map((each) => ({ ...each, host }));
    } catch (error) {
      if (!(error instanceof HelioError) || error.code !== 'HELIO-4002') throw error;
    }
  }
  // Nobody serves it now: its store is read.
  const run = runIdentity(readRunFile(path.join(folder, 'run.yaml')).job.name, folder);
  const { store } = await openStores({ store: undefined, blobs: undefined }, folder, run);
  try {
    return (await store.receipts(island ?? null)).map((each) => ({ ...each, host }));
  } finally {
    await store.close();
  }
}
