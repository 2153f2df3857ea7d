/**
 * Chromium for the browser tests: finds it, and installs Debian's where it is missing and that is allowed.
 *
 * Usage: node scripts/chromium.mjs     exit status 0 when there is one, 1 when there is none and none could be installed
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { installPackage } from './debian.mjs';

const PLACES = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Path of an installed Chromium or Chrome; HELIOTROPE_CHROMIUM names another. */
export function findChromium() {
  const onPath = (process.env.PATH ?? '')
    .split(path.delimiter)
    .flatMap((folder) => NAMES.map((name) => path.join(folder, name)));
  return [process.env.HELIOTROPE_CHROMIUM, ...onPath, ...PLACES].find(
    (file) => file !== undefined && file !== '' && existsSync(file),
  );
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  if (findChromium() === undefined) installPackage('chromium', 'the browser tests');
  const found = findChromium();
  process.stdout.write(
    found === undefined
      ? 'No Chromium: the browser tests are skipped. Install one, or name it in HELIOTROPE_CHROMIUM.\n'
      : `Chromium: ${found}\n`,
  );
  process.exitCode = found === undefined ? 1 : 0;
}
