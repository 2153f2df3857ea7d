import { createReadStream, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { findChromium } from '../../scripts/chromium.mjs';

/** A page of our own in headless Chromium, whose worker is built from `worker.ts`. */
export interface BrowserPage {
  /** Sends work to a fresh worker and returns what it posts. @throws what the worker could not do */
  work<T>(message: object): Promise<T>;
  readonly version: string;
  close(): Promise<void>;
}

interface PageWorker {
  onmessage: (event: { readonly data: unknown }) => void;
  onerror: (event: { readonly message: string }) => void;
  postMessage(message: object): void;
  terminate(): void;
}

const ORT = path.resolve(import.meta.dirname, '../../node_modules/onnxruntime-web/dist');
const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.wasm': 'application/wasm' };

/** @throws Error when Chromium is not installed; `npm test` installs it where it can */
export async function openPage(): Promise<BrowserPage> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('Chromium was not found: node scripts/chromium.mjs installs it.');
  const site = mkdtempSync(path.join(tmpdir(), 'heliotrope-browser-'));
  await build({
    configFile: false,
    logLevel: 'error',
    root: import.meta.dirname,
    build: {
      outDir: site,
      emptyOutDir: false,
      minify: false,
      target: 'esnext',
      lib: { entry: path.join(import.meta.dirname, 'worker.ts'), formats: ['es'], fileName: 'worker' },
    },
  });
  writeFileSync(path.join(site, 'index.html'), '<!doctype html><meta charset="utf-8"><title>Heliotrope</title>');
  const server = createServer((request, response) => {
    const name = new URL(request.url ?? '/', 'http://localhost').pathname;
    const file = name.startsWith('/ort/')
      ? path.join(ORT, path.basename(name))
      : path.join(site, name === '/' ? 'index.html' : path.basename(name));
    if (!existsSync(file)) return response.writeHead(404).end();
    // WebAssembly threads need shared memory, and that a page that nobody else can look into.
    response.writeHead(200, {
      'content-type': TYPES[path.extname(file)] ?? 'text/javascript',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    return createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      // A WebGPU adapter in software, for machines without a GPU.
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--enable-features=Vulkan',
    ],
  });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    version: browser.version(),
    async work<T>(message: object): Promise<T> {
      const answer = await page.evaluate(
        (data) =>
          new Promise((resolve) => {
            const { Worker } = globalThis as unknown as { Worker: new (url: string, options: object) => PageWorker };
            const worker = new Worker('/worker.js', { type: 'module' });
            const done = (value: unknown): void => {
              worker.terminate();
              resolve(value);
            };
            worker.onmessage = (event) => done(event.data);
            worker.onerror = (event) => done({ error: event.message });
            // Playwright passes plain JSON: the tokens become an array of their kind again here.
            worker.postMessage({ ...data, tokens: Uint32Array.from(data.tokens as number[]) });
          }),
        toPlain(message),
      );
      if (typeof answer === 'object' && answer !== null && 'error' in answer) throw new Error(String(answer.error));
      return answer as T;
    },
    async close() {
      await browser.close();
      server.close();
      rmSync(site, { recursive: true, force: true });
    },
  };
}

const toPlain = (message: object): Record<string, unknown> =>
  JSON.parse(JSON.stringify(message, (_, value) => (value instanceof Uint32Array ? [...value] : value)));
