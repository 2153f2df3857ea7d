/**
 * Installs llama.cpp, as node-llama-cpp carries it, into a folder of its own, `.heliotrope/llama-cpp`: an independent reader of the GGUF files
 * that are exported here. It takes some hundred megabytes.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

const folder = path.resolve(import.meta.dirname, '../.heliotrope/llama-cpp');
mkdirSync(folder, { recursive: true });
// Its scripts would build llama.cpp anew; what it carries is enough.
const wanted = ['install', '--prefix', folder, '--no-save', '--ignore-scripts', 'node-llama-cpp@3.22.1'];
const { status } = spawnSync('npm', wanted, { stdio: 'inherit', shell: process.platform === 'win32' });
if (status === 0) process.stdout.write(`llama.cpp is in ${folder}\n`);
else process.stderr.write('error: npm could not install node-llama-cpp. It needs a connection to the npm registry.\n');
process.exitCode = status === 0 ? 0 : 1;
