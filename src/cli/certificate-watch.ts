import { HelioError } from '../errors.ts';
import { readPair } from './tls.ts';

/** Certificates are renewed every few weeks, by another program. */
const LOOK_MS = 10_000;

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Checks a certificate's files now and then, and uses a renewed one: invitations stay valid, as an authority signed both. An unusable certificate is
 * reported, and the old one stays in use; not at once, as certificate and key are not written at the same moment.
 *
 * @param inUse what is served with now
 * @returns ends the looking
 */
export function watchCertificate(
  files: { readonly cert: string; readonly key: string },
  inUse: Pair,
  handlers: { readonly use: (pair: Pair) => void; readonly say: (sentence: string) => void },
  everyMs = LOOK_MS,
): () => void {
  let now = inUse;
  let [trouble, said]: [string | undefined, string | undefined] = [undefined, undefined];
  const look = (): void => {
    try {
      const pair = readPair(files.cert, files.key);
      [trouble, said] = [undefined, undefined];
      if (pair.cert === now.cert && pair.key === now.key) return;
      handlers.use(pair);
      now = pair;
      handlers.say(`the certificate in ${files.cert} is a new one: connections from now on see it`);
    } catch (error) {
      const what = error instanceof HelioError ? error.what : String(error);
      if (trouble === what && said !== what) {
        said = what;
        handlers.say(`${what} The certificate of before stays in use.`);
      }
      trouble = what;
    }
  };
  const timer = setInterval(look, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
