import { setTimeout as sleep } from 'node:timers/promises';
import { HelioError } from '../../errors.ts';
import { type BlobStore, hashOf, PIECE_BYTES, type Pieces } from './blobs.ts';
import { joined, recut, verified } from './pieces.ts';
import type { RetryPolicy } from './retry.ts';
import { type S3Answer, S3Client, type S3Options } from './s3-client.ts';

/** Most bytes that go in one request; what is larger goes in parts. */
const WHOLE_BYTES = 4 * PIECE_BYTES;
/** A store takes no more of one object. */
const MOST_PARTS = 10_000;
/** Pages of a thousand names each. */
const MOST_PAGES = 10_000;
/** An upload in parts that is older than this is of a process that was killed. */
const ABANDONED_MS = 86_400_000;
const COMPLETE_TRIES = 5;
const PING_MS = 4_000;
/** How long the store is waited for at first: an address may be wrong. */
const OPEN_MS = 20_000;

/**
 * What the environment says of an S3-compatible store, by the names that all its tools read.
 *
 * @throws HelioError HELIO-1006 when it names no keys
 */
export function s3Options(url: string, environment: NodeJS.ProcessEnv): S3Options {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  if (!accessKeyId || !secretAccessKey) {
    throw new HelioError(
      'HELIO-1006',
      `${url} needs keys, and the environment names none.`,
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL where the store is not at Amazon, AWS_REGION.',
    );
  }
  const endpoint = environment.AWS_ENDPOINT_URL_S3 ?? environment.AWS_ENDPOINT_URL;
  const sessionToken = environment.AWS_SESSION_TOKEN;
  const region = environment.AWS_REGION ?? 'us-east-1';
  return { url, endpoint, region, accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
}

/** Blobs as objects of an S3-compatible store, each written whole or not at all, and checked on both ends. */
export class S3Blobs implements BlobStore {
  readonly #client: S3Client;
  readonly #prefix: string;

  /** @param run a folder of its own under the prefix */
  constructor(options: S3Options, run: string, retry: Partial<RetryPolicy> = {}) {
    this.#client = new S3Client(options, retry);
    const { pathname } = new URL(options.url);
    this.#prefix = [...pathname.split('/').filter((part) => part !== ''), run, 'blobs', ''].join('/');
  }

  async put(hash: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > WHOLE_BYTES) return this.putPieces(hash, bytes.length, [bytes]);
    await this.#putObject(hash, bytes);
  }

  async putPieces(hash: string, size: number, pieces: Pieces): Promise<void> {
    const whole = verified(hash, size, pieces, `What was to be ${this.#place(hash)}`);
    if (size <= WHOLE_BYTES) await this.#putObject(hash, await joined(size, whole));
    else await this.#putParts(hash, size, whole);
  }

  async get(hash: string): Promise<Uint8Array> {
    const size = await this.#sizeOf(hash);
    return joined(size, verified(hash, size, this.#ranges(hash, size), this.#place(hash)));
  }

  async *getPieces(hash: string): AsyncGenerator<Uint8Array> {
    const size = await this.#sizeOf(hash);
    yield* verified(hash, size, this.#ranges(hash, size), this.#place(hash));
  }

  async delete(hash: string): Promise<void> {
    const { status, bytes } = await this.#client.request({ method: 'DELETE', at: this.#at(hash), accepts: [404] });
    if (status === 404 && !isCode(bytes, 'NoSuchKey')) throw this.#refused('DELETE', hash, bytes);
  }

  async list(): Promise<readonly string[]> {
    const names: string[] = [];
    let token: string | undefined;
    for (let page = 0; page < MOST_PAGES; page++) {
      const query = new URLSearchParams({ 'list-type': '2', prefix: this.#prefix });
      if (token !== undefined) query.set('continuation-token', token);
      const text = textOf(await this.#client.request({ method: 'GET', at: `?${query}` }));
      names.push(...[...text.matchAll(/<Key>[^<]*\/([0-9a-f]{64})<\/Key>/g)].map(([, name]) => name!));
      token = inside(text, 'NextContinuationToken');
      if (token === undefined) return names;
    }
    throw new HelioError(
      'HELIO-3006',
      `The blob store ${this.#client.base} lists names without an end under ${this.#prefix}.`,
      'Name another prefix with --blobs.',
    );
  }

  /** Uploads in parts that were begun and never ended are invisible, and paid for. */
  async tidy(): Promise<void> {
    const query = new URLSearchParams({ uploads: '', prefix: this.#prefix });
    // Some stores do not list them, and some keys may not.
    const given = { method: 'GET', at: `?${query}`, accepts: [400, 403, 404, 405, 501] } as const;
    const text = textOf(await this.#client.request(given, { forMs: OPEN_MS }));
    for (const [, upload = ''] of text.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
      const [key, id, since] = ['Key', 'UploadId', 'Initiated'].map((name) => inside(upload, name));
      if (key === undefined || id === undefined || !key.startsWith(this.#prefix)) continue;
      if (Date.now() - Date.parse(since ?? '') > ABANDONED_MS) await this.#abort(`/${key}`, id);
    }
  }

  async ping(): Promise<void> {
    await this.#client.request({ method: 'HEAD', at: '' }, { forMs: 0, answerMs: PING_MS, say: () => {} });
  }

  #at(hash: string): string {
    return `/${this.#prefix}${hash}`;
  }

  #place(hash: string): string {
    return `${this.#client.base}${this.#at(hash)}`;
  }

  #refused(method: string, hash: string, bytes: Uint8Array): HelioError {
    return new HelioError(
      'HELIO-3006',
      `The blob store did not ${method} ${this.#place(hash)}: ${inside(new TextDecoder().decode(bytes), 'Code') ?? 'refused'}.`,
      'Check its address, keys and bucket; what was committed is kept.',
    );
  }

  async #putObject(hash: string, bytes: Uint8Array): Promise<void> {
    // The store itself checks what arrives.
    const headers = { 'x-amz-content-sha256': hash };
    await this.#client.request({ method: 'PUT', at: this.#at(hash), body: bytes, headers });
  }

  /** In parts, of which each is checked where it arrives; there is an object only once all are there and their sum is right. */
  async #putParts(hash: string, size: number, pieces: Pieces): Promise<void> {
    const at = this.#at(hash);
    const begun = textOf(await this.#client.request({ method: 'POST', at: `${at}?uploads` }));
    const id = inside(begun, 'UploadId');
    if (id === undefined) throw this.#refused('POST', hash, new TextEncoder().encode(begun));
    try {
      const tags: string[] = [];
      for await (const part of recut(pieces, Math.max(PIECE_BYTES, Math.ceil(size / MOST_PARTS)))) {
        const query = new URLSearchParams({ partNumber: String(tags.length + 1), uploadId: id });
        const headers = { 'x-amz-content-sha256': hashOf(part) };
        const answer = await this.#client.request({ method: 'PUT', at: `${at}?${query}`, body: part, headers });
        tags.push(answer.headers.get('etag') ?? '');
      }
      await this.#completeParts(hash, size, id, tags);
    } catch (error) {
      await this.#abort(at, id).catch(() => {});
      throw error;
    }
  }

  async #completeParts(hash: string, size: number, id: string, tags: readonly string[]): Promise<void> {
    const parts = tags.map((tag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${tag}</ETag></Part>`).join('');
    const at = `${this.#at(hash)}?${new URLSearchParams({ uploadId: id })}`;
    const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`;
    for (let tried = 1; ; tried++) {
      try {
        const { bytes } = await this.#client.request({ method: 'POST', at, body }, { forMs: 0 });
        // A store may begin to answer before it knows whether it can.
        if (inside(new TextDecoder().decode(bytes), 'Code') === undefined) return;
        throw this.#refused('POST', hash, bytes);
      } catch (error) {
        // Where the answer was lost, the object is there and the upload is gone. A store that is away is waited for in asking.
        const { status, headers } = await this.#client.request({ method: 'HEAD', at: this.#at(hash), accepts: [404] });
        if (status !== 404 && Number(headers.get('content-length')) === size) return;
        if (tried === COMPLETE_TRIES) throw error;
        await sleep(200 * 2 ** tried);
      }
    }
  }

  async #abort(at: string, id: string): Promise<void> {
    const query = new URLSearchParams({ uploadId: id });
    await this.#client.request({ method: 'DELETE', at: `${at}?${query}`, accepts: [404, 405, 501] });
  }

  /** An object of any size, asked for piece by piece: a line that breaks costs one piece. */
  async *#ranges(hash: string, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < size; ) {
      const range = `bytes=${at}-${Math.min(size, at + PIECE_BYTES) - 1}`;
      const { bytes } = await this.#client.request({ method: 'GET', at: this.#at(hash), headers: { range } });
      at += bytes.length;
      if (bytes.length === 0) return;
      yield bytes;
    }
  }

  async #sizeOf(hash: string): Promise<number> {
    const { status, headers } = await this.#client.request({ method: 'HEAD', at: this.#at(hash), accepts: [404] });
    if (status !== 404) return Number(headers.get('content-length') ?? 0);
    throw new HelioError(
      'HELIO-3001',
      `${this.#place(hash)} is missing, which the run's checkpoint needs.`,
      'Restore it from a copy, or start the run afresh.',
    );
  }
}

const textOf = ({ bytes }: S3Answer): string => new TextDecoder().decode(bytes);

/** What is between the first <name> and </name>. */
const inside = (text: string, name: string): string | undefined => new RegExp(`<${name}>([^<]+)<`).exec(text)?.[1];

const isCode = (bytes: Uint8Array, code: string): boolean => inside(new TextDecoder().decode(bytes), 'Code') === code;
