#!/usr/bin/env node
/** `heliotrope`: runs the built program, or the source where nothing is built, on Node 24. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { become } from './become.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const built = path.join(root, 'dist', 'cli', 'main.js');
const entry = existsSync(built) ? built : path.join(root, 'src', 'cli', 'main.ts');

function node24() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  try {
    const folder = path.dirname(createRequire(import.meta.url).resolve('node/package.json'));
    const binary = path.join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (existsSync(binary)) return binary;
  } catch {
    // Said below.
  }
  process.stderr.write(
    'error: Node 24 is needed. Install the package `node@24` beside heliotrope, or Node 24 itself.\n',
  );
  process.exit(1);
}

become(node24(), ['--disable-warning=ExperimentalWarning', entry, ...process.argv.slice(2)], process.env);
