import { spawnSync } from 'node:child_process';

/** Installs a package of Debian's archive where that is allowed: on Linux, as root. What it cannot install stays missing. */
export function installPackage(name, purpose) {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return;
  process.stdout.write(`Installing ${name} for ${purpose} …\n`);
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', name]]) {
    const { status } = spawnSync('apt-get', ['-qq', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (status !== 0) return;
  }
}
