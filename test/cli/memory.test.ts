import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';

it('--dry-run tells the memory of a large vocabulary’s training and evaluation within 10 %', () => {
  const bytes = (what: string): number =>
    Number(
      execFileSync(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, 'memory.ts'), what],
        { encoding: 'utf8' },
      ),
    );
  const [told, had] = [bytes('plan'), bytes('train')];
  expect(told / had).toBeGreaterThan(0.9);
  expect(told / had).toBeLessThan(1.1);
});
