import { randomBytes } from 'node:crypto';
import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { type WebSocket, WebSocketServer } from 'ws';
import { explainSystemError, HelioError } from '../../errors.ts';
import { Channel, overWebSocket } from '../../protocol/channel.ts';
import { MAX_FRAME_BYTES } from '../../protocol/frame.ts';
import {
  type CoordinatorMessage,
  type IslandMessage,
  islandMessageSchema,
  MAX_MESSAGE_BYTES,
  RUN_PATH,
} from '../../protocol/messages.ts';
import { type Reason, standing } from '../../protocol/standing.ts';
import { agreedVersion, CAPABILITIES, OLDEST_PROTOCOL, PROTOCOL_VERSION } from '../../protocol/versions.ts';
import { admission } from '../admission.ts';
import { Leases, leaseOf, silence } from '../leases.ts';
import type { Effect, Held, RunState } from '../state.ts';
import { BrokenOff } from './broken-off.ts';
import { Decider } from './decider.ts';
import { faultOf } from './fault.ts';
import { httpSide } from './http.ts';
import { Intake } from './intake.ts';
import { Knocks } from './knocks.ts';
import { ConnectionLimits, messageLimit } from './limits.ts';
import { RunMetrics } from './metrics.ts';
import type { ServerOptions, Traffic } from './options.ts';
import type { Hello, Peer, Resume } from './peer.ts';
import { type Crew, Performer } from './performer.ts';
import { Receipts } from './receipts.ts';

export type Ending = Effect & { readonly kind: 'end' };

/** A socket that has not said hello is closed after this. */
const HELLO_MS = 10_000;
/** RFC 6455's registry: the service is restarting. */
const SERVICE_RESTART = 1012;
const MAX_SOCKETS = 20_000;
const OWN_VERSIONS = { protocol: PROTOCOL_VERSION, oldest: OLDEST_PROTOCOL };

/** Carries events from sockets to the pure machine, and its effects back. */
export class RunServer {
  readonly #options: ServerOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #traffic = new Map<string, { sentBytes: number; receivedBytes: number }>();
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #ended = Promise.withResolvers<Ending>();
  readonly #decider: Decider;
  readonly #performer: Performer;
  readonly #intake: Intake;
  readonly #receipts: Receipts;
  readonly #brokenOff = new BrokenOff();
  #hellos = 0;
  readonly #leases: Leases;
  readonly #limits = new ConnectionLimits();
  readonly #metrics: RunMetrics;
  readonly #knocks = new Knocks();

  private constructor(options: ServerOptions, http: HttpServer) {
    this.#options = options;
    this.#leases = new Leases(options.settings.leaseMs);
    this.#http = http;
    this.#metrics = new RunMetrics(options.run, () => ({
      state: this.#decider.state,
      connections: this.#sockets.clients.size,
      ...this.#allTraffic(),
    }));
    const crew: Crew = {
      peer: (island) => this.#peers.get(island),
      record: (record) => options.onRecord(record, (island) => this.trafficOf(island)),
      logProgress: () => this.#decider.logProgress(options.nowMs()),
      ended: (effect) => this.#ended.resolve(effect),
      failed: (error) => this.#fail(error),
    };
    this.#receipts = new Receipts(options);
    this.#performer = new Performer(options, crew, this.#metrics, this.#receipts);
    this.#intake = new Intake(options, this.#performer, this.#receipts, {
      state: () => this.#decider.state,
      take: (peer, event) => {
        if (this.#peers.get(event.island) === peer) this.#decider.take(event);
      },
    });
    const { run, settings, version, adminToken } = options;
    const app = httpSide({
      version,
      run,
      steps: settings.steps,
      adminToken,
      state: () => this.#decider.state,
      metrics: this.#metrics,
      knocks: () => this.#knocks.list,
      answerKnock: (island, letIn) => this.answerKnock(island, letIn),
      settings,
      host: {
        state: () => this.#decider.state,
        revoke: (invitation, islands) => this.#decider.take({ kind: 'revoked', invitation, islands }),
        receipts: (island) => options.store.receipts(island),
      },
    });
    http.on('request', getRequestListener(app.fetch, { overrideGlobalObjects: false }));
    this.#sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES });
    this.#http.on('upgrade', (request, socket, head) => {
      const address = request.socket.remoteAddress ?? '';
      const isRun = new URL(request.url ?? '/', 'http://localhost').pathname === RUN_PATH;
      if (!isRun) return refuseUpgrade(socket, '404 Not Found');
      if (this.#sockets.clients.size >= MAX_SOCKETS || !this.#limits.mayConnect(address, options.nowMs()))
        return refuseUpgrade(socket, '429 Too Many Requests');
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) =>
        this.#accept(webSocket, request.socket, address),
      );
    });
    this.#decider = new Decider(options, {
      perform: ({ effects, ...rest }) =>
        this.#performer.add(effects.map((effect) => ({ effect, ...rest, newestPeer: this.#hellos }))),
      failed: (error) => this.#fail(error),
      beforeTick: () => this.#expire(),
    });
  }

  /** @throws HelioError HELIO-4001 when the port is in use */
  static async start(options: ServerOptions): Promise<RunServer> {
    const http = options.tls === undefined ? createServer() : createSecureServer(options.tls);
    await new Promise<void>((resolve, reject) => {
      http.once('error', (error) => reject(explainSystemError(error, `listen on ${options.host}:${options.port}`)));
      http.listen(options.port, options.host, resolve);
    });
    const server = new RunServer(options, http);
    if (options.recoveredMs !== undefined) server.#decider.take({ kind: 'recovered', trainedMs: options.recoveredMs });
    return server;
  }

  /** The port that it listens on. */
  get port(): number {
    const address = this.#http.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  get state(): RunState {
    return this.#decider.state;
  }

  /** Resolves when the run is over. */
  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  requestStop(): void {
    this.#decider.take({ kind: 'stop-requested' });
  }

  /** Bytes exchanged with an island over all its connections. */
  trafficOf(island: string): Traffic {
    const past = this.#traffic.get(island);
    const open = this.#peers.get(island)?.channel;
    return {
      sentBytes: (past?.sentBytes ?? 0) + (open?.sentBytes ?? 0),
      receivedBytes: (past?.receivedBytes ?? 0) + (open?.receivedBytes ?? 0),
    };
  }

  #allTraffic(): Traffic {
    const names = new Set([...this.#traffic.keys(), ...this.#peers.keys()]);
    let [sentBytes, receivedBytes] = [0, 0];
    for (const name of names) {
      const traffic = this.trafficOf(name);
      sentBytes += traffic.sentBytes;
      receivedBytes += traffic.receivedBytes;
    }
    return { sentBytes, receivedBytes };
  }

  /** Ends this process's part in good order: what was decided is done and committed, and islands look for the next one. */
  async suspend(): Promise<void> {
    await this.#finishWork();
    await this.#options.store.flush();
    await this.close(SERVICE_RESTART);
  }

  /** Decides nothing any more, and does what was decided. */
  async #finishWork(): Promise<void> {
    this.#decider.suspend();
    await this.#performer.settled();
    await this.#receipts.settled();
  }

  async close(code = 1000): Promise<void> {
    await this.#finishWork();
    this.#decider.stop();
    for (const socket of this.#sockets.clients) socket.close(code);
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
    }, 2_000).unref();
    await closed;
  }

  /** Lets an island in that knocked, or not. @returns whether there was one of this name */
  answerKnock(island: string, letIn: boolean): boolean {
    const knock = this.#knocks.take(island, letIn);
    if (knock === undefined) return false;
    const { peer, hello } = knock;
    const answer = async (): Promise<void> => {
      if (!letIn) throw new HelioError('HELIO-4003', 'The host did not let this island in.', 'Ask the host.');
      // Another may have come under its name while it waited.
      await this.#admission(peer, hello);
      this.#admit(peer, hello, null);
    };
    answer().catch((error: unknown) => this.#refuse(peer, error));
    return true;
  }

  #accept(socket: WebSocket, wire: Socket, address: string): void {
    const { aggregation, nowMs } = this.#options;
    const { mostBytes } = aggregation;
    const channel = new Channel<typeof islandMessageSchema, CoordinatorMessage>(
      overWebSocket(socket),
      islandMessageSchema,
      mostBytes,
    );
    const nonce = randomBytes(24).toString('base64url');
    const limit = messageLimit(nowMs());
    const taking = new Set<number>();
    const peer: Peer = {
      socket,
      wire,
      heardBytes: wire.bytesRead,
      address,
      nonce,
      limit,
      channel,
      taking,
      stage: 'stranger',
      beginnings: [],
      capabilities: [],
      name: undefined,
      isOtherVersion: false,
      key: '',
      evaluates: true,
      invitation: null,
      taken: { bytes: 0, atMs: nowMs() },
      number: 0,
    };
    const patience = setTimeout(() => socket.close(1008, 'no hello'), HELLO_MS);
    channel.send({ kind: 'challenge', ...OWN_VERSIONS, nonce });
    socket.on('message', (data: Buffer, isBinary) => {
      // Nothing that a refused one says is looked at.
      if (peer.stage === 'refused') return;
      try {
        if (isBinary) this.#receiveFrame(peer, data);
        else this.#receive(peer, this.#read(peer, data.toString()));
        if (peer.stage !== 'stranger') clearTimeout(patience);
      } catch (error) {
        this.#refuse(peer, error);
      }
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', (code, reason) => {
      clearTimeout(patience);
      this.#knocks.forget(peer);
      this.#forget(peer, `connection closed (${code}${reason.length > 0 ? `, ${reason}` : ''})`, 'connection-lost');
    });
  }

  /** @returns undefined for a kind that is not known @throws HelioError HELIO-4004 when it is malformed, HELIO-4003 when it is one too many, HELIO-4006 when no version is common */
  #read(peer: Peer, text: string): IslandMessage | undefined {
    if (!peer.limit.take(this.#options.nowMs()))
      throw new HelioError('HELIO-4003', 'The island sends more messages than it may.', 'Send fewer.');
    if (peer.stage === 'stranger') requireVersion(text);
    return peer.channel.message(text);
  }

  #receive(peer: Peer, message: IslandMessage | undefined): void {
    if (message === undefined) return;
    if (message.kind === 'hello') return this.#greet(peer, message);
    if (message.kind === 'alive') return this.#answerAlive(peer);
    const island = peer.name;
    if (island === undefined)
      throw new HelioError('HELIO-4004', `The first message was ${message.kind}.`, 'Say hello first.');
    if (this.#peers.get(island) !== peer) return;
    this.#heard(peer, island);
    switch (message.kind) {
      case 'resume':
        return this.#resume(peer, island, message);
      case 'standing': {
        const { kind, ...told } = message;
        return this.#decider.take({ kind, island, standing: told });
      }
      case 'progress': {
        const { kind, ...progress } = message;
        return this.#decider.take({ kind, island, progress });
      }
      case 'leaving':
        this.#decider.take({ kind: 'left', island, reason: message.reason });
        return peer.socket.close(1000);
      default:
        return this.#decider.take({ ...message, island });
    }
  }

  #heard(peer: Peer, island: string): void {
    peer.heardBytes = peer.wire.bytesRead;
    this.#leases.seen(island, this.#options.nowMs());
  }

  #answerAlive(peer: Peer): void {
    if (peer.name !== undefined && this.#peers.get(peer.name) === peer) this.#heard(peer, peer.name);
    peer.channel.sendAtOnce({ kind: 'alive' });
  }

  #greet(peer: Peer, hello: Hello): void {
    if (peer.stage !== 'stranger')
      throw new HelioError('HELIO-4004', 'The island said hello twice.', 'Open one connection an island.');
    peer.stage = 'checking';
    agreedVersion(OWN_VERSIONS, hello, 'island');
    this.#admission(peer, hello)
      .then((admitted) => {
        if (peer.socket.readyState !== peer.socket.OPEN) return;
        if (admitted.kind === 'admitted') return this.#admit(peer, hello, admitted.invitation);
        this.#knock(peer, hello);
      })
      .catch((error: unknown) => this.#refuse(peer, error));
  }

  #knock(peer: Peer, hello: Hello): void {
    peer.stage = 'knocking';
    const knock = this.#knocks.add(peer, hello, () => this.answerKnock(hello.island, false));
    const what = `The host is asked whether ${hello.island} may join.`;
    peer.channel.send({ kind: 'standing', ...standing('waiting', 'host-is-asked', what) });
    this.#options.onKnock(knock);
  }

  #admission({ nonce }: Peer, hello: Hello): ReturnType<typeof admission> {
    const { run, hostKey, nowS } = this.#options;
    return admission({ run, hostKey, nonce, nowS: nowS() }, this.#decider.state, hello);
  }

  /** It is who it says, and may come: it is asked what it has. A connection under the same name is replaced. */
  #admit(peer: Peer, hello: Hello, invitation: Peer['invitation']): void {
    const before = this.#peers.get(hello.island);
    if (before !== undefined) {
      this.#forget(before, 'the island connected anew', 'connected-again');
      before.socket.terminate();
    }
    const { run, settings, nowMs } = this.#options;
    const leaseMs = leaseOf(hello.host, settings.leaseMs);
    const own: readonly string[] = CAPABILITIES;
    peer.stage = 'admitted';
    peer.name = hello.island;
    peer.key = hello.key;
    peer.evaluates = hello.evaluates;
    peer.invitation = invitation;
    peer.capabilities = hello.capabilities.filter((name) => own.includes(name));
    peer.isOtherVersion = hello.software !== `heliotrope ${this.#options.version}`;
    peer.channel.goOnWith(this.#brokenOff.take(hello.island));
    peer.number = ++this.#hellos;
    this.#peers.set(hello.island, peer);
    this.#leases.seen(hello.island, nowMs(), leaseMs);
    peer.channel.send({
      kind: 'admitted',
      protocol: agreedVersion(OWN_VERSIONS, hello, 'island'),
      capabilities: [...peer.capabilities],
      run,
      leaseS: leaseMs / 1000,
    });
  }

  #resume(peer: Peer, island: string, { run, holds, beginnings }: Resume): void {
    if (peer.stage !== 'admitted')
      throw new HelioError('HELIO-4004', 'The island said twice what it has.', 'Say it once a connection.');
    peer.stage = 'joined';
    peer.beginnings = beginnings;
    const { key, invitation, evaluates } = peer;
    const joined = (held: readonly Held[]): void =>
      this.#decider.take({ kind: 'joined', island, key, invitation, evaluates, holds: held });
    if (run !== this.#options.run || holds.length === 0) return joined([]);
    this.#compare(peer, holds)
      .then((held) => this.#peers.get(island) === peer && joined(held))
      .catch((error: unknown) => this.#decider.suspended || this.#fail(error));
  }

  /** What an island has under a version's number has to be what the coordinator has: after a restore from a copy it may be another model. */
  async #compare(peer: Peer, holds: Resume['holds']): Promise<readonly Held[]> {
    const { aggregation } = this.#options;
    const own = await Promise.all(aggregation.fragments.map((_, fragment) => aggregation.digest(fragment)));
    return holds.map(({ hash, ...held }, fragment) => {
      const beside = own[fragment];
      if (beside === undefined || beside.version !== held.newest || beside.hash === hash) return held;
      const what = `Fragment ${fragment} of the model is not the coordinator's at version ${held.newest}: it is sent again, and what was trained on it is dropped.`;
      peer.channel.send({ kind: 'standing', ...standing('joining', 'model-differs', what) });
      return { ...held, round: 0 };
    });
  }

  #receiveFrame(peer: Peer, data: Buffer): void {
    // Whoever has not been let in cannot make us keep anything.
    if (peer.name === undefined)
      throw new HelioError('HELIO-4004', 'The first message was a frame.', 'Say hello first.');
    if (this.#peers.get(peer.name) !== peer) return;
    // Every piece is a sign of life: over a thin link heartbeats wait behind what is being sent.
    this.#heard(peer, peer.name);
    const transfer = peer.channel.frame(data);
    const island = peer.name;
    transfer?.then((whole) => this.#intake.take(peer, island, whole)).catch((error) => this.#refuse(peer, error));
  }

  /** Says why, and closes. An offence of a member of the run is counted against it (`fault.ts`). */
  #refuse(peer: Peer, cause: unknown): void {
    if (peer.stage === 'refused') return;
    const fault = faultOf(cause, peer.isOtherVersion);
    if (fault === 'ours' || fault === 'disk') return this.#decider.suspended ? undefined : this.#fail(cause);
    peer.stage = 'refused';
    const error = fault === 'bug' ? unexplained(cause) : (cause as HelioError);
    this.#metrics.refusals.inc({ code: error.code });
    peer.channel.send({ kind: 'refused', code: error.code, what: error.what.slice(0, 2_000), remedy: error.remedy });
    if (fault === 'offence' && peer.name !== undefined && this.#peers.get(peer.name) === peer)
      this.#decider.take({ kind: 'offended', island: peer.name, reason: error.what.slice(0, 500) });
    peer.socket.close(1008, error.code);
  }

  #forget(peer: Peer, reason: string, because: Reason): void {
    if (peer.name === undefined || this.#peers.get(peer.name) !== peer) return;
    this.#traffic.set(peer.name, this.trafficOf(peer.name));
    this.#brokenOff.keep(peer.name, peer.channel.beginnings);
    this.#peers.delete(peer.name);
    this.#leases.end(peer.name);
    this.#decider.take({ kind: 'left', island: peer.name, reason, because });
  }

  /** Whoever was silent for too long is gone, connected or not. */
  #expire(): void {
    const isHeard = (island: string): boolean => isReceiving(this.#peers.get(island));
    for (const { island, silentMs } of this.#leases.expire(this.#options.nowMs(), isHeard)) {
      const peer = this.#peers.get(island);
      if (peer !== undefined) this.#forget(peer, silence(silentMs), 'lease-expired');
      peer?.socket.close(1008, 'lease expired');
    }
  }

  /** A failure of our own (a full disk, a bug) ends the run with its cause; nothing goes on half-done. */
  #fail(error: unknown): void {
    this.#performer.drop();
    this.#ended.reject(error);
    this.#decider.stop();
  }
}

/** A bug of ours, which what an island sent has brought to light. */
const unexplained = (cause: unknown): HelioError =>
  new HelioError('HELIO-4003', `The coordinator could not deal with it: ${cause}`, 'Report this with both versions.');

/**
 * Whether bytes came since the last look. Of a large piece over a thin link they come for a while before anything whole does, and the island's
 * heartbeats wait behind it: so it is told, unasked, that it is heard.
 */
function isReceiving(peer: Peer | undefined): boolean {
  if (peer === undefined || peer.wire.bytesRead === peer.heardBytes) return false;
  peer.heardBytes = peer.wire.bytesRead;
  peer.channel.sendAtOnce({ kind: 'alive' });
  return true;
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
}

/** A hello of a version that we do not share may have another form: that is told as a skew, and not as a fault. */
function requireVersion(text: string): void {
  if (text.length > MAX_MESSAGE_BYTES) return;
  let hello: Readonly<Record<string, unknown>>;
  try {
    hello = (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return;
  }
  const { kind, protocol, oldest } = hello;
  if (kind !== 'hello' || typeof protocol !== 'number') return;
  agreedVersion(OWN_VERSIONS, { protocol, oldest: typeof oldest === 'number' ? oldest : protocol }, 'island');
}
