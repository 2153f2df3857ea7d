import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { configure } from '../../src/cli/config.ts';

/** Options as `serve` has them, after the command line, a file and the environment were read. */
function optionsOf(
  argv: readonly string[],
  yaml: string,
  environment: NodeJS.ProcessEnv = {},
): Record<string, unknown> {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'heliotrope-config-')), 'serve.yaml');
  writeFileSync(file, yaml);
  const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];
  const command = new Command('serve')
    .option('--config <file>', '')
    .option('--port <n>', '', Number, 7420)
    .option('--announce <address>', '', collect)
    .option('--continue', '')
    .option('--no-lan', '')
    .parse(['--config', file, ...argv], { from: 'user' });
  configure(command, environment);
  return command.opts();
}

describe('options of a service', () => {
  it('come from the command line, then the environment, then the file, then what is usual', () => {
    expect(optionsOf([], '{}').port).toBe(7420);
    expect(optionsOf([], 'port: 1').port).toBe(1);
    expect(optionsOf([], 'port: 1', { HELIOTROPE_PORT: '2' }).port).toBe(2);
    expect(optionsOf(['--port', '3'], 'port: 1', { HELIOTROPE_PORT: '2' }).port).toBe(3);
  });

  it('may be switched on and off, also those that begin with no', () => {
    expect(optionsOf([], '{}')).toMatchObject({ lan: true });
    expect(optionsOf([], 'no-lan: true\ncontinue: true')).toMatchObject({ lan: false, continue: true });
    expect(optionsOf([], 'no-lan: false\ncontinue: false')).toMatchObject({ lan: true, continue: false });
    expect(optionsOf([], '{}', { HELIOTROPE_NO_LAN: '1' }).lan).toBe(false);
    expect(() => optionsOf([], 'continue: perhaps')).toThrow(/continue is "perhaps".*true or false/);
  });

  it('that may be repeated are lists', () => {
    expect(optionsOf([], 'announce: [a, b]').announce).toEqual(['a', 'b']);
    expect(optionsOf(['--announce', 'c'], 'announce: [a, b]').announce).toEqual(['c']);
  });
});
