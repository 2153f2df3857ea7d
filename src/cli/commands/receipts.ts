import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { SignedReceipt } from '../../coordinator/store/receipts.ts';
import { HelioError } from '../../errors.ts';
import { isSignedBy } from '../../protocol/identity.ts';
import { receiptSchema, receiptText } from '../../protocol/receipts.ts';
import { type CommandContext, print, printJson } from '../context.ts';
import { askCoordinator } from '../host-client.ts';
import { runIdentity } from '../host-run.ts';
import { keptIdentity } from '../identity-file.ts';
import { integer } from '../live/format.ts';
import { findRun } from '../run-folder.ts';
import { openStores } from '../stores.ts';

const lineSchema = z.object({ ...receiptSchema.shape, signature: z.string() });

export interface ReceiptsOptions {
  readonly island?: string;
  /** The key of the host that is to have signed them, where no folder of the run is here. */
  readonly host?: string;
}

/** What was merged of whom, and whether the host has signed it: of a run that is hosted here, or of an island's own file. */
export async function receipts(place: string, options: ReceiptsOptions, context: CommandContext): Promise<number> {
  const isFile = place.endsWith('.jsonl') && existsSync(place);
  const { signed, hostKey } = isFile ? fromFile(place, options) : await ofRun(place, options, context);
  const checked = await Promise.all(
    signed.map(async ({ receipt, signature }) => ({
      ...receipt,
      signature,
      valid: await isSignedBy(hostKey, receiptText(receipt), signature),
    })),
  );
  const wrong = checked.filter(({ valid }) => !valid).length;
  if (context.json) printJson(checked);
  else {
    const byIsland = Map.groupBy(checked, ({ island }) => island);
    for (const [island, theirs] of byIsland) {
      // Each fragment's receipts cover all that was trained since its one before: those of several are about the same tokens.
      const byFragment = [...Map.groupBy(theirs, ({ fragment }) => fragment).values()];
      const tokens = Math.max(...byFragment.map((of) => of.reduce((sum, each) => sum + each.tokens, 0)));
      const last = new Date(1000 * Math.max(...theirs.map(({ atS }) => atS))).toISOString();
      print(`${island.padEnd(24)} ${integer(theirs.length)} merges  ${integer(tokens)} tokens  last ${last}`);
    }
    if (checked.length === 0) print('No receipts yet.');
    else
      print(
        wrong === 0
          ? "All are signed by the run's host."
          : `${wrong} of ${checked.length} are NOT signed by the run's host.`,
      );
  }
  return wrong === 0 ? 0 : 1;
}

interface Found {
  readonly signed: readonly SignedReceipt[];
  readonly hostKey: string;
}

function fromFile(file: string, { host, island }: ReceiptsOptions): Found {
  if (host === undefined)
    throw new HelioError(
      'HELIO-1006',
      `Who has to have signed ${file} is not said.`,
      'Give the key of the host: --host KEY.',
    );
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  let cutOff = 0;
  const signed = lines.flatMap((line, i) => {
    try {
      const { signature, ...receipt } = lineSchema.parse(JSON.parse(line));
      return [{ receipt, signature }];
    } catch (error) {
      // Its process was killed, or its disk full, when it was written: the others are what they are.
      if (error instanceof SyntaxError) {
        cutOff++;
        return [];
      }
      throw new HelioError('HELIO-3001', `${file}:${i + 1} is no receipt.`, 'Restore the file from a copy.', {
        cause: error,
      });
    }
  });
  if (cutOff > 0) process.stderr.write(`${cutOff} lines of ${file} were cut off, and are left out\n`);
  return { signed: signed.filter(({ receipt }) => island === undefined || receipt.island === island), hostKey: host };
}

async function ofRun(run: string, { island }: ReceiptsOptions, context: CommandContext): Promise<Found> {
  const folder = findRun(context.runs, run);
  const { publicKey: hostKey } = await keptIdentity(path.join(folder, 'run.key'));
  const query = island === undefined ? '' : `?island=${encodeURIComponent(island)}`;
  try {
    return { signed: await askCoordinator<readonly SignedReceipt[]>(folder, 'GET', `/v1/receipts${query}`), hostKey };
  } catch (error) {
    if (!(error instanceof HelioError) || error.code !== 'HELIO-4002') throw error;
  }
  // Nobody serves it now: its store is read.
  const { store } = await openStores(
    { store: undefined, blobs: undefined },
    folder,
    runIdentity(path.basename(folder), folder),
  );
  try {
    return { signed: await store.receipts(island ?? null), hostKey };
  } finally {
    await store.close();
  }
}
