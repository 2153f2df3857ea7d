/**
 * SentencePiece's normalization table (`precompiled_charsmap`): a double-array trie of byte sequences (Aoe 1989, in the
 * layout of Darts-clone) and, behind it, what each becomes, ended by a zero byte.
 *
 * A grapheme cluster below six bytes is looked up whole, then each character; the longest prefix that the trie knows is
 * not what counts, but the first, as in the `spm_precompiled` crate that `tokenizers` uses.
 */
export function precompiled(map: unknown): (text: string) => string {
  if (typeof map !== 'string' || map === '') return (text) => text;
  const bytes = Buffer.from(map, 'base64');
  const trieBytes = bytes.length < 4 ? Number.NaN : bytes.readUInt32LE(0);
  if (!(trieBytes % 4 === 0 && 4 + trieBytes <= bytes.length))
    throw new TypeError('its precompiled_charsmap is damaged');
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const replacements = bytes.subarray(4 + trieBytes);
  const known = new Map<string, string | undefined>();
  const replacementOf = (piece: string): string | undefined => {
    if (known.has(piece)) return known.get(piece);
    const at = firstPrefix(trie, new TextEncoder().encode(piece));
    const end = at === undefined ? -1 : replacements.indexOf(0, at);
    const found = at === undefined ? undefined : replacements.toString('utf8', at, end === -1 ? undefined : end);
    if (known.size < MAX_KNOWN) known.set(piece, found);
    return found;
  };
  const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
  return (text) => {
    let result = '';
    for (const { segment } of graphemes.segment(text)) {
      const whole = Buffer.byteLength(segment) < 6 ? replacementOf(segment) : undefined;
      if (whole !== undefined) result += whole;
      else for (const character of segment) result += replacementOf(character) ?? character;
    }
    return result;
  };
}

const MAX_KNOWN = 100_000;

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/** The value of the shortest prefix that the trie holds. */
function firstPrefix(trie: Uint32Array, key: Uint8Array): number | undefined {
  let node = offsetOf(trie[0] ?? 0);
  for (const byte of key) {
    if (byte === 0) return undefined;
    node ^= byte;
    const unit = trie[node];
    if (unit === undefined || (unit & 0x8000_00ff) >>> 0 !== byte) return undefined;
    node ^= offsetOf(unit);
    if (((unit >>> 8) & 1) === 1) return (trie[node] ?? 0) & 0x7fff_ffff;
  }
  return undefined;
}
