import { expect, it } from 'vitest';
import { parseMode, withMode } from '../../../src/cli/provide/mode.ts';
import { parseSite } from '../../../src/energy/site/site-file.ts';

const SITE = `# Mine.
location: { latitudeDeg: 48, longitudeDeg: 7.85 }   # the attic
solar: { arrays: [{ peakW: 8000, tiltDeg: 35, azimuthDeg: 180 }] }
`;

it.each([
  ['off', 'off'],
  ['sun-only', 'sun'],
  ['sun-battery', 'sun-and-battery'],
  ['Always', 'always'],
  // As site.yaml says them.
  ['sun', 'sun'],
  ['sun-and-battery', 'sun-and-battery'],
])('the mode %s', (text, mode) => expect(parseMode('--mode', text)).toBe(mode));

it.each(['green', '', 'toString', 'sun only'])('%j is no mode, and the four are named', (text) =>
  expect(() => parseMode('--mode', text)).toThrow(/is no mode\. Give one of: off, sun-only, sun-battery, always\./),
);

it.each([
  ['a block', `${SITE}policy:\n  mode: sun   # in summer\n  idleOnly: true\n`],
  ['a line', `${SITE}policy: { idleOnly: true, mode: 'sun' } # in summer\n`],
])('changes nothing but the mode of a file: %s', (_, source) => {
  const changed = withMode(source, 'always');
  expect(changed).toBe(source.replace(/'?sun'?(?=( {3}#| \}))/, 'always'));
  expect(parseSite(changed, 'site.yaml').policy).toMatchObject({ mode: 'always', idleOnly: true });
});

it.each([
  ['a policy without a mode', `${SITE}policy: { idleOnly: true } # mine\n`],
  ['no policy', SITE],
  ['an empty policy', `${SITE}policy: {}\n`],
])('adds the mode where there is none: %s', (_, source) => {
  const changed = withMode(source, 'off');
  const before = parseSite(source, 'site.yaml');
  expect(parseSite(changed, 'site.yaml')).toEqual({ ...before, policy: { ...before.policy, mode: 'off' } });
  expect(changed).toContain('# Mine.');
  expect(changed).toContain('# the attic');
});
