import { expect, it } from 'vitest';
import { brokenLinks, type Served } from '../../src/cli/addresses.ts';

const served = (secure: boolean, fingerprint: string | null = null): Served => ({
  run: 'r-0',
  addresses: ['192.168.1.2:7420'],
  fingerprint,
  secure,
  listens: { host: '0.0.0.0', port: 7_420 },
});

it.each<[string, Served, Served, RegExp]>([
  ['encrypted where it was not', served(false), served(true, 'aa'), /is encrypted, and was not before/],
  ['not encrypted where it was', served(true, 'aa'), served(false), /is not encrypted, and was before/],
  ['of another certificate', served(true, 'aa'), served(true, 'bb'), /certificate is another/],
  ["of an authority's certificate after one of its own", served(true, 'aa'), served(true), /certificate is another/],
  ["of a certificate of its own after an authority's", served(true), served(true, 'aa'), /certificate is another/],
])('a coordinator that is %s says that links of before are worth nothing, and what to do', (_, before, now, what) => {
  expect(brokenLinks(before, now, 'novels')).toMatch(what);
  expect(brokenLinks(before, now, 'novels')).toMatch(/links of before are worth nothing.*heliotrope invite novels/);
});

it.each<[string, Served | undefined, Served]>([
  ['begins', undefined, served(true, 'aa')],
  ['has the certificate of before', served(true, 'aa'), served(true, 'aa')],
  ["has an authority's certificate, renewed or not", served(true), served(true)],
  ['was never encrypted', served(false), { ...served(false), listens: { host: '127.0.0.1', port: 1 } }],
])('a coordinator that %s says nothing of links', (_, before, now) => {
  expect(brokenLinks(before, now, 'novels')).toBeUndefined();
});
