import type { ResponsePacket } from 'multicast-dns';
import { describe, expect, it } from 'vitest';
import { recordsOf, runsIn } from '../../src/cli/lan/discovery.ts';

const SERVICE = '_heliotrope._tcp.local';
type Said = Pick<ResponsePacket, 'answers' | 'additionals'>;
const response = (address: string, text: readonly string[], { port = 7420, name = `mine.${SERVICE}` } = {}): Said => ({
  answers: [{ type: 'PTR', name: SERVICE, data: name }],
  additionals: [
    { type: 'SRV', name, data: { port, target: 'host.local' } },
    { type: 'TXT', name, data: text.map((each) => Buffer.from(each)) },
    { type: 'A', name: 'host.local', data: address },
    { type: 'AAAA', name: 'host.local', data: 'fe80::1' },
    { type: 'AAAA', name: 'host.local', data: 'fd00::2' },
    { type: 'A', name: 'other.local', data: '10.9.9.9' },
  ],
});
const MINE = ['run=mine-1', 'codes=yes', 'tls=no'];

describe('what a response of multicast DNS says of runs', () => {
  it('is where they may be: where it came from first, and no address of one link alone', () => {
    expect(runsIn(response('192.168.1.20', MINE), '192.168.1.30')).toEqual([
      {
        run: 'mine-1',
        takesCodes: true,
        secure: false,
        fingerprint: undefined,
        addresses: ['192.168.1.30:7420', '192.168.1.20:7420', '[fd00::2]:7420'],
      },
    ]);
  });

  it('stands by itself: two of one name are two, so that nobody hides another', () => {
    const [mine] = runsIn(response('192.168.1.20', MINE), '192.168.1.20');
    const [rogue] = runsIn(response('192.168.1.66', MINE), '192.168.1.66');
    expect([mine!.run === rogue!.run, mine!.addresses[0] === rogue!.addresses[0]]).toEqual([true, false]);
  });

  it.each<[string, Said]>([
    ['a name that is none', response('10.0.0.1', ['run=../x', 'codes=yes', 'tls=no'])],
    ['no word of codes', response('10.0.0.1', ['run=mine-1', 'tls=no'])],
    ['a fingerprint that is none', response('10.0.0.1', [...MINE, 'fingerprint=zz'])],
    ['port 0', response('10.0.0.1', MINE, { port: 0 })],
    ['no text', { answers: response('10.0.0.1', MINE).answers, additionals: [] }],
    ['nothing', { answers: [], additionals: [] }],
  ])('is nothing where it has %s', (_, packet) => {
    expect(runsIn(packet, '10.0.0.1')).toEqual([]);
  });

  it('that names addresses without end is cut short', () => {
    const packet = response('10.0.0.1', MINE);
    const many = Array.from({ length: 250 }, (_, i) => ({
      type: 'A' as const,
      name: 'host.local',
      data: `10.1.0.${i}`,
    }));
    expect(
      runsIn({ ...packet, additionals: [...packet.additionals!, ...many] }, '10.0.0.1')[0]!.addresses,
    ).toHaveLength(8);
  });

  it('is what a run announces of itself, with the addresses alone on which it listens', () => {
    const announced = recordsOf({
      run: 'mine-1.5',
      port: 7420,
      secure: true,
      fingerprint: 'ab'.repeat(32),
      hosts: ['127.0.0.2', 'fd00::7', 'localhost'],
    });
    expect(runsIn({ answers: [...announced], additionals: [] }, '127.0.0.2')).toEqual([
      {
        run: 'mine-1.5',
        takesCodes: true,
        secure: true,
        fingerprint: 'ab'.repeat(32),
        addresses: ['127.0.0.2:7420', '[fd00::7]:7420'],
      },
    ]);
  });
});
