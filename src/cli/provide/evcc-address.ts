import { HelioError } from '../../errors.ts';

/** `evcc.local`, `192.168.1.5:7070` or `http://evcc.local:7070`. @throws HelioError HELIO-1006 */
export function evccAt(text: string): { readonly host: string; readonly port: number } {
  const [, host, port = '7070'] =
    /^(?:http:\/\/)?([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?\/?$/.exec(text.trim()) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new HelioError('HELIO-1006', `--evcc ${text} is no address.`, 'Give it like evcc.local or 192.168.1.5:7070.');
  return { host, port: Number(port) };
}
