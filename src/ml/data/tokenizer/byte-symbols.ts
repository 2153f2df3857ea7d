/** GPT-2 shows every byte as a printable character: these stand for themselves, the others follow from U+0100. */
const printable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/** All bytes, in the order in which GPT-2 numbers them: the printable ones first. */
export function byteOrder(): readonly number[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(printable), ...bytes.filter((byte) => !printable(byte))];
}

/** The character of each byte, by its value. */
const SYMBOLS: readonly string[] = (() => {
  const symbols: string[] = [];
  let next = 0x100;
  for (const byte of byteOrder()) symbols[byte] = String.fromCodePoint(printable(byte) ? byte : next++);
  return symbols;
})();

const BYTES: ReadonlyMap<string, number> = new Map(SYMBOLS.map((symbol, byte) => [symbol, byte]));

const encoder = new TextEncoder();

export const byteSymbol = (byte: number): string => SYMBOLS[byte]!;

/** A text's UTF-8 bytes as their characters. */
export function byteSymbols(text: string): string {
  let symbols = '';
  for (const byte of encoder.encode(text)) symbols += SYMBOLS[byte];
  return symbols;
}

/** Bytes that a token stands for; one with any other character stands for its own UTF-8. */
export function bytesOfSymbols(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const symbol of token) {
    const byte = BYTES.get(symbol);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
