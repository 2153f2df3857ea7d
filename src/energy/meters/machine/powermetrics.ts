/** Apple's `powermetrics`: one sample over half a second. It wants root; `-n` makes sudo say no instead of asking. */
export const POWERMETRICS = ['-n', 'powermetrics', '-n', '1', '-i', '500', '--samplers', 'cpu_power'] as const;
export const POWERMETRICS_REMEDY =
  'Let it run without a password: echo "$USER ALL=(root) NOPASSWD: /usr/bin/powermetrics" | sudo tee /etc/sudoers.d/powermetrics.';

/**
 * @returns W of processor, graphics and neural engine together (of the last sample); undefined where it is not in the text. On Intel Macs it is that of
 * the package.
 */
export function parsePowermetrics(output: string): number | undefined {
  const last = (label: string): number | undefined => {
    const [, value, unit] =
      [...output.matchAll(new RegExp(`^${label}: (\\d+(?:\\.\\d+)?) ?(mW|W)$`, 'gm'))].at(-1) ?? [];
    return value === undefined ? undefined : Number(value) / (unit === 'mW' ? 1_000 : 1);
  };
  const combined =
    last(String.raw`Combined Power \(CPU \+ GPU(?: \+ ANE)?\)`) ??
    last(String.raw`Intel energy model derived package power \(CPUs\+GT\+SA\)`);
  if (combined !== undefined) return combined;
  const parts = [last('CPU Power'), last('GPU Power'), last('ANE Power')].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.reduce((sum, part) => sum + part, 0);
}
