import { expect, it } from 'vitest';
import { tlsChoice } from '../../src/cli/commands/serve.ts';

it('what others can reach is encrypted, unless the host says otherwise or brings a certificate', () => {
  expect(tlsChoice({ host: '0.0.0.0' })).toBe('self-signed');
  expect(tlsChoice({ host: '192.168.1.2' })).toBe('self-signed');
  expect(tlsChoice({ host: '127.0.0.1' })).toBeUndefined();
  expect(tlsChoice({ host: '::1' })).toBeUndefined();
  expect(tlsChoice({ host: '127.0.0.1', tls: 'self-signed' })).toBe('self-signed');
  expect(tlsChoice({ host: '0.0.0.0', tls: 'none' })).toBeUndefined();
  expect(tlsChoice({ host: '0.0.0.0', tlsCert: 'cert.pem' })).toBeUndefined();
});
