import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { SignedReceipt } from '../coordinator/store/receipts.ts';
import type { RunStore } from '../coordinator/store/run-store.ts';
import { writeWhole } from '../files.ts';
import { isGenuine } from '../protocol/receipts.ts';
import { keptIdentity } from './identity-file.ts';
import { RECEIPTS_FILE, readReceipts, receiptLine } from './receipt-lines.ts';

/** Receipts are part of an archive, so that they can be checked wherever the run is. */

/** For an archive. */
export async function receiptsOf(store: RunStore, folder: string): Promise<Readable> {
  const { publicKey } = await keptIdentity(path.join(folder, 'run.key'));
  return Readable.from(
    (async function* () {
      for await (const page of store.allReceipts())
        yield page.map((each) => `${JSON.stringify(receiptLine(each, publicKey))}\n`).join('');
    })(),
  );
}

/** Of an archive with the host's keys: his receipts are in the store again. Those of another host stay as they came, in the run's folder. */
export async function takeReceipts(folder: string, store: RunStore): Promise<void> {
  const file = path.join(folder, RECEIPTS_FILE);
  if (!existsSync(file)) return;
  const { publicKey } = await keptIdentity(path.join(folder, 'run.key'));
  const others: string[] = [];
  let page: SignedReceipt[] = [];
  for await (const { receipt, signature, host } of readReceipts(file, () => {})) {
    if (host === publicKey && (await isGenuine(receipt, signature, publicKey))) {
      page.push({ receipt, signature });
      if (page.length < RECEIPTS_PAGE) continue;
      await store.addReceipts(page);
      page = [];
    } else others.push(`${JSON.stringify({ ...receipt, signature, host })}\n`);
  }
  if (page.length > 0) await store.addReceipts(page);
  if (others.length === 0) rmSync(file);
  else writeWhole(file, others.join(''));
}

const RECEIPTS_PAGE = 1_000;
