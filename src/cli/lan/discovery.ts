import { isIP } from 'node:net';
import { hostname } from 'node:os';
import multicastDns, { type ResponsePacket } from 'multicast-dns';
import { z } from 'zod';

/** Runs are found on a local network by multicast DNS (RFC 6762, 6763): `_heliotrope._tcp`. */
const SERVICE = '_heliotrope._tcp.local';

/**
 * What a run announces: its name, its addresses, and that it takes codes. Anybody can announce the same, so none of it is trusted: host and joiner
 * prove to each other that they know the code; without a code, an island asks to join.
 */
const textSchema = z.object({
  run: z.string().regex(/^[A-Za-z0-9._-]{1,80}$/),
  codes: z.enum(['yes', 'no']),
  tls: z.enum(['yes', 'no']),
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});

export interface FoundRun {
  readonly run: string;
  readonly takesCodes: boolean;
  readonly secure: boolean;
  readonly fingerprint: string | undefined;
  /** HOST:PORT */
  readonly addresses: readonly string[];
}

type Answer = NonNullable<ResponsePacket['answers']>[number];

export interface Announcement {
  readonly run: string;
  readonly port: number;
  /** Addresses of this machine on which it listens: no others are named. */
  readonly hosts: readonly string[];
  readonly secure: boolean;
  readonly fingerprint: string | null;
}

/** Runs of one sender that are read; further ones are ignored. */
const MAX_FOUND = 64;
const MAX_FOUND_OF_SENDER = 8;
const MAX_ADDRESSES = 8;
/** A packet may be lost. */
const ASK_EVERY_MS = 1_000;

/**
 * Says that a run is there: at once, again a second later (RFC 6762, section 8.3), and whenever somebody asks.
 *
 * @returns takes it back. A network without multicast is no error: nobody finds the run there, and that is all
 */
export function announce(announcement: Announcement): () => Promise<void> {
  const records = recordsOf(announcement);
  const names = new Set(records.map(({ name }) => name.toLowerCase()));
  const mdns = multicastDns();
  const say = (ttl: number, done?: () => void): void => mdns.respond(withTtl(records, ttl), done);
  mdns.on('error', () => {});
  mdns.on('warning', () => {});
  mdns.on('ready', () => say(TTL_S));
  const again = setTimeout(() => say(TTL_S), ASK_EVERY_MS).unref();
  mdns.on('query', ({ questions }) => {
    if ((questions ?? []).some(({ name }) => names.has(name.toLowerCase()))) say(TTL_S);
  });
  return () =>
    new Promise((resolve) => {
      clearTimeout(again);
      say(0, () => mdns.destroy(() => resolve()));
    });
}

/** Two minutes, as RFC 6762, section 10 has it for what goes with a host. */
const TTL_S = 120;

const withTtl = (records: readonly Answer[], ttl: number): Answer[] => records.map((record) => ({ ...record, ttl }));

/** Name, place, text and addresses of a run, for one packet. */
export function recordsOf({ run, port, secure, fingerprint, hosts }: Announcement): readonly Answer[] {
  const name = `${run.replaceAll('.', '-')}.${SERVICE}`;
  const target = `${hostname().replace(/\.local$/, '')}.local`;
  const said = { run, codes: 'yes', tls: secure ? 'yes' : 'no', ...(fingerprint === null ? {} : { fingerprint }) };
  const text = Object.entries(said).map(([key, value]) => Buffer.from(`${key}=${value}`));
  return [
    { type: 'PTR', name: SERVICE, data: name },
    { type: 'SRV', name, data: { port, target } },
    { type: 'TXT', name, data: text },
    ...hosts.flatMap((host): Answer[] => {
      const version = isIP(host);
      return version === 0 ? [] : [{ type: version === 6 ? 'AAAA' : 'A', name: target, data: host }];
    }),
  ];
}

/**
 * Looks for runs for so long, or until the signal.
 *
 * @param onFound told each as it is found: several may have one name, of which one at most is the run that is meant
 */
export function findRuns(
  seconds: number,
  onFound: (found: FoundRun) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  return new Promise((resolve) => {
    const found = new Set<string>();
    const senders = new Map<string, number>();
    const mdns = multicastDns();
    const ask = (): void => mdns.query(SERVICE, 'PTR');
    const done = (): void => {
      signal.removeEventListener('abort', done);
      clearTimeout(timer);
      clearInterval(asking);
      mdns.destroy(() => resolve());
    };
    const timer = setTimeout(done, 1_000 * seconds);
    const asking = setInterval(ask, ASK_EVERY_MS);
    signal.addEventListener('abort', done);
    // A network without multicast is no error: nothing is found there.
    mdns.on('error', () => {});
    mdns.on('warning', () => {});
    mdns.on('ready', ask);
    mdns.on('response', (packet, { address }) => {
      for (const run of runsIn(packet, address)) {
        const key = JSON.stringify(run);
        const count = senders.get(address) ?? 0;
        if (found.has(key) || found.size >= MAX_FOUND || count >= MAX_FOUND_OF_SENDER) continue;
        found.add(key);
        senders.set(address, count + 1);
        onFound(run);
      }
    });
  });
}

/**
 * The runs that a response names, whole: it has name, place, text and addresses in one packet, as ours do.
 *
 * Nothing is put together from several packets, so that nobody can change what another has said.
 *
 * @param sender where it came from, which is the best guess at where the run is
 */
export function runsIn(packet: Pick<ResponsePacket, 'answers' | 'additionals'>, sender: string): readonly FoundRun[] {
  const records = [...(packet.answers ?? []), ...(packet.additionals ?? [])];
  const names = records.flatMap((record) => (record.type === 'PTR' && record.name === SERVICE ? [record.data] : []));
  return [...new Set(names)].flatMap((name) => {
    const place = records.find((record) => record.type === 'SRV' && record.name === name);
    const text = records.find((record) => record.type === 'TXT' && record.name === name);
    if (place?.type !== 'SRV' || text?.type !== 'TXT') return [];
    const { port, target } = place.data;
    const said = textSchema.safeParse(pairsIn(text.data));
    if (!said.success || !Number.isInteger(port) || port < 1) return [];
    const own = records.flatMap((r) => ((r.type === 'A' || r.type === 'AAAA') && r.name === target ? [r.data] : []));
    // An address that is good on one link alone is none.
    const hosts = [...new Set([sender, ...own])].filter((host) => isIP(host) !== 0 && !/^fe80:/i.test(host));
    const { run, codes, tls, fingerprint } = said.data;
    return [
      {
        run,
        takesCodes: codes === 'yes',
        secure: tls === 'yes',
        fingerprint,
        addresses: hosts.slice(0, MAX_ADDRESSES).map((host) => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`),
      },
    ];
  });
}

/** KEY=VALUE strings of a TXT record (RFC 6763, section 6.3). */
function pairsIn(data: unknown): Readonly<Record<string, string>> {
  const strings = (Array.isArray(data) ? data : [data]).map(String);
  return Object.fromEntries(
    strings.flatMap((string) => {
      const at = string.indexOf('=');
      return at > 0 ? [[string.slice(0, at), string.slice(at + 1)]] : [];
    }),
  );
}
