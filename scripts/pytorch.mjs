/**
 * Installs PyTorch, transformers and PEFT from PyPI into a folder of their own, `.heliotrope/python`: the other side of
 * `npm run bench engine`, and an independent reader of the models that are saved here. It takes some gigabytes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const folder = path.resolve(import.meta.dirname, '../.heliotrope/python');
const run = (command, args) => {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (status === 0) return;
  process.stderr.write(
    `error: ${command} ${args.join(' ')} failed${error === undefined ? '' : `: ${error.message}`}. It needs Python 3.9 or newer with venv and pip, and a connection to PyPI.\n`,
  );
  process.exit(1);
};

const python = path.join(folder, 'bin', 'python');
if (!existsSync(python)) run('python3', ['-m', 'venv', folder]);
run(python, ['-m', 'pip', 'install', '--quiet', 'torch', 'transformers', 'peft', 'numpy']);
process.stdout.write(`PyTorch is in ${folder}\n`);
