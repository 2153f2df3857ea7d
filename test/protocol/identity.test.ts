import { describe, expect, it } from 'vitest';
import { helloText, identityFromPem, isSignedBy, newIdentity, updateText } from '../../src/protocol/identity.ts';
import { type Invitation, readInvitation, readLink, signInvitation, writeLink } from '../../src/protocol/invitation.ts';

const host = await newIdentity();
const NOW = 1_800_000_000;
const invitation: Invitation = { run: 'r-1', role: 'island', id: 'abc', expiresAt: NOW + 60, uses: 3 };

describe('an identity', () => {
  it('signs what others can check, and is the same after it was kept in a file', async () => {
    const signature = await host.sign('hello');
    const kept = await identityFromPem(host.pem);
    expect(await isSignedBy(host.publicKey, 'hello', signature)).toBe(true);
    expect(await isSignedBy(kept.publicKey, 'hello', signature)).toBe(true);
    expect(await kept.sign('hello')).toBe(signature);
  });

  it('is RFC 8032: the key and signature of section 7.1, test 1', async () => {
    const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex').toString('base64');
    const identity = await identityFromPem(`-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----`);
    const hex = (text: string) => Buffer.from(text, 'base64url').toString('hex');
    expect(hex(identity.publicKey)).toBe('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    expect(hex(await identity.sign(''))).toBe(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
  });

  it('does not vouch for another text, by another key, or with a mangled signature', async () => {
    const signature = await host.sign('hello');
    expect(await isSignedBy(host.publicKey, 'hello!', signature)).toBe(false);
    expect(await isSignedBy((await newIdentity()).publicKey, 'hello', signature)).toBe(false);
    for (const bad of ['', 'x', 'A'.repeat(86), `${signature}A`, signature.slice(1)])
      expect(await isSignedBy(host.publicKey, 'hello', bad)).toBe(false);
    for (const bad of ['', 'A'.repeat(43), '-'.repeat(43)])
      expect(await isSignedBy(bad, 'hello', signature)).toBe(false);
  });

  it('refuses what is no such key', async () => {
    for (const bad of [
      '',
      'x',
      host.pem.replace('MC', 'MD'),
      '-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----',
    ])
      await expect(identityFromPem(bad)).rejects.toThrow();
  });

  it('binds an update to everything about it', () => {
    const update = { fragment: 1, version: 2, round: 3, steps: 4, tokens: 5, form: 'update', codec: 'int4' };
    const text = updateText('r', update, 'aa');
    const others = [
      updateText('s', update, 'aa'),
      updateText('r', update, 'ab'),
      ...Object.keys(update).map((key) => updateText('r', { ...update, [key]: 'other' } as never, 'aa')),
      helloText('n', 'r', 'x'),
    ];
    expect(new Set([text, ...others]).size).toBe(others.length + 1);
  });
});

describe('an invitation', async () => {
  const text = await signInvitation(invitation, host);
  const read = (t: string, run = 'r-1', nowS = NOW) => readInvitation(t, host.publicKey, run, nowS);

  it('is read by its own run, until it expires', async () => {
    expect(await read(text)).toEqual(invitation);
    await expect(read(text, 'r-1', NOW + 60)).rejects.toThrow(/expired at 2027-01-15T08:01:00\.000Z/);
    await expect(read(text, 'r-2')).rejects.toThrow(/for the run r-1, and this is r-2/);
  });

  it('cannot be made or changed by anyone else', async () => {
    await expect(read(await signInvitation(invitation, await newIdentity()))).rejects.toThrow(
      /not signed by this run's host/,
    );
    const more = Buffer.from(JSON.stringify({ ...invitation, uses: 1_000 })).toString('base64url');
    await expect(read(`${more}.${text.split('.')[1]}`)).rejects.toThrow(/not signed/);
    for (const bad of ['', 'a', 'a.b.c', `${text}.x`, `.${text}`, 'x'.repeat(5_000)]) {
      await expect(read(bad)).rejects.toThrow(expect.objectContaining({ code: 'HELIO-4003' }));
    }
    const nonsense = Buffer.from('{"run":7}').toString('base64url');
    const signature = await host.sign(`heliotrope invitation\n${nonsense}`);
    await expect(read(`${nonsense}.${signature}`)).rejects.toThrow(/cannot be read/);
  });

  it('travels as a link whose secret part is never sent to a server', () => {
    const link = {
      addresses: ['[::1]:7420', 'example.org:443'],
      secure: true,
      fingerprint: 'ab'.repeat(32),
      invitation: text,
    };
    const written = writeLink(link);
    expect(readLink(written)).toEqual(link);
    expect(new URL(written).pathname + new URL(written).search).toBe('/join');
    expect(readLink(writeLink({ ...link, addresses: ['example.org:443'] })).addresses).toEqual(['example.org:443']);
    expect(readLink('http://a:1/join').invitation).toBeNull();
    for (const bad of [
      '',
      'amber',
      'ws://a/v1/run?token=x',
      'http://a/other#invitation=x',
      'https://a/join#fingerprint=1',
    ])
      expect(() => readLink(bad)).toThrow(expect.objectContaining({ code: 'HELIO-1006' }));
  });

  it.each([
    { secure: true, fingerprint: 'ab'.repeat(32), invitation: text },
    { secure: false, fingerprint: undefined, invitation: text },
    { secure: true, fingerprint: 'ab'.repeat(32), invitation: null },
  ])('is refused at once where its link was cut short, wherever that was', (each) => {
    const link = { ...each, addresses: ['10.0.0.7:7420', '[fd00::7]:7420'] };
    const written = writeLink(link);
    expect(readLink(written)).toEqual(link);
    // A link without anything behind the # is one: whoever has it asks the host.
    const isWhole = (part: string): boolean =>
      part.endsWith('/join') || part.endsWith('#') || (link.invitation === null && part === written);
    for (let length = 0; length < written.length; length++) {
      const part = written.slice(0, length);
      if (isWhole(part)) expect(readLink(part).invitation).toBeNull();
      else expect(() => readLink(part), part).toThrow(expect.objectContaining({ code: 'HELIO-1006' }));
    }
    // What lets people in is shown to nobody who looks over their shoulder.
    expect(() => readLink(written.slice(0, -1).replace('/join', '/jion'))).toThrow(/^[^#]*#… is no invitation/);
  });
});
