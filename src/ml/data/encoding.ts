/**
 * What bytes that are to be text look like when they are not UTF-8: by their first bytes, by their zeroes (UTF-16 has one in every letter of
 * English), and by those of the high bytes that the encodings leave free (Windows-1252 puts characters into 0x80 to 0x9f, where ISO 8859-1 has
 * control codes that no text holds).
 *
 * @param isCut whether more bytes follow, so that the last character may be incomplete
 * @returns undefined for UTF-8
 */
export function encodingOf(bytes: Uint8Array, isCut: boolean): string | undefined {
  const magic = MAGIC.find(([, first]) => first.every((byte, i) => bytes[i] === byte));
  if (magic !== undefined) return magic[0];
  const zeroes = [0, 1].map((odd) => bytes.filter((byte, i) => byte === 0 && i % 2 === odd).length) as [number, number];
  const most = Math.max(...zeroes);
  if (most > bytes.length / 8 && most > 8 * Math.min(...zeroes)) return 'UTF-16';
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: isCut });
    return undefined;
  } catch {
    if (most > 0) return 'no text at all';
    return bytes.some((byte) => byte >= 0x80 && byte < 0xa0) ? 'Windows-1252' : 'Latin-1';
  }
}

const MAGIC: readonly (readonly [string, readonly number[]])[] = [
  ['UTF-16', [0xff, 0xfe]],
  ['UTF-16', [0xfe, 0xff]],
  ['gzip', [0x1f, 0x8b]],
  ['Zstandard', [0x28, 0xb5, 0x2f, 0xfd]],
  ['Parquet', [0x50, 0x41, 0x52, 0x31]],
];
