import { randomInt } from 'node:crypto';
import type { Identity } from '../../protocol/identity.ts';
import { hostsOf, inviteTo, newInvitationId, type Served } from '../addresses.ts';
import { announce } from './discovery.ts';
import { newCode } from './join-code.ts';
import { type CodeTried, OpaqueServer } from './opaque-server.ts';

/** A run on its local network: found by multicast DNS, and joined with its code. */
export interface LanHost {
  readonly code: string;
  readonly server: OpaqueServer;
  /** Announces the run. @returns ends the announcement */
  begin(served: Served): () => Promise<void>;
}

/** How long the invitation is good that a code gets: to join with at once, by one island. */
const INVITED_S = 3_600;

export async function lanHost(identity: Identity, onTried: (tried: CodeTried) => void): Promise<LanHost> {
  const code = newCode(randomInt);
  const served = Promise.withResolvers<Served>();
  const invite = async () => {
    const [id, expiresAt] = [newInvitationId(), Math.floor(Date.now() / 1_000) + INVITED_S];
    return { id, link: await inviteTo(await served.promise, identity, { id, uses: 1, expiresAt }) };
  };
  const server = await OpaqueServer.open({ code, invite, nowMs: () => performance.now(), onTried });
  return {
    code,
    server,
    begin(now) {
      served.resolve(now);
      return announce({ ...now, port: now.listens.port, hosts: hostsOf(now.listens.host) });
    },
  };
}
