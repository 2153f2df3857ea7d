/**
 * Every check of the project, one after the other, and one line at the end that counts them all:
 * `N passed, N failed`. A check that is no test runner (lint, types, rooms, schema) counts as one.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const scratch = mkdtempSync(path.join(tmpdir(), 'heliotrope-test-'));
const results = path.join(scratch, 'vitest.json');
const total = { passed: 0, failed: 0, skipped: 0 };

function run(title, command, args) {
  process.stdout.write(`\n— ${title}\n`);
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (error !== undefined) process.stdout.write(`${command} could not be started: ${error.message}\n`);
  return status === 0;
}

function check(title, command, args) {
  total[run(title, command, args) ? 'passed' : 'failed']++;
}

run('Chromium for the browser tests', 'node', ['scripts/chromium.mjs']);
run('PostgreSQL for the tests of the store', 'node', ['scripts/postgres.mjs']);
run('Servers for the tests of meters', 'node', ['scripts/meter-servers.mjs']);
check('lint and format (biome)', 'biome', ['check', '--error-on-warnings', '.']);
check('types (tsc)', 'tsc', ['--noEmit']);
check('dependency rule (dependency-cruiser)', 'depcruise', [
  '--config',
  '.dependency-cruiser.json',
  '--output-type',
  'err',
  'src',
]);
check('published schema is current', 'node', ['scripts/write-schema.ts', '--check']);
check('compiled kernels are current', 'node', ['scripts/build-kernels.mjs', '--check']);
// Fails when a merge was lost or doubled, or a process ended that should not; what it measures is printed, and no check.
check('chaos: processes killed, stopped and cut off (some eight minutes)', 'node', [
  '--disable-warning=ExperimentalWarning',
  'bench/chaos/index.ts',
  '--minutes',
  '0.3',
]);
const passed = run('tests (vitest)', 'vitest', [
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${results}`,
  ...process.argv.slice(2),
]);
try {
  const counted = JSON.parse(readFileSync(results, 'utf8'));
  total.passed += counted.numPassedTests;
  total.failed += counted.numFailedTests;
  total.skipped += counted.numPendingTests + (counted.numTodoTests ?? 0);
  // A file that does not load fails without a test to its name.
  if (!passed && counted.numFailedTests === 0) total.failed += Math.max(1, counted.numFailedTestSuites ?? 0);
} catch {
  total.failed++;
}
rmSync(scratch, { recursive: true, force: true });
process.stdout.write(
  `\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}\n`,
);
process.exitCode = total.failed === 0 ? 0 : 1;
