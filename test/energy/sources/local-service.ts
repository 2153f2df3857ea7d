import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { intensitySchema, tariffSchema, weatherSchema } from '../../../src/energy/site/sources-schema.ts';
import { openSources, type SourceDeps, type Sources } from '../../../src/energy/sources/index.ts';

export const NOW = Date.parse('2026-03-10T12:00Z');

export type Reply = (request: http.IncomingMessage, response: http.ServerResponse) => void;

export interface LocalService {
  reply: Reply;
  nowMs: number;
  /** Addresses that were asked for. */
  readonly asked: string[];
  /** Sentences for whoever runs the site. */
  readonly said: string[];
  readonly baseUrl: string;
  /** Where answers are kept. */
  readonly folder: string;
  open(parts: { intensity?: unknown; weather?: unknown; tariff?: unknown; zone?: string }): Sources;
}

/** A service of this machine, anew for each test, and sources that ask it. */
export function localService(): LocalService {
  let server: http.Server;
  const service = {
    reply: ((_, response) => response.end('{}')) as Reply,
    nowMs: NOW,
    asked: [] as string[],
    said: [] as string[],
    baseUrl: '',
    folder: '',
    open(parts: Parameters<LocalService['open']>[0]): Sources {
      const deps: SourceDeps = {
        nowMs: () => service.nowMs,
        random: () => 0.5,
        cacheFolder: service.folder,
        env: { TOKEN: 'top-secret' },
        say: (sentence) => service.said.push(sentence),
        timeoutMs: 1_500,
      };
      return openSources(
        {
          zone: parts.zone ?? 'GB',
          place: { latitudeDeg: 51.5, longitudeDeg: -0.1, altitudeM: 20 },
          timeZone: 'Europe/London',
          intensity: intensitySchema.parse(parts.intensity ?? { kind: 'constant' }),
          weather: weatherSchema.parse(parts.weather ?? { kind: 'clear-sky' }),
          tariff: parts.tariff === undefined ? undefined : tariffSchema.parse(parts.tariff),
        },
        deps,
      );
    },
  };
  beforeEach(async () => {
    Object.assign(service, { asked: [], said: [], nowMs: NOW });
    server = http.createServer((request, response) => {
      service.asked.push(request.url!);
      service.reply(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    service.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    service.folder = mkdtempSync(path.join(tmpdir(), 'sources-'));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(service.folder, { recursive: true });
  });
  return service;
}

export const json =
  (value: unknown): Reply =>
  (_, response) =>
    response.end(JSON.stringify(value));
