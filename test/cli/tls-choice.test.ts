import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { placeOf, tlsChoice } from '../../src/cli/commands/serve.ts';

it('what others can reach is encrypted, unless the host says otherwise or brings a certificate', () => {
  expect(tlsChoice({ host: '0.0.0.0' })).toBe('self-signed');
  expect(tlsChoice({ host: '192.168.1.2' })).toBe('self-signed');
  expect(tlsChoice({ host: '127.0.0.1' })).toBeUndefined();
  expect(tlsChoice({ host: '::1' })).toBeUndefined();
  expect(tlsChoice({ host: '127.0.0.1', tls: 'self-signed' })).toBe('self-signed');
  expect(tlsChoice({ host: '0.0.0.0', tls: 'none' })).toBeUndefined();
  expect(tlsChoice({ host: '0.0.0.0', tlsCert: 'cert.pem' })).toBeUndefined();
});

it('a run that goes on listens where it did, as its islands look for it there', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heliotrope-place-'));
  const source = { kind: 'resume', folder } as const;
  const served = (secure: boolean) =>
    writeFileSync(
      path.join(folder, 'served.json'),
      JSON.stringify({ listens: { host: '0.0.0.0', port: 9_001 }, secure }),
    );
  try {
    expect(placeOf({}, source)).toMatchObject({ host: '127.0.0.1', port: 7_420 });
    served(true);
    expect(placeOf({}, source)).toMatchObject({ host: '0.0.0.0', port: 9_001, tls: 'self-signed' });
    expect(placeOf({ port: 7 }, source)).toMatchObject({ host: '0.0.0.0', port: 7, tls: 'self-signed' });
    expect(placeOf({ tlsCert: 'a.pem' }, source)).toMatchObject({ host: '0.0.0.0', tls: undefined, tlsCert: 'a.pem' });
    served(false);
    expect(placeOf({}, source)).toMatchObject({ host: '0.0.0.0', port: 9_001, tls: 'none' });
    expect(placeOf({ host: '::' }, source)).toMatchObject({ host: '::', port: 9_001, tls: undefined });
    expect(placeOf({}, { kind: 'file', file: 'run.yaml', runs: folder })).toMatchObject({
      host: '127.0.0.1',
      port: 7_420,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
