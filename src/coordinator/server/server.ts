import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { WebSocket } from 'ws';
import { HelioError } from '../../errors.ts';
import type { Reception } from '../../protocol/frame.ts';
import type { IslandMessage } from '../../protocol/messages.ts';
import { RefusedForNow } from '../../protocol/refusal.ts';
import type { Reason } from '../../protocol/standing.ts';
import { backIn } from '../absence.ts';
import type { Effect } from '../events.ts';
import { Leases, silence } from '../leases.ts';
import { islandOf } from '../roster.ts';
import type { RunEnergy } from '../run-energy.ts';
import type { RunState } from '../state.ts';
import { ContributionReceiver } from './contribution-receiver.ts';
import { type EffectContext, EffectRunner } from './effect-runner.ts';
import { EnergyNow } from './energy-now.ts';
import { EnergyPlanner } from './energy-planner.ts';
import { faultOf, unexplained } from './fault.ts';
import { Handshake, OWN_VERSIONS } from './handshake.ts';
import { httpSide } from './http.ts';
import { InterruptedTransfers } from './interrupted-transfers.ts';
import { lastWords } from './last-words.ts';
import { messageLimit } from './limits.ts';
import { Listener } from './listener.ts';
import { Machines } from './machines.ts';
import { RunMetrics } from './metrics.ts';
import type { ServerOptions } from './options.ts';
import { isReceiving, isStuck, type Machine, newPeer, type Peer } from './peer.ts';
import { readMessage } from './read-message.ts';
import { readiness } from './readiness.ts';
import { Receipts } from './receipts.ts';
import { saveState } from './save-state.ts';
import { StateMachine } from './state-machine.ts';
import { type Traffic, TrafficCounter } from './traffic-counter.ts';

export type Ending = Effect & { readonly kind: 'end' };

/** A socket that has not said hello is closed after this. */
const HELLO_MS = 10_000;
/** RFC 6455's registry: the service is restarting. */
const SERVICE_RESTART = 1012;

/** Carries events from sockets to the pure machine, and its effects back. */
export class RunServer {
  readonly #options: ServerOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #traffic: TrafficCounter;
  readonly #machines: Machines;
  readonly #energy: EnergyNow;
  readonly #listener: Listener;
  readonly #handshake: Handshake;
  readonly #ended = Promise.withResolvers<Ending>();
  readonly #machine: StateMachine;
  readonly #effectRunner: EffectRunner;
  readonly #receiver: ContributionReceiver;
  readonly #receipts: Receipts;
  readonly #interrupted = new InterruptedTransfers();
  #hellos = 0;
  readonly #leases: Leases;
  readonly #metrics: RunMetrics;
  /** Where the run file asks for a plan. */
  readonly #planner: EnergyPlanner | undefined;

  private constructor(options: ServerOptions, listener: Listener) {
    this.#options = options;
    this.#traffic = new TrafficCounter(
      (island) => this.#peers.get(island)?.channel,
      () => this.#peers.keys(),
      (island) => this.#isIsland(island),
      options.earlierTraffic,
    );
    this.#energy = new EnergyNow(options);
    this.#machines = new Machines(options.earlierMachines, (island) => this.#isIsland(island));
    this.#leases = new Leases(options.settings.leaseMs);
    this.#listener = listener;
    this.#metrics = new RunMetrics(options.run, () => ({
      state: this.#machine.state,
      connections: listener.clients.size,
      strangers: listener.guard.strangers,
      traffic: () => this.#traffic.all(),
      energy: () => this.energy,
    }));
    const context: EffectContext = {
      peer: (island) => this.#peers.get(island),
      record: (record) => {
        this.#planner?.saw(record, options.settings.outer.fragments);
        options.onRecord(record, (island) => this.#traffic.of(island));
      },
      logProgress: () => this.#machine.logProgress(options.nowMs()),
      ended: (effect) => this.#ended.resolve(effect),
      failed: (error) => this.#fail(error),
      unsent: (peer, error) => {
        this.#fault(error, `what ${peer.name} is sent`);
        peer.socket.terminate();
      },
    };
    this.#planner = EnergyPlanner.of(options, {
      state: () => this.#machine.state,
      record: context.record,
      tell: (island, plan) => {
        const peer = this.#peers.get(island);
        if (peer?.stage === 'joined' && peer.capabilities.includes('plan')) peer.channel.send({ kind: 'plan', plan });
      },
    });
    this.#receipts = new Receipts(options);
    this.#effectRunner = new EffectRunner(options, context, this.#metrics, this.#receipts);
    this.#receiver = new ContributionReceiver(options, this.#effectRunner, this.#receipts, {
      state: () => this.#machine.state,
      take: (peer, event) => {
        if (this.#peers.get(event.island) === peer) this.#machine.take(event);
      },
    });
    const { run, settings, version, adminToken } = options;
    const app = httpSide({
      version,
      run,
      steps: settings.steps,
      adminToken,
      state: () => this.#machine.state,
      metrics: this.#metrics,
      joinRequests: () => this.#handshake.joinRequests,
      answerJoinRequest: (island, letIn, key) => this.answerJoinRequest(island, letIn, key),
      isHost: (socket) => listener.guard.letIn(socket),
      ready: readiness(options),
      settings,
      energy: () => this.energy,
      factors: options.job.energy,
      host: {
        state: () => this.#machine.state,
        revoke: (invitation, islands) => this.#machine.take({ kind: 'revoked', invitation, islands }),
        receipts: (island) => options.store.receipts(island),
      },
      codes: options.codes,
      plan: () => this.#planner?.view,
    });
    this.#handshake = new Handshake(options, {
      state: () => this.#machine.state,
      arrives: (peer, leaseMs) => this.#arrives(peer, leaseMs),
      isThere: (peer) => peer.name !== undefined && this.#peers.get(peer.name) === peer,
      take: (event) => this.#machine.take(event),
      waits: (peer, forMs) => listener.guard.waits(peer.wire, forMs),
      mayAsk: ({ address }) => listener.guard.mayAsk(address),
      refuse: (peer, error) => this.#refuse(peer, error),
      failed: (error) => this.#machine.suspended || this.#fail(error),
    });
    this.#machine = new StateMachine(options, {
      perform: ({ effects, ...rest }) =>
        this.#effectRunner.add(effects.map((effect) => ({ effect, ...rest, newestPeer: this.#hellos }))),
      failed: (error) => this.#fail(error),
      beforeTick: () => {
        listener.tick();
        this.#planner?.tick();
        this.#expire();
      },
    });
    const answer = getRequestListener(app.fetch, { overrideGlobalObjects: false });
    listener.begin({
      request: async (request, response) => void (await answer(request, response)),
      socket: (socket, wire, address) => this.#accept(socket, wire, address),
      turnedAway: (why) => this.#metrics.turnedAway.inc({ why }),
      fault: (error, place) => this.#fault(error, place),
    });
  }

  /** @throws HelioError HELIO-4001 when the port is in use */
  static async start(options: ServerOptions): Promise<RunServer> {
    const { host, port, tls, nowMs, connectionLimits, members, onMembers } = options;
    const known = { hosts: options.hosts ?? [], origins: options.origins ?? [] };
    const server = new RunServer(
      options,
      await Listener.start({ host, port, tls, known, nowMs, limits: connectionLimits, members, onMembers }),
    );
    if (options.recoveredMs !== undefined) server.#machine.take({ kind: 'recovered', trainedMs: options.recoveredMs });
    return server;
  }

  /** The port that it listens on. */
  get port(): number {
    return this.#listener.port;
  }

  /** New connections see this certificate; those that are open go on. */
  useCertificate(tls: NonNullable<ServerOptions['tls']>): void {
    this.#listener.useCertificate(tls);
  }

  get state(): RunState {
    return this.#machine.state;
  }

  /** Resolves when the run is over. */
  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  requestStop(): void {
    this.#machine.take({ kind: 'stop-requested' });
  }

  /** Bytes exchanged with each island over all its connections. */
  get traffic(): ReadonlyMap<string, Traffic> {
    return this.#traffic.byIsland();
  }

  /** What the run has used and emitted so far. */
  get energy(): RunEnergy {
    return this.#energy.of(this.#machine.state, this.#traffic.all());
  }

  /** What each island computes with, or computed with when it was last there. */
  get machines(): ReadonlyMap<string, Machine> {
    return this.#machines.with(this.#peers.values());
  }

  readonly #isIsland = (name: string): boolean => islandOf(this.#machine.state.islands, name) !== undefined;

  /** Ends this process's part in good order: what was decided is done and committed, and islands look for the next one. */
  async suspend(): Promise<void> {
    await this.#finishWork();
    await saveState(this.#options, this.#machine);
    await this.#options.store.flush();
    await this.close(SERVICE_RESTART);
  }

  /** When the run is over: islands that keep energy books hand in what they have used since the last quarter of an hour. */
  async lastWords(): Promise<void> {
    const keepsBooks = (name: string): boolean => islandOf(this.#machine.state.islands, name)?.energy !== undefined;
    await lastWords(() => [...this.#peers.keys()].some(keepsBooks));
    this.#machine.logProgress(this.#options.nowMs());
    await this.#options.store.flush();
  }

  /** Stops deciding, and carries out what was decided. */
  async #finishWork(): Promise<void> {
    this.#machine.suspend();
    await this.#effectRunner.settled();
    await this.#receipts.settled();
  }

  async close(code = 1000): Promise<void> {
    await this.#finishWork();
    this.#machine.stop();
    await this.#listener.close(code);
  }

  /**
   * Lets an island in that asks to join, or not.
   *
   * @param key the beginning of its key, where several ask under one name
   * @returns whether there was one
   * @throws HelioError HELIO-4003 when the name alone does not say which
   */
  answerJoinRequest(island: string, letIn: boolean, key?: string): boolean {
    return this.#handshake.answer(island, letIn, key);
  }

  #accept(socket: WebSocket, wire: Socket, address: string): void {
    const { nowMs } = this.#options;
    const nonce = randomBytes(24).toString('base64url');
    const reception: Reception = {
      most: (content) => this.#receiver.mostBytes(content),
      keeps: (content) => this.#receiver.begins(peer, content),
    };
    const peer = newPeer(socket, wire, address, { nonce, reception, nowMs: nowMs() });
    const timer = setTimeout(() => socket.close(1008, 'no hello'), HELLO_MS);
    peer.channel.send({ kind: 'challenge', ...OWN_VERSIONS, nonce, run: this.#options.run });
    socket.on('message', (data: Buffer, isBinary) => {
      // Messages on a refused connection are ignored.
      if (peer.stage === 'refused') return;
      try {
        if (isBinary) this.#receiveFrame(peer, data);
        else this.#receive(peer, readMessage(peer, data, nowMs()));
        if (peer.stage !== 'stranger') clearTimeout(timer);
      } catch (error) {
        this.#refuse(peer, error);
      }
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', (code, reason) => {
      clearTimeout(timer);
      this.#handshake.forget(peer);
      this.#forget(peer, `connection closed (${code}${reason.length > 0 ? `, ${reason}` : ''})`, 'connection-lost');
    });
  }

  #receive(peer: Peer, message: IslandMessage | undefined): void {
    if (message === undefined) return;
    if (message.kind === 'hello') return this.#handshake.greet(peer, message);
    if (message.kind === 'alive') return this.#answerAlive(peer);
    const island = peer.name;
    if (island === undefined)
      throw new HelioError('HELIO-4004', `The first message was ${message.kind}.`, 'Say hello first.');
    if (this.#peers.get(island) !== peer) return;
    this.#heard(peer, island);
    switch (message.kind) {
      case 'resume':
        return this.#handshake.resume(peer, island, message);
      case 'standing': {
        const { kind, due, ...told } = message;
        return this.#machine.take({ kind, island, standing: told, due, ...backIn(told, this.#options.nowS()) });
      }
      case 'forecast':
        return this.#planner?.hear(island, message.forecast);
      case 'fetch':
        return void this.#effectRunner.fetch(peer, message.hash).catch((error: unknown) => this.#refuse(peer, error));
      case 'progress': {
        const { kind, ...progress } = message;
        return this.#machine.take({ kind, island, progress });
      }
      case 'energy': {
        const host = peer.machine?.host ?? 'process';
        return this.#machine.take({ ...message, island, host, atS: this.#options.nowS() });
      }
      case 'leaving':
        this.#machine.take({ kind: 'left', island, reason: message.reason });
        return peer.socket.close(1000);
      default:
        return this.#machine.take({ ...message, island });
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

  /** An island was let in. An earlier connection under the same name is replaced. */
  #arrives(peer: Peer, leaseMs: number): void {
    const name = peer.name!;
    const before = this.#peers.get(name);
    if (before !== undefined) {
      this.#forget(before, 'the island connected anew', 'connected-again');
      before.socket.terminate();
    }
    const nowMs = this.#options.nowMs();
    this.#listener.guard.letIn(peer.wire);
    peer.limit = messageLimit(nowMs);
    peer.channel.resumeFrom(this.#interrupted.take(name));
    peer.number = ++this.#hellos;
    this.#peers.set(name, peer);
    this.#leases.seen(name, nowMs, leaseMs);
  }

  #receiveFrame(peer: Peer, data: Buffer): void {
    // Whoever has not been let in cannot make us keep anything.
    if (peer.name === undefined)
      throw new HelioError('HELIO-4004', 'The first message was a frame.', 'Say hello first.');
    if (peer.stage !== 'joined')
      throw new HelioError('HELIO-4004', 'A frame came before what the island has.', 'Say what it has first.');
    if (this.#peers.get(peer.name) !== peer) return;
    // Every piece is a sign of life: over a thin link heartbeats wait behind what is being sent.
    this.#heard(peer, peer.name);
    const transfer = peer.channel.frame(data);
    const island = peer.name;
    transfer?.then((whole) => this.#receiver.take(peer, island, whole)).catch((error) => this.#refuse(peer, error));
  }

  /** Says why, and closes. An offence of a member of the run is counted against it (`fault.ts`). */
  #refuse(peer: Peer, cause: unknown): void {
    if (peer.stage === 'refused') return;
    const fault = faultOf(cause, peer.isOtherVersion);
    if (fault === 'ours' || fault === 'disk') return this.#machine.suspended ? undefined : this.#fail(cause);
    if (peer.name === undefined) this.#listener.guard.refused(peer.address);
    peer.stage = 'refused';
    const error = fault === 'bug' ? unexplained(cause) : (cause as HelioError);
    if (fault === 'bug') this.#fault(cause, `what ${peer.name ?? 'a stranger'} sent`);
    this.#metrics.refusals.inc({ code: error.code });
    const { code, what, remedy } = error;
    const again = error instanceof RefusedForNow ? { retryAfterS: error.retryAfterS } : {};
    peer.channel.send({ kind: 'refused', code, what: what.slice(0, 2_000), remedy, ...again });
    if (fault === 'offence' && peer.name !== undefined && this.#peers.get(peer.name) === peer)
      this.#machine.take({ kind: 'offended', island: peer.name, reason: error.what.slice(0, 500) });
    peer.socket.close(1008, error.code);
  }

  #forget(peer: Peer, reason: string, because: Reason): void {
    if (peer.name === undefined || this.#peers.get(peer.name) !== peer) return;
    this.#traffic.keep(peer.name);
    this.#machines.keep(peer);
    this.#interrupted.keep(peer.name, peer.channel.beginnings);
    this.#peers.delete(peer.name);
    this.#leases.end(peer.name);
    this.#machine.take({ kind: 'left', island: peer.name, reason, because });
  }

  /** Whoever was silent for too long is gone, connected or not. */
  #expire(): void {
    const nowMs = this.#options.nowMs();
    for (const peer of this.#peers.values()) {
      if (!isStuck(peer, nowMs)) continue;
      this.#forget(peer, 'it did not take what it was sent', 'connection-lost');
      peer.socket.terminate();
    }
    const isHeard = (island: string): boolean => isReceiving(this.#peers.get(island));
    for (const { island, silentMs } of this.#leases.expire(nowMs, isHeard)) {
      const peer = this.#peers.get(island);
      if (peer !== undefined) this.#forget(peer, silence(silentMs), 'lease-expired');
      peer?.socket.close(1008, 'lease expired');
    }
  }

  /** An error of one connection that nobody foresaw: it is told with its place, and the run goes on. */
  #fault(error: unknown, place: string): void {
    this.#metrics.faults.inc();
    this.#options.onFault?.(error, place);
  }

  /** A failure of our own (a full disk, a bug) ends the run with its cause; nothing goes on half-done. */
  #fail(error: unknown): void {
    this.#effectRunner.drop();
    this.#ended.reject(error);
    this.#machine.stop();
  }
}
