import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { WebSocket } from 'ws';
import { parseRunFile, resolveJob } from '../../src/cli/run-file.ts';
import type { RunRecord } from '../../src/coordinator/events.ts';
import { initialState } from '../../src/coordinator/run.ts';
import type { JoinRequest } from '../../src/coordinator/server/http.ts';
import { type ConnectionLimits, connectionLimits } from '../../src/coordinator/server/limits.ts';
import type { ServerOptions } from '../../src/coordinator/server/options.ts';
import { RunServer } from '../../src/coordinator/server/server.ts';
import { WorkerAggregation } from '../../src/coordinator/server/worker-aggregation.ts';
import { FileBlobs } from '../../src/coordinator/store/file-blobs.ts';
import { SqlRunStore } from '../../src/coordinator/store/sql-store.ts';
import { openSqlite } from '../../src/coordinator/store/sqlite.ts';
import type { Fragment } from '../../src/outer/fragments.ts';
import type { OuterSettings } from '../../src/outer/settings.ts';
import { Channel, overWebSocket } from '../../src/protocol/channel.ts';
import type { Content } from '../../src/protocol/frame.ts';
import { contentHash } from '../../src/protocol/hash.ts';
import { helloText, type Identity, newIdentity, updateText } from '../../src/protocol/identity.ts';
import { type Invitation, signInvitation } from '../../src/protocol/invitation.ts';
import { type CoordinatorMessage, coordinatorMessageSchema, MAX_WELCOME_BYTES } from '../../src/protocol/messages.ts';
import { OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../src/protocol/versions.ts';
import { settingsFor } from './world.ts';

/** A real coordinator on a real port, with a model of six numbers, for tests that speak to it. */

const ELEMENTS = 6;
export const FRAGMENT: Fragment = {
  index: 0,
  elements: ELEMENTS,
  tensors: [{ name: 'w', elements: ELEMENTS, rows: 1, role: 'other' }],
};
export const RUN = 'hosted-00000000';
export const ADMIN = 'the-host-alone';

/** A test may run on a machine that is busy: only a test of that very thing has strangers wait for it. */
const NEVER = { burst: 1e6, perS: 1e6 };
export const patientLimits = (limits = connectionLimits()): ConnectionLimits => ({ ...limits, pressed: NEVER });

export interface Hosted {
  readonly server: RunServer;
  readonly host: Identity;
  readonly store: SqlRunStore;
  readonly records: RunRecord[];
  readonly joinRequests: JoinRequest[];
  invite(change?: Partial<Invitation>): Promise<string>;
  close(): Promise<void>;
}

export async function hosted(
  change: Partial<ServerOptions> = {},
  {
    elements = ELEMENTS,
    islands = 1,
    outer = {},
    leaseMs = 5_000,
  }: { elements?: number; islands?: number; outer?: Partial<OuterSettings>; leaseMs?: number } = {},
): Promise<Hosted> {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-hosted-'));
  const host = await newIdentity();
  const settings = settingsFor(
    { innerSteps: 5, graceS: 0.2, quorum: 1, ...outer },
    { expectedIslands: islands, leaseMs },
  );
  const fragment = { ...FRAGMENT, elements, tensors: [{ ...FRAGMENT.tensors[0]!, elements }] };
  const file = 'data: a\nouter: { strategy: fedavg, innerSteps: 5, quorum: 1 }\nislands: 1\nstop: { steps: 50 }';
  const job = resolveJob(parseRunFile(file, 'hosted.yaml'), 'hosted');
  const aggregation = await WorkerAggregation.begin([fragment], settings.outer, {
    parameters: new Map([['w', new Float32Array(elements)]]),
  });
  const store = await SqlRunStore.open(openSqlite(path.join(folder, 'run.sqlite')), RUN);
  await store.beginSession(settings);
  const records: RunRecord[] = [];
  const joinRequests: JoinRequest[] = [];
  const server = await RunServer.start({
    run: RUN,
    job,
    dataFolder: folder,
    preparation: '{}',
    base: null,
    settings,
    state: initialState(settings),
    recoveredMs: undefined,
    aggregation,
    store,
    blobs: new FileBlobs(path.join(folder, 'blobs')),
    connectionLimits: patientLimits(),
    keepCheckpoints: 2,
    host: '127.0.0.1',
    port: 0,
    tls: undefined,
    hostKey: host.publicKey,
    sign: host.sign,
    adminToken: ADMIN,
    version: '0.0.0',
    nowMs: () => performance.now(),
    nowS: () => Date.now() / 1000,
    onJoinRequest: (request) => joinRequests.push(request),
    onRecord: (record) => records.push(record),
    onSave: async () => ({}),
    ...change,
  });
  return {
    server,
    host,
    store,
    records,
    joinRequests,
    invite: (rest = {}) =>
      signInvitation(
        { run: RUN, role: 'island', id: 'i', uses: 10, expiresAt: Math.floor(Date.now() / 1000) + 60, ...rest },
        host,
      ),
    async close() {
      await server.close();
      await store.close();
      await aggregation.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Opens connections and resets them while this process does nothing: when it takes them from the system's queue, nobody is there any more. */
export async function resetInQueue(port: number, count: number): Promise<void> {
  const done = new Int32Array(new SharedArrayBuffer(4));
  const work = `
    const { connect } = require('node:net');
    const { port, count, done } = require('node:worker_threads').workerData;
    let left = count;
    for (let i = 0; i < count; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {}).on('connect', () => socket.resetAndDestroy()).on('close', () => {
        if (--left > 0) return;
        Atomics.store(done, 0, 1);
        Atomics.notify(done, 0);
      });
    }`;
  const worker = new Worker(work, { eval: true, workerData: { port, count, done } });
  Atomics.wait(done, 0, 0, 20_000);
  await worker.terminate();
}

/** An island's first words, after the challenge. */
export const helloOf = async (island: string, identity: Identity, nonce: string, invitation: string | null) => ({
  kind: 'hello' as const,
  protocol: PROTOCOL_VERSION,
  oldest: OLDEST_PROTOCOL,
  capabilities: ['receipts'],
  island,
  key: identity.publicKey,
  signature: await identity.sign(helloText(nonce, RUN, island)),
  invitation,
  software: 'heliotrope 0.0.0',
  threads: 1,
  host: 'process' as const,
  evaluates: true,
  engine: { device: 'cpu', onProcessor: [] },
});

type Invited = string | null | Promise<string>;

/** What an island says that comes anew, once it is let in. */
export const FRESH = { kind: 'resume', run: null, holds: [], beginnings: [] } as const;

/** An island's end of a connection, that says what the test wants it to say. */
export class Puppet {
  readonly socket: WebSocket;
  readonly told: CoordinatorMessage[] = [];
  /** Frames as they came. */
  readonly frames: Buffer[] = [];
  readonly identity: Promise<Identity>;
  readonly name: string;
  /** What it says that it has, once it is let in. */
  resume: object = FRESH;
  readonly #channel: Channel<typeof coordinatorMessageSchema, unknown>;
  readonly #listeners = new Set<() => void>();
  closed = false;

  constructor(
    port: number,
    name: string,
    identity: Identity | Promise<Identity> = newIdentity(),
    localAddress = '127.0.0.1',
  ) {
    this.name = name;
    this.identity = Promise.resolve(identity);
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/v1/run`, { perMessageDeflate: false, localAddress });
    this.#channel = new Channel(overWebSocket(this.socket), coordinatorMessageSchema, 1e6);
    this.socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.frames.push(data);
      const message = isBinary ? undefined : this.#channel.message(data.toString(), MAX_WELCOME_BYTES);
      if (message !== undefined) this.told.push(message);
      if (message?.kind === 'admitted') this.say(this.resume);
      this.#changed();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  /** Resolves with the first message of this kind, from now on or before. */
  async hears<K extends CoordinatorMessage['kind']>(kind: K): Promise<CoordinatorMessage & { kind: K }> {
    await this.until(() => this.told.some((message) => message.kind === kind) || this.closed);
    const message = this.told.find((each) => each.kind === kind);
    if (message === undefined) throw new Error(`closed before it heard ${kind}: ${JSON.stringify(this.told)}`);
    return message as CoordinatorMessage & { kind: K };
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const listen = (): void => {
        if (!condition()) return;
        this.#listeners.delete(listen);
        resolve();
      };
      this.#listeners.add(listen);
      listen();
    });
  }

  async hello(invitation: Invited, change: Record<string, unknown> = {}): Promise<void> {
    const { nonce } = await this.hears('challenge');
    const { resume, ...hello } = change;
    this.resume = { ...FRESH, ...(resume as object | undefined) };
    this.say({ ...(await helloOf(this.name, await this.identity, nonce, await invitation)), ...hello });
  }

  /** Joins, answers validation, and trains until the coordinator asks for its contribution. */
  async untilPulled(invitation: Invited, version = 0): Promise<void> {
    await this.hello(invitation);
    await this.hears('welcome');
    this.say({ kind: 'ready', restored: null });
    await Promise.race([this.hears('evaluate'), this.hears('start')]);
    for (const message of this.told)
      if (message.kind === 'evaluate')
        for (const part of message.parts)
          this.say({ kind: 'evaluated', evaluation: message.evaluation, part, lossSum: 3, tokens: 1 });
    await this.hears('start');
    this.say({ kind: 'due', fragment: 0, version, slackMs: 0 });
    await this.hears('pull');
  }

  say(message: unknown): void {
    if (this.socket.readyState === WebSocket.OPEN) this.#channel.send(message);
  }

  sendRaw(data: Uint8Array): void {
    this.socket.send(data);
  }

  /** @param signed whether the changes are signed, too */
  async contribute(values: readonly number[], change: Record<string, unknown> = {}, signed = false): Promise<void> {
    const payload = new Uint8Array(Float32Array.from(values).buffer);
    const update = {
      kind: 'contribution',
      fragment: 0,
      version: 0,
      round: 1,
      steps: 5,
      tokens: 50,
      form: 'parameters' as const,
      codec: 'f32' as const,
      ...(signed ? change : {}),
    };
    const hash = await contentHash(payload);
    const signature = await (await this.identity).sign(updateText(RUN, update, hash));
    await this.#channel.transfer({ content: { ...update, signature, ...change } as Content, payload, hash });
  }

  close(): void {
    this.socket.terminate();
  }

  #changed(): void {
    for (const listen of this.#listeners) listen();
  }
}
