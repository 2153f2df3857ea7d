import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os';

/** What figures were measured on: a ratio without its processor is no figure. */
export interface Machine {
  readonly cpu: string;
  /** What its kernels may use, as far as the system says: avx2, avx512f, amx-tile … */
  readonly vectors: readonly string[];
  readonly threads: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
}

const VECTORS =
  /^(sse4_2|avx|avx2|fma|avx512f|avx512_bf16|avx512_vnni|avx_vnni|amx_tile|amx_bf16|asimd|sve|i8mm|bf16)$/;

export const thisMachine = (): Machine => ({
  cpu: processor(),
  vectors: vectors(),
  threads: availableParallelism(),
  memoryBytes: totalmem(),
  system: `${platform()}-${arch()}`,
  node: process.versions.node,
});

export const describeMachine = ({ cpu, vectors, threads, memoryBytes, system, node }: Machine): string =>
  `${cpu}${vectors.length === 0 ? '' : ` (${vectors.join(' ')})`}, ${threads} threads, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, ${system}, Node ${node}`;

/** With family and model where the name alone does not tell generations apart, as a virtual machine's may not. */
function processor(): string {
  const name = cpus()[0]?.model.trim() ?? 'unknown processor';
  const [family, model] = [field('cpu family'), field('model')];
  return family === undefined || model === undefined ? name : `${name}, family ${family} model ${model}`;
}

const vectors = (): readonly string[] =>
  [...new Set((field('flags') ?? field('Features') ?? '').split(/\s+/))].filter((each) => VECTORS.test(each));

/** Of the first processor in Linux's list; other systems have none. */
function field(name: string): string | undefined {
  try {
    const lines = readFileSync('/proc/cpuinfo', 'utf8').split('\n');
    const line = lines.find((each) => each.split(':')[0]?.trim() === name);
    return line?.slice(line.indexOf(':') + 1).trim();
  } catch {
    return undefined;
  }
}
