import { appendFileSync, closeSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { explainSystemError } from '../../errors.ts';
import { makeFolder } from '../../files.ts';
import type { Receipt } from '../../protocol/receipts.ts';

/** A receipt as files have it: with the host's signature, and the key of the host that it was checked against. */
export interface ReceiptLine extends Receipt {
  readonly signature: string;
  readonly host: string;
}

/** Bytes of a file of receipts; then it is kept once more under another name, and the one before that goes. */
const MOST_BYTES = 16 * 2 ** 20;

/** An island's own account: what the host has signed of its work, one a line, in its state folder. */
export class ReceiptFile {
  readonly #folderOf: (run: string) => string;
  #bytes: number | undefined;
  #count = 0;
  #file: string | undefined;

  constructor(folderOf: (run: string) => string) {
    this.#folderOf = folderOf;
  }

  /** Receipts that this process was given, and where they are; undefined before the first one. */
  get account(): { readonly count: number; readonly file: string } | undefined {
    return this.#file === undefined ? undefined : { count: this.#count, file: this.#file };
  }

  /** @throws HelioError HELIO-3002 to 3004 when it cannot be written */
  add(receipt: ReceiptLine): void {
    const file = path.join(this.#folderOf(receipt.run), 'receipts.jsonl');
    const line = `${JSON.stringify(receipt)}\n`;
    try {
      makeFolder(path.dirname(file));
      this.#bytes ??= endWithLine(file);
      if (this.#bytes > MOST_BYTES) {
        renameSync(file, `${file}.1`);
        this.#bytes = 0;
      }
      appendFileSync(file, line);
      this.#bytes += line.length;
      this.#count++;
      this.#file = file;
    } catch (error) {
      throw explainSystemError(error, `write ${file}`);
    }
  }
}

/** A line that was cut off, as its process was killed or its disk full, must not spoil the next one. @returns the file's size */
function endWithLine(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return 0;
  const descriptor = openSync(file, 'r');
  const last = Buffer.alloc(1);
  readSync(descriptor, last, 0, 1, size - 1);
  closeSync(descriptor);
  if (last.toString() === '\n') return size;
  appendFileSync(file, '\n');
  return size + 1;
}
