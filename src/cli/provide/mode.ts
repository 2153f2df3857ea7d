import { isMap, isScalar, parseDocument } from 'yaml';
import type { Mode } from '../../energy/policy/index.ts';
import { HelioError } from '../../errors.ts';

/** The four plain modes: as a person says them, and as site.yaml writes them. */
export const PLAIN_MODES = {
  off: 'off',
  'sun-only': 'sun',
  'sun-battery': 'sun-and-battery',
  always: 'always',
} as const satisfies Readonly<Record<string, Mode>>;

/** @throws HelioError HELIO-1006 that names the four */
export function parseMode(flag: string, text: string): Mode {
  const word = text.trim().toLowerCase();
  const mode = Object.entries(PLAIN_MODES).find((names) => (names as readonly string[]).includes(word));
  if (mode === undefined)
    throw new HelioError(
      'HELIO-1006',
      `${flag} ${text} is no mode.`,
      `Give one of: ${Object.keys(PLAIN_MODES).join(', ')}.`,
    );
  return mode[1];
}

/** A site file with another mode, and every other letter of its owner's as it was. @param source a file that was read without an error */
export function withMode(source: string, mode: Mode): string {
  const document = parseDocument(source);
  const node = document.getIn(['policy', 'mode'], true);
  if (isScalar(node) && node.range) return source.slice(0, node.range[0]) + mode + source.slice(node.range[1]);
  if (isMap(document.get('policy'))) document.setIn(['policy', 'mode'], mode);
  else document.set('policy', document.createNode({ mode }));
  return String(document);
}
