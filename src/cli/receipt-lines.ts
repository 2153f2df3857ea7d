import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { SignedReceipt } from '../coordinator/store/receipts.ts';
import { explainSystemError, HelioError } from '../errors.ts';
import type { ReceiptLine } from '../island/node/receipt-file.ts';
import { receiptSchema } from '../protocol/receipts.ts';

/** Receipts in files, one a line: an island's own account, and that of a run that was exported. */

export const RECEIPTS_FILE = 'receipts.jsonl';

export interface ReceiptOfFile extends SignedReceipt {
  /** The key of the host that is said to have signed it; undefined in files of earlier versions. */
  readonly host: string | undefined;
}

const lineSchema = z.object({ ...receiptSchema.shape, signature: z.string(), host: z.string().optional() });
/** Far more than a receipt has. */
const MOST_CHARS = 8_192;

export const receiptLine = ({ receipt, signature }: SignedReceipt, host: string): ReceiptLine => ({
  ...receipt,
  signature,
  host,
});

/**
 * Reads such a file, a line at a time.
 *
 * @param cutOff told of each line that its process did not finish, as it was killed or its disk full: the others are what they are
 * @throws HelioError HELIO-3001 at a line that is no receipt
 */
export async function* readReceipts(file: string, cutOff: () => void): AsyncIterable<ReceiptOfFile> {
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      number++;
      if (line === '') continue;
      const read = parse(line);
      if (read === 'cut off') cutOff();
      else yield read;
    }
  } catch (error) {
    if (error instanceof z.ZodError)
      throw new HelioError('HELIO-3001', `${file}:${number} is no receipt.`, 'Restore the file from a copy.', {
        cause: error,
      });
    throw explainSystemError(error, `read ${file}`);
  }
}

function parse(line: string): ReceiptOfFile | 'cut off' {
  if (line.length > MOST_CHARS) throw new z.ZodError([]);
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return 'cut off';
  }
  const { signature, host, ...receipt } = lineSchema.parse(json);
  return { receipt, signature, host };
}
