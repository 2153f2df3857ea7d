/**
 * The one error type that a user of Heliotrope is meant to read.
 *
 * Its message has three parts (STYLE, rule 5): what was wrong, with what value and where, and what to do.
 * The code is stable and searchable; the exit code says to a script what kind of failure it was.
 */
export class HelioError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;

  /**
   * @param code stable identifier, one of {@link ERROR_CODES}
   * @param what what was wrong: file, line or key, and the offending value
   * @param remedy what the reader can do about it
   */
  constructor(code: ErrorCode, what: string, remedy: string, options?: ErrorOptions) {
    super(`${what} ${remedy}`, options);
    this.name = 'HelioError';
    this.code = code;
    this.remedy = remedy;
    this.what = what;
  }

  readonly what: string;

  get exitCode(): number {
    return ERROR_CODES[this.code];
  }

  toJSON(): { code: ErrorCode; what: string; remedy: string } {
    return { code: this.code, what: this.what, remedy: this.remedy };
  }
}

/** Every error code, with the exit status it leads to: 1 failed, 2 usage, 3 unreachable, 4 refused, 5 timed out. */
export const ERROR_CODES = {
  'HELIO-1001': 2, // run file: syntax, unknown key, wrong type or range
  'HELIO-1002': 2, // model: sizes that do not fit together
  'HELIO-1003': 2, // corpus: missing, empty, unreadable or too short
  'HELIO-1004': 2, // tokenizer: foreign file, or more tokens asked than the corpus supports
  'HELIO-1005': 2, // run name or folder: not found, not a run
  'HELIO-1006': 2, // command line: unknown option or value
  'HELIO-1007': 2, // data: the run names files that the island's owner has not opened to it
  'HELIO-1008': 2, // sun: a place, time, panels or inverter that cannot be, or kW where W was meant
  'HELIO-1009': 2, // sun: weather that cannot be, or too little of it
  'HELIO-1010': 2, // home: a battery, reserve, limit or power that cannot be
  'HELIO-1011': 2, // site file: syntax, unknown key, a value that cannot be, or settings that contradict
  'HELIO-1012': 2, // energy accounting: a meter that goes backwards or jumps, a record or factor that cannot be
  'HELIO-2001': 1, // engine: graph or session could not be built or run
  'HELIO-2002': 1, // training diverged (loss or gradient is not finite)
  'HELIO-2003': 2, // engine: a device or precision that this machine does not have
  'HELIO-3001': 1, // checkpoint or weights: truncated, foreign or inconsistent
  'HELIO-3002': 1, // file system: no space left
  'HELIO-3003': 4, // file system: no permission
  'HELIO-3004': 1, // file system: other failure
  'HELIO-3005': 1, // store: held by another process
  'HELIO-3006': 3, // store: a database or blob store that cannot be reached or used
  'HELIO-4001': 1, // port in use
  'HELIO-4002': 3, // coordinator unreachable or connection lost
  'HELIO-4003': 4, // protocol: peer refused us, or speaks another version
  'HELIO-4004': 4, // protocol: malformed or oversized message
  'HELIO-4005': 4, // protocol: an island that was banned from the run
  'HELIO-4006': 4, // protocol: two versions of Heliotrope that have none in common
  'HELIO-4007': 4, // protocol: a contribution that was left out; its island goes on
  'HELIO-4008': 4, // protocol: a contribution that is forged, or holds numbers that are not finite
  'HELIO-5001': 5, // no island came, or none answered in time
  'HELIO-5002': 1, // an island could not be kept running
  'HELIO-6101': 3, // meter: cannot be reached, or its connection was lost
  'HELIO-6102': 1, // meter: it answered, but with no value that can be used
  'HELIO-6103': 2, // meter template: syntax, unknown key, wrong type, a setting that is missing
  'HELIO-6104': 4, // meter: it refused, as name, password or token are wrong or missing
  'HELIO-6105': 5, // meter: no answer in time
  'HELIO-6201': 3, // grid or weather service: cannot be reached, late or busy
  'HELIO-6202': 1, // grid or weather service: it answered, but with nothing that can be used
  'HELIO-6203': 2, // grid or weather: a file, zone or token that is wrong or missing
  'HELIO-6204': 4, // grid or weather service: it refused, as the token is wrong or may not ask this
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * Turns a system error of the file system or network into a {@link HelioError} that names the path and a remedy.
 *
 * @param doing what was being done, as a sentence fragment: "write the checkpoint runs/a/model.safetensors"
 */
export function explainSystemError(error: unknown, doing: string): HelioError {
  if (error instanceof HelioError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  const detail = error instanceof Error ? error.message : String(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new HelioError(
        'HELIO-3002',
        `No space left on the disk to ${doing}.`,
        'Free some space and run the same command again; nothing was half-written.',
        { cause: error },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new HelioError(
        'HELIO-3003',
        `No permission to ${doing} (${code}).`,
        'Change its owner or mode, or name another folder.',
        { cause: error },
      );
    case 'EADDRINUSE':
      return new HelioError(
        'HELIO-4001',
        `The port is in use: could not ${doing}.`,
        'Name another with --port, or --port 0 for any free one.',
        { cause: error },
      );
    default:
      return new HelioError(
        'HELIO-3004',
        `Could not ${doing}: ${detail}.`,
        'Mend that and run the same command again.',
        { cause: error },
      );
  }
}
