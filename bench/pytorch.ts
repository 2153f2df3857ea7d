import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Where `npm run pytorch` installs it. */
const OWN = path.resolve(import.meta.dirname, '../.heliotrope/python/bin/python');

/** A Python that has PyTorch: HELIOTROPE_PYTHON, our own, or the system's. */
export function findPyTorch(): string | undefined {
  const candidates = [process.env.HELIOTROPE_PYTHON, OWN, '/usr/bin/python3', 'python3', 'python'];
  return candidates.find(
    (python) => python !== undefined && spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0,
  );
}

/** Whether its compiler works here: it needs one for C++. */
export function compiles(python: string): boolean {
  const probe = 'import torch; print(torch.compile(lambda x: (x * 2).sin().sum())(torch.ones(64)).item())';
  return spawnSync(python, ['-c', probe], { stdio: 'ignore' }).status === 0;
}

/** Debian's PyTorch takes whichever BLAS is there; OpenBLAS on OpenMP shares its threads, the pthread build fights them. */
export function blasEnvironment(threads: number): NodeJS.ProcessEnv {
  const folder = ['x86_64', 'aarch64'].map((a) => `/usr/lib/${a}-linux-gnu/openblas-openmp`).find((f) => existsSync(f));
  const library = folder === undefined ? {} : { LD_LIBRARY_PATH: folder };
  return { OMP_NUM_THREADS: String(threads), ...library };
}
