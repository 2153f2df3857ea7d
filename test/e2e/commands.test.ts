import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/finding.ts';
import type { Plan } from '../../src/cli/plan.ts';
import { ROOT, run, scratch, tinyRun } from './command.ts';

describe('commands beside training', { timeout: 120_000 }, () => {
  const folder = scratch();

  it('train --dry-run says what would happen, and makes nothing', async () => {
    const file = tinyRun(folder, 'plan', {
      model: { architecture: 'gpt2', layers: 2, width: 64, heads: 4 },
      stop: { steps: 105 },
      islands: 9,
    });
    const { status, stdout } = await run(['train', file, '--dry-run', '--json'], folder);
    expect(status).toBe(0);
    const plan = JSON.parse(stdout) as Plan;
    expect(plan).toMatchObject({
      islands: 9,
      parameters: 136_960,
      merges: 11,
      // Half a byte a number and a scale for each 256, up and down.
      bytesPerMerge: 2 * (136_960 / 2 + (4 * 136_960) / 256),
      bytesPerIslandDataParallel: 8 * 136_960 * 105,
    });
    expect(plan.tokens).toBe(105 * 4 * 64 * 9);
    expect(plan.timeS).toBeGreaterThan(0);
    expect(plan.warnings.join(' ')).toMatch(
      /no multiple of outer\.innerSteps 10: the last round has only 5 steps.*9 islands: beyond 8/,
    );
    expect(spawnSync('ls', [path.join(folder, 'runs')]).status).not.toBe(0);
    expect((await run(['train', file, '--dry-run'], folder)).stdout).toContain('warning: ');
  });

  it('doctor finds the CPU provider and measures it', async () => {
    const { status, stdout } = await run(['doctor', '--json'], folder);
    const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
    expect(findings.find((f) => f.name === 'ONNX Runtime')?.found).toContain('cpu');
    expect(findings.filter((f) => /^\d[\d,]* tokens\/s/.test(f.found)).length).toBeGreaterThan(0);
    expect(status).toBe(findings.every((f) => f.ok) ? 0 : 1);
  });

  it('completion completes commands and options in bash', async () => {
    const { stdout } = await run(['completion', 'bash'], folder);
    const complete = (line: string): string =>
      spawnSync(
        'bash',
        [
          '-c',
          `${stdout}\nCOMP_WORDS=(${line} ''); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMP_WORDS[COMP_CWORD]="$1"; _heliotrope; echo "\${COMPREPLY[@]}"`,
          'bash',
          line === 'heliotrope' ? 'tra' : '--res',
        ],
        { encoding: 'utf8', cwd: scratch() },
      ).stdout.trim();
    expect(complete('heliotrope')).toBe('train');
    expect(complete('heliotrope train')).toBe('--resume');
    for (const shell of ['zsh', 'fish', 'powershell'])
      expect((await run(['completion', shell], folder)).stdout).toContain('heliotrope');
    expect((await run(['completion', 'tcsh'], folder)).status).toBe(2);
  });

  it('the installed binary finds its Node and its version', () => {
    const { stdout, status } = spawnSync(path.join(ROOT, 'bin/heliotrope.mjs'), ['--version'], { encoding: 'utf8' });
    expect([status, stdout.trim()]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
  });

  it('runs in an empty folder says how to begin', async () => {
    expect((await run(['runs'], scratch())).stdout).toContain('heliotrope train RUN.yaml');
  });
});
