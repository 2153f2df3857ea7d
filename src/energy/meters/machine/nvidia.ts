/** Power of NVIDIA GPUs as `nvidia-smi` tells it. */
export interface Gpu {
  readonly index: number;
  readonly name: string;
  /** W; undefined where this GPU does not say it. */
  readonly powerW: number | undefined;
  /** What it may take at most now, W. */
  readonly limitW: number | undefined;
}

export const NVIDIA_QUERY = [
  '--query-gpu=index,name,power.draw,enforced.power.limit',
  '--format=csv,noheader,nounits',
] as const;

const MOST_GPUS = 64;

/** Lines as `0, NVIDIA GeForce RTX 3090, 118.43, 350.00`; what it does not know is `[N/A]` or `[Not Supported]`. */
export function parseNvidia(output: string): readonly Gpu[] {
  const gpus: Gpu[] = [];
  for (const line of output.split('\n').slice(0, MOST_GPUS)) {
    const match = /^\s*(\d+)\s*,\s*(.+?)\s*,\s*([^,]+?)\s*,\s*([^,]+?)\s*$/.exec(line);
    if (match === null) continue;
    const [, index, name, power, limit] = match;
    gpus.push({ index: Number(index), name: name!, powerW: watts(power!), limitW: watts(limit!) });
  }
  return gpus;
}

const watts = (text: string): number | undefined => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined);
