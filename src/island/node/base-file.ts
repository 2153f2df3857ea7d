import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { explainSystemError } from '../../errors.ts';
import type { Sink } from '../../protocol/frame.ts';

/** Writes frozen weights into a file as they arrive: they may be larger than memory, and the trainer reads them tensor by tensor. */
export class BaseFile implements Sink {
  readonly file: string;
  readonly length: number;
  readonly #descriptor: number;
  #isOpen = true;

  constructor(file: string, length: number) {
    this.file = file;
    this.length = length;
    this.#descriptor = openSync(file, 'w+', 0o600);
  }

  set(piece: Uint8Array, offset: number): void {
    try {
      this.#requireOpen();
      for (let at = 0; at < piece.length; )
        at += writeSync(this.#descriptor, piece, at, piece.length - at, offset + at);
    } catch (error) {
      throw explainSystemError(error, `keep the base in ${this.file}`);
    }
  }

  subarray(begin: number, end: number): Uint8Array {
    this.#requireOpen();
    const bytes = new Uint8Array(Math.min(end, this.length) - begin);
    for (let at = 0; at < bytes.length; ) {
      const got = readSync(this.#descriptor, bytes, at, bytes.length - at, begin + at);
      if (got === 0) throw explainSystemError(new Error('it is shorter than it was'), `read ${this.file}`);
      at += got;
    }
    return bytes;
  }

  /** The number of a descriptor that was closed may be another file's. */
  #requireOpen(): void {
    if (!this.#isOpen) throw explainSystemError(new Error('newer bases have come since'), `use ${this.file}`);
  }

  close(): void {
    this.#isOpen = false;
    closeSync(this.#descriptor);
    rmSync(this.file, { force: true });
  }
}

/** The bases that an island is sent in a run: files of a temporary folder, until it ends. */
export class BaseFiles {
  #folder: string | undefined;
  #newest: readonly BaseFile[] = [];
  #count = 0;

  /** A file for another one. The newest two are kept: what was begun on the connection before may go on. */
  make(bytes: number): BaseFile {
    try {
      this.#folder ??= mkdtempSync(path.join(tmpdir(), 'heliotrope-base-'));
      const made = new BaseFile(path.join(this.#folder, `${this.#count++}.safetensors`), bytes);
      for (const old of this.#newest.slice(1)) old.close();
      this.#newest = [made, ...this.#newest.slice(0, 1)];
      return made;
    } catch (error) {
      throw explainSystemError(error, 'keep the base in the temporary folder');
    }
  }

  close(): void {
    for (const file of this.#newest) file.close();
    this.#newest = [];
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
  }
}
