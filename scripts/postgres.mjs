/**
 * PostgreSQL for the tests of the store: finds it, and installs Debian's where it is missing and that is allowed.
 *
 * Usage: node scripts/postgres.mjs     exit status 0 when there is one, 1 when there is none and none could be installed
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { installPackage } from './debian.mjs';

/** Folder of `initdb` and `postgres`; HELIOTROPE_POSTGRES names another. */
export function findPostgres() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    process.env.HELIOTROPE_POSTGRES,
    ...versions.map((version) => path.join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(path.delimiter),
  ];
  return folders.find((folder) => folder && existsSync(path.join(folder, 'initdb')));
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  if (findPostgres() === undefined) installPackage('postgresql', 'the tests of the store');
  const found = findPostgres();
  process.stdout.write(
    found === undefined
      ? 'No PostgreSQL: its tests are skipped. Install it, or name its programs’ folder in HELIOTROPE_POSTGRES.\n'
      : `PostgreSQL: ${found}\n`,
  );
  process.exitCode = found === undefined ? 1 : 0;
}
