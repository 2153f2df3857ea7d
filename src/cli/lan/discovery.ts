import { Bonjour, type Service } from 'bonjour-service';
import { z } from 'zod';

/** Runs are found on a local network by multicast DNS (RFC 6762, 6763): `_heliotrope._tcp`. */
const TYPE = 'heliotrope';

/** What a run says of itself. Nothing here is secret, and nothing is believed: the host is asked who may join. */
const textSchema = z.object({
  run: z.string().regex(/^[A-Za-z0-9._-]{1,80}$/),
  code: z.string().max(40),
  tls: z.enum(['yes', 'no']),
  fingerprint: z.string().regex(/^([0-9a-f]{64})?$/),
});

export interface FoundRun {
  readonly run: string;
  readonly code: string;
  readonly secure: boolean;
  readonly fingerprint: string | undefined;
  /** HOST:PORT */
  readonly addresses: readonly string[];
}

export interface Announcement {
  readonly run: string;
  readonly code: string;
  readonly port: number;
  readonly secure: boolean;
  readonly fingerprint: string | null;
}

/** @returns takes it back. A network without multicast is no error: nobody finds the run there, and that is all */
export function announce({ run, code, port, secure, fingerprint }: Announcement): () => Promise<void> {
  const bonjour = new Bonjour({}, () => {});
  const txt = { run, code, tls: secure ? 'yes' : 'no', fingerprint: fingerprint ?? '' };
  const service = bonjour.publish({ name: `${run} ${code}`, type: TYPE, port, txt, probe: false });
  service.on('error', () => {});
  return () =>
    new Promise((resolve) => {
      bonjour.unpublishAll(() => {
        bonjour.destroy();
        resolve();
      });
    });
}

/** Looks for runs. @param until ends the search early when it has what it wants */
export function findRuns(
  seconds: number,
  until: (found: FoundRun) => boolean = () => false,
): Promise<readonly FoundRun[]> {
  return new Promise((resolve) => {
    const found = new Map<string, FoundRun>();
    const bonjour = new Bonjour({}, () => {});
    const done = (): void => {
      clearTimeout(timer);
      browser.stop();
      bonjour.destroy();
      resolve([...found.values()].toSorted((a, b) => (a.run < b.run ? -1 : 1)));
    };
    const timer = setTimeout(done, 1_000 * seconds);
    const browser = bonjour.find({ type: TYPE }, (service) => {
      const run = foundRun(service);
      if (run === undefined) return;
      found.set(run.run, run);
      if (until(run)) done();
    });
  });
}

function foundRun({ txt, port, addresses, referer }: Service): FoundRun | undefined {
  const text = textSchema.safeParse(txt);
  if (!text.success) return undefined;
  const { run, code, tls, fingerprint } = text.data;
  // Where the answer came from is the best guess; an address that is good on one link alone is none.
  const hosts = [...new Set([referer?.address, ...(addresses ?? [])])].filter(
    (address): address is string => address !== undefined && !address.startsWith('fe80:'),
  );
  return {
    run,
    code,
    secure: tls === 'yes',
    fingerprint: fingerprint === '' ? undefined : fingerprint,
    addresses: hosts.map((host) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)),
  };
}
