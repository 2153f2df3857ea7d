import { readFileSync } from 'node:fs';
import { type ErrorCode, HelioError } from '../errors.ts';

/** What a file that a person writes is called where it cannot be read. */
export interface SourceKind {
  readonly code: ErrorCode;
  /** Like: run file. */
  readonly what: string;
  /** Where one is found, for whoever named a file that is not there: one sentence. */
  readonly where: string;
}

/** @throws HelioError with the kind's code when the file is not there, or may not be read */
export function readSource(file: string, { code, what, where }: SourceKind): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code;
    const remedy = why === 'ENOENT' ? where : why === 'EISDIR' ? 'Name a file in it.' : 'Check its permissions.';
    throw new HelioError(code, `The ${what} ${file} cannot be read (${why}).`, remedy, { cause });
  }
}
