import { AwsClient } from 'aws4fetch';
import { HelioError } from '../../errors.ts';
import { type BlobStore, verify } from './blobs.ts';

/** Times that a request is made before it counts as failed. */
const TRIES = 5;

export interface S3Options {
  /** s3://BUCKET/PREFIX */
  readonly url: string;
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

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
  return { url, endpoint, region: environment.AWS_REGION ?? 'us-east-1', accessKeyId, secretAccessKey };
}

/** Blobs as objects of an S3-compatible store, each written whole or not at all, and checked on both ends. */
export class S3Blobs implements BlobStore {
  readonly #client: AwsClient;
  readonly #base: string;
  readonly #prefix: string;

  /** @param run a folder of its own under the prefix */
  constructor({ url, endpoint, region, accessKeyId, secretAccessKey }: S3Options, run: string) {
    const { host: bucket, pathname } = new URL(url);
    this.#client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 0 });
    this.#base = `${(endpoint ?? `https://s3.${region}.amazonaws.com`).replace(/\/$/, '')}/${bucket}`;
    this.#prefix = [...pathname.split('/').filter((part) => part !== ''), run, 'blobs', ''].join('/');
  }

  async put(hash: string, bytes: Uint8Array): Promise<void> {
    // The store itself checks what arrives.
    const headers = { 'x-amz-content-sha256': hash };
    await this.#request('PUT', `/${this.#prefix}${hash}`, { body: bytes as Uint8Array<ArrayBuffer>, headers });
  }

  async get(hash: string): Promise<Uint8Array> {
    const response = await this.#request('GET', `/${this.#prefix}${hash}`);
    return verify(hash, new Uint8Array(await response.arrayBuffer()), `${this.#base}/${this.#prefix}${hash}`);
  }

  async delete(hash: string): Promise<void> {
    await this.#request('DELETE', `/${this.#prefix}${hash}`);
  }

  async list(): Promise<readonly string[]> {
    const names: string[] = [];
    for (let token: string | undefined; ; ) {
      const query = new URLSearchParams({ 'list-type': '2', prefix: this.#prefix });
      if (token !== undefined) query.set('continuation-token', token);
      const text = await (await this.#request('GET', `?${query}`)).text();
      names.push(...[...text.matchAll(/<Key>[^<]*\/([0-9a-f]{64})<\/Key>/g)].map(([, name]) => name!));
      token = /<NextContinuationToken>([^<]+)</.exec(text)?.[1];
      if (token === undefined) return names;
    }
  }

  async #request(method: string, at: string, init: RequestInit = {}): Promise<Response> {
    let why = '';
    for (let tried = 0; tried < TRIES; tried++) {
      if (tried > 0) await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** tried * (0.5 + Math.random() / 2)));
      try {
        const response = await this.#client.fetch(`${this.#base}${at}`, { ...init, method });
        if (response.ok) return response;
        why = `${response.status} ${(await response.text())
          .replace(/<[^>]*>/g, ' ')
          .trim()
          .slice(0, 200)}`;
        // Only what the store itself says of its state may be otherwise the next time.
        if (response.status < 500 && response.status !== 429) break;
      } catch (error) {
        why = error instanceof Error ? `${error.message} ${String(error.cause ?? '')}`.trim() : String(error);
      }
    }
    throw new HelioError(
      'HELIO-3006',
      `The blob store ${this.#base} did not ${method} ${at}: ${why}.`,
      'Check its address, keys and bucket; what was committed is kept.',
    );
  }
}
