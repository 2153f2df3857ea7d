import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { explainSystemError } from '../../errors.ts';
import type { EncodedFragment } from '../../protocol/frame.ts';
import type { PayloadBuffer } from '../aggregation.ts';

/**
 * Contributions wait in memory up to a limit, and beyond it in one temporary file: so the memory of a merge does not grow with the number of islands. A
 * contribution that is replaced keeps its place until the merge.
 */
export class SpillBuffer implements PayloadBuffer {
  readonly #limitBytes: number;
  #inMemoryBytes = 0;
  #buffer = new Uint8Array(0);
  #file: { readonly descriptor: number; readonly folder: string; length: number } | undefined;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** @throws HelioError HELIO-3002 when the disk is full */
  put(payload: EncodedFragment['payload']): () => EncodedFragment['payload'] {
    if (this.#inMemoryBytes + payload.length > this.#limitBytes) return this.#write(payload);
    this.#inMemoryBytes += payload.length;
    return () => payload;
  }

  // A method of its own: a function made beside the other one would keep the payload in memory.
  #write(payload: EncodedFragment['payload']): () => EncodedFragment['payload'] {
    const { length } = payload;
    try {
      this.#file ??= open();
      const file = this.#file;
      const at = file.length;
      for (let done = 0; done < length; ) done += writeSync(file.descriptor, payload, done, length - done, at + done);
      file.length += length;
      return () => this.#read(file.descriptor, at, length);
    } catch (error) {
      throw explainSystemError(error, 'keep contributions for their merge in the temporary folder');
    }
  }

  /** Into one buffer, which is good until the next is read. */
  #read(descriptor: number, at: number, length: number): EncodedFragment['payload'] {
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const payload = this.#buffer.subarray(0, length);
    for (let done = 0; done < length; ) {
      const count = readSync(descriptor, payload, done, length - done, at + done);
      if (count === 0) throw new Error('the file of contributions is shorter than it was');
      done += count;
    }
    return payload;
  }

  clear(): void {
    this.#inMemoryBytes = 0;
    if (this.#file === undefined) return;
    closeSync(this.#file.descriptor);
    rmSync(this.#file.folder, { recursive: true, force: true });
    this.#file = undefined;
  }
}

function open() {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-merge-'));
  return { descriptor: openSync(path.join(folder, 'contributions'), 'wx+', 0o600), folder, length: 0 };
}
