import { createServer, type Server as HttpServer } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { explainSystemError, HelioError } from '../../errors.ts';
import { Channel } from '../../protocol/channel.ts';
import { MAX_FRAME_BYTES, type Parcel, type Transfer } from '../../protocol/frame.ts';
import {
  type CoordinatorMessage,
  type IslandMessage,
  islandMessageSchema,
  PROTOCOL_VERSION,
} from '../../protocol/messages.ts';
import type { Job } from '../../protocol/run-file.ts';
import { isAdmitted, stepsUntilDue } from '../due.ts';
import { isOver, react } from '../run.ts';
import type { Effect, Event, RunRecord, RunSettings, RunState } from '../state.ts';
import type { RunStore } from '../store/run-store.ts';
import type { WorkerAggregation } from './worker-aggregation.ts';

/** What the coordinator's process is given: the run, its tensors, and hands to do what the machine decides. */
export interface ServerOptions {
  readonly run: string;
  readonly job: Job;
  readonly dataFolder: string;
  /** How data become numbers, as JSON, and where adapters are trained the frozen weights, as a safetensors file. */
  readonly preparation: string;
  readonly base: Uint8Array | null;
  readonly settings: RunSettings;
  readonly state: RunState;
  readonly aggregation: WorkerAggregation;
  readonly store: RunStore;
  readonly host: string;
  readonly port: number;
  /** Secret that islands show; part of the invitation URL. */
  readonly token: string;
  readonly nowMs: () => number;
  /** Told everything that happens, with the bytes exchanged with each island so far. */
  readonly onRecord: (record: RunRecord, server: RunServer) => void;
  /** Saves the tensors of a checkpoint. */
  readonly onSave: (checkpoint: string) => Promise<void>;
  readonly onCommit: (checkpoint: string) => void;
}

export interface Traffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export type Ending = Effect & { readonly kind: 'end' };

interface Peer {
  readonly socket: WebSocket;
  readonly channel: Channel<typeof islandMessageSchema, CoordinatorMessage>;
  name: string | undefined;
}

const TICK_MS = 250;
/** A socket that has not said hello is closed after this. */
const HELLO_MS = 10_000;
const MAX_SOCKETS = 20_000;
/** An island that does not take what it is sent is cut off. */
const MAX_BUFFERED_BYTES = 2 ** 30;

/** Carries events from sockets to the pure machine, and its effects back. */
export class RunServer {
  readonly #options: ServerOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #traffic = new Map<string, { sentBytes: number; receivedBytes: number }>();
  readonly #http: HttpServer;
  readonly #sockets: WebSocketServer;
  readonly #ended = Promise.withResolvers<Ending>();
  readonly #ticker: NodeJS.Timeout;
  #state: RunState;
  /** What the machine decided and is not done yet, in its order, each with the state that it was decided in. */
  readonly #effects: { readonly effect: Effect; readonly state: RunState }[] = [];
  #performing = false;

  private constructor(options: ServerOptions, http: HttpServer) {
    this.#options = options;
    this.#state = options.state;
    this.#http = http;
    this.#sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES });
    this.#http.on('upgrade', (request, socket, head) => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      if (
        url.pathname !== '/v1/run' ||
        url.searchParams.get('token') !== options.token ||
        this.#sockets.clients.size >= MAX_SOCKETS
      ) {
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#accept(webSocket);
      });
    });
    this.#ticker = setInterval(() => {
      this.#dispatch({ kind: 'tick' });
      options.store.flush();
    }, TICK_MS);
  }

  /** @throws HelioError HELIO-4001 when the port is in use */
  static async start(options: ServerOptions): Promise<RunServer> {
    const http = createServer((request, response) => {
      const healthy = request.method === 'GET' && request.url === '/healthz';
      response.writeHead(healthy ? 200 : 404, { 'content-type': 'text/plain' }).end(healthy ? 'ok\n' : 'not found\n');
    });
    await new Promise<void>((resolve, reject) => {
      http.once('error', (error) => reject(explainSystemError(error, `listen on ${options.host}:${options.port}`)));
      http.listen(options.port, options.host, resolve);
    });
    return new RunServer(options, http);
  }

  /** Where islands connect. */
  get url(): string {
    const address = this.#http.address();
    const port = typeof address === 'object' && address !== null ? address.port : this.#options.port;
    return `ws://${this.#options.host}:${port}/v1/run?token=${this.#options.token}`;
  }

  get state(): RunState {
    return this.#state;
  }

  /** Resolves when the run is over. */
  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  requestStop(): void {
    this.#dispatch({ kind: 'stop-requested' });
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

  async close(): Promise<void> {
    clearInterval(this.#ticker);
    for (const socket of this.#sockets.clients) socket.close(1000);
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
    }, 2_000).unref();
    await closed;
  }

  #accept(socket: WebSocket): void {
    const { mostBytes } = this.#options.aggregation;
    const channel = new Channel<typeof islandMessageSchema, CoordinatorMessage>(socket, islandMessageSchema, mostBytes);
    const peer: Peer = { socket, channel, name: undefined };
    const patience = setTimeout(() => socket.close(1008, 'no hello'), HELLO_MS);
    socket.on('message', (data: Buffer, isBinary) => {
      try {
        if (isBinary) this.#receiveFrame(peer, data);
        else this.#receive(peer, channel.message(data.toString()));
        if (peer.name !== undefined) clearTimeout(patience);
      } catch (error) {
        this.#refuse(peer, error);
      }
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', (code, reason) => {
      clearTimeout(patience);
      this.#forget(peer, `connection closed (${code}${reason.length > 0 ? `, ${reason}` : ''})`);
    });
  }

  #receive(peer: Peer, message: IslandMessage): void {
    if (message.kind === 'hello') return this.#welcome(peer, message);
    const island = peer.name;
    if (island === undefined)
      throw new HelioError('HELIO-4004', `The first message was ${message.kind}.`, 'Say hello first.');
    if (this.#peers.get(island) !== peer) return;
    switch (message.kind) {
      case 'progress': {
        const { kind, ...progress } = message;
        return this.#dispatch({ kind, island, progress });
      }
      case 'leaving':
        this.#dispatch({ kind: 'left', island, reason: message.reason });
        return peer.socket.close(1000);
      default:
        return this.#dispatch({ ...message, island });
    }
  }

  #welcome(peer: Peer, hello: IslandMessage & { kind: 'hello' }): void {
    if (hello.protocol !== PROTOCOL_VERSION) {
      throw new HelioError(
        'HELIO-4003',
        `The island speaks protocol ${hello.protocol}, the coordinator ${PROTOCOL_VERSION}.`,
        'Install the same version of Heliotrope on both.',
      );
    }
    if (peer.name !== undefined)
      throw new HelioError('HELIO-4004', 'The island said hello twice.', 'Open one connection an island.');
    const before = this.#peers.get(hello.island);
    if (before !== undefined) {
      this.#forget(before, 'the island connected anew');
      before.socket.terminate();
    }
    peer.name = hello.island;
    this.#peers.set(hello.island, peer);
    this.#dispatch({ kind: 'joined', island: hello.island });
  }

  #receiveFrame(peer: Peer, data: Buffer): void {
    const transfer = peer.channel.frame(data);
    if (transfer === undefined) return;
    if (peer.name === undefined || this.#peers.get(peer.name) !== peer) return;
    void this.#contribute(peer, peer.name, transfer);
  }

  /** Takes a contribution only where one was asked for: nothing else may fill memory. */
  async #contribute(peer: Peer, island: string, { content, payload }: Transfer): Promise<void> {
    if (content.kind !== 'contribution')
      throw new HelioError(
        'HELIO-4004',
        `An island sent a transfer of kind ${content.kind}.`,
        'Islands send contributions.',
      );
    const { fragment, version, steps, tokens } = content;
    const known = this.#state.fragments[fragment];
    if (known?.stage.kind !== 'pulling' || !known.stage.asked.includes(island)) return;
    if (!isAdmitted(this.#options.settings, known, version)) return;
    try {
      const parcel = { form: content.form, codec: content.codec, payload };
      await this.#options.aggregation.contribute(fragment, island, parcel);
    } catch (error) {
      return this.#refuse(peer, error);
    }
    if (this.#peers.get(island) === peer)
      this.#dispatch({ kind: 'contributed', island, fragment, version, steps, tokens });
  }

  #refuse(peer: Peer, cause: unknown): void {
    const what = cause instanceof Error ? cause.message : String(cause);
    const error = cause instanceof HelioError ? cause : new HelioError('HELIO-4004', what, 'Report this.');
    peer.channel.send({ kind: 'refused', code: error.code, what: error.what.slice(0, 2_000), remedy: error.remedy });
    peer.socket.close(1008, error.code);
  }

  #forget(peer: Peer, reason: string): void {
    if (peer.name === undefined || this.#peers.get(peer.name) !== peer) return;
    this.#traffic.set(peer.name, this.trafficOf(peer.name));
    this.#peers.delete(peer.name);
    this.#dispatch({ kind: 'left', island: peer.name, reason });
  }

  #dispatch(event: Event): void {
    if (isOver(this.#state.phase)) return;
    const { store, settings, nowMs } = this.#options;
    const now = nowMs();
    if (event.kind !== 'tick' && event.kind !== 'progress' && event.kind !== 'alive') store.append(now, event);
    try {
      const { state, effects } = react(settings, this.#state, event, now);
      this.#state = state;
      for (const effect of effects) this.#effects.push({ effect, state });
      void this.#performAll();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Carries out what was decided, one after the other: what is sent after a merge comes after its result. */
  async #performAll(): Promise<void> {
    if (this.#performing) return;
    this.#performing = true;
    try {
      for (let next = this.#effects.shift(); next !== undefined; next = this.#effects.shift()) {
        // Only what takes time is waited for: all else happens at once, as long as nothing is under way.
        const work = this.#perform(next.effect, next.state);
        if (work !== undefined) await work;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#performing = false;
  }

  /** A failure of our own (a full disk, a bug) ends the run with its cause; nothing goes on half-done. */
  #fail(error: unknown): void {
    this.#effects.length = 0;
    this.#ended.reject(error);
    clearInterval(this.#ticker);
  }

  #perform(effect: Effect, state: RunState): Promise<void> | void {
    const { aggregation, store, onRecord, onSave, onCommit } = this.#options;
    switch (effect.kind) {
      case 'send':
        return this.#peers.get(effect.island)?.channel.send(effect.message);
      case 'send-state':
        return this.#sendState(effect.island, state);
      case 'merge':
        return aggregation.merge(effect.fragment, effect.weights).then((merged) => {
          for (const island of effect.receivers) this.#sendFragment(island, effect.fragment, merged, state);
        });
      case 'disconnect':
        return this.#peers.get(effect.island)?.socket.close(1008, 'lease expired');
      case 'save':
        store.saveCheckpoint(effect.checkpoint, state);
        return onSave(effect.checkpoint);
      case 'commit':
        return onCommit(effect.checkpoint);
      case 'record':
        return onRecord(effect.record, this);
      case 'end':
        store.flush();
        return this.#ended.resolve(effect);
    }
  }

  async #sendState(island: string, state: RunState): Promise<void> {
    const { run, job, dataFolder, settings, preparation, base, aggregation } = this.#options;
    const peer = this.#peers.get(island);
    if (peer === undefined) return;
    peer.channel.send({
      kind: 'welcome',
      protocol: PROTOCOL_VERSION,
      run,
      job,
      dataFolder,
      shard: { index: state.islands[island]!.shard % job.islands, count: job.islands },
      leaseS: settings.leaseMs / 1000,
      restore: state.restore,
    });
    void peer.channel.transfer({ kind: 'preparation' }, new TextEncoder().encode(preparation));
    if (base !== null) void peer.channel.transfer({ kind: 'base' }, base);
    for (const [fragment] of aggregation.fragments.entries()) {
      this.#sendFragment(island, fragment, await aggregation.whole(fragment), state);
    }
  }

  #sendFragment(island: string, fragment: number, { form, codec, payload }: Parcel, state: RunState): void {
    const peer = this.#peers.get(island);
    if (peer === undefined) return;
    if (peer.socket.bufferedAmount > MAX_BUFFERED_BYTES) return peer.socket.terminate();
    const { version, runStep } = state.fragments[fragment]!;
    const steps = stepsUntilDue(this.#options.settings, state, fragment, island);
    const content = { kind: 'merged', fragment, version, runStep, stepsUntilDue: steps, form, codec } as const;
    void peer.channel.transfer(content, payload);
  }
}
