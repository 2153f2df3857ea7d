import { isIPv6 } from 'node:net';

/**
 * The key by which an address is rate-limited: an IPv4 address itself, also when mapped into IPv6 (RFC 4291, 2.5.5.2), and the /64 of an IPv6 address, as one home or
 * server owns a whole /64 (RFC 6177).
 */
export function countedAs(address: string): string {
  const plain = address.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(plain)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(plain)) return plain;
  return `${groupsOf(plain).slice(0, 4).join(':')}::/64`;
}

/** Networks that an address is in, from its own to the widest: whoever has many addresses has them in few networks. */
export function networksOf(address: string): readonly string[] {
  const own = countedAs(address);
  const parts = own.includes(':') ? own.split('::')[0]!.split(':') : own.split('.');
  const separator = own.includes(':') ? ':' : '.';
  return [own, ...[3, 2].map((count) => parts.slice(0, count).join(separator))];
}

function groupsOf(address: string): readonly string[] {
  const [head, tail] = address.split('::') as [string, string | undefined];
  const before = head === '' ? [] : head.split(':');
  if (tail === undefined) return before.map(trimmed);
  const after = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...zeros, ...after].map(trimmed);
}

const trimmed = (group: string): string => group.replace(/^0+(?=.)/, '');
