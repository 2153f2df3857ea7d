/**
 * Chromium for the browser tests: finds it, and installs Debian's where it is missing and that is allowed.
 *
 * Usage: node scripts/chromium.mjs     exit status 0 when there is one, 1 when there is none and none could be installed
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

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

function install() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return;
  process.stdout.write('Installing Chromium for the browser tests …\n');
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    const { status } = spawnSync('apt-get', ['-qq', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (status !== 0) return;
  }
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  if (findChromium() === undefined) install();
  const found = findChromium();
  process.stdout.write(
    found === undefined
      ? 'No Chromium: the browser tests are skipped. Install one, or name it in HELIOTROPE_CHROMIUM.\n'
      : `Chromium: ${found}\n`,
  );
  process.exitCode = found === undefined ? 1 : 0;
}
