import { HelioError } from '../errors.ts';

/** A refusal that is not the last word: whoever is refused may ask again after a while. */
export class RefusedForNow extends HelioError {
  readonly retryAfterS: number;

  constructor(what: string, remedy: string, retryAfterS: number) {
    super('HELIO-4003', what, remedy);
    this.retryAfterS = retryAfterS;
  }
}

/** The coordinator will not have this island; it is banned; no version is known to both. Asking again would change nothing. */
const FINAL = ['HELIO-4003', 'HELIO-4005', 'HELIO-4006'];

/** Whether a refusal is the coordinator's last word. Of others the cause may pass: a damaged message, a limit, a coordinator that is starting. */
export const isFinal = ({
  code,
  retryAfterS,
}: {
  readonly code: string;
  readonly retryAfterS?: number | undefined;
}): boolean => retryAfterS === undefined && FINAL.includes(code);
