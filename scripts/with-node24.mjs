/**
 * Runs a script of this project on Node 24, installing what is missing first. Any Node from 20 on can run this
 * file: the `node` package of npm brings the right one (docs/decisions/0003-node-24.md).
 *
 * Usage: node scripts/with-node24.mjs SCRIPT [ARGUMENT…]
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { become } from '../bin/become.mjs';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
const modules = path.join(root, 'node_modules');
const stamp = path.join(modules, '.heliotrope-installed');

/** Dependencies are installed when there are none, or when the lock file is another than the one they came from. */
function install() {
  const lock = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  process.stderr.write('Installing what is missing (once, about a minute) …\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status } = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel', 'error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  if (status !== 0) {
    process.stderr.write(
      'error: npm ci failed; see above. Check the connection to the npm registry and run this again.\n',
    );
    process.exit(1);
  }
  writeFileSync(stamp, lock);
}

/** The Node of the `node` package; this one where it is new enough and that one is not there. */
function node24() {
  const packaged = path.join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(packaged)) return packaged;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  process.stderr.write(
    'error: Node 24 is needed and the package `node` did not bring it. Delete node_modules and run this again.\n',
  );
  process.exit(1);
}

install();
become(node24(), ['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)], {
  ...process.env,
  PATH: `${path.join(modules, '.bin')}${path.delimiter}${process.env.PATH}`,
});
