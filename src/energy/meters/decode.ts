/** How numbers stand in Modbus registers (words of 16 bits), and the bits by which a device says that it has none (SunSpec §4.3, SMA's profile). */
export const REGISTER_TYPES = {
  int16: { words: 1, none: 0x8000n },
  uint16: { words: 1, none: 0xffffn },
  int32: { words: 2, none: 0x8000_0000n },
  uint32: { words: 2, none: 0xffff_ffffn },
  /** A counter of SunSpec: 0 says that it does not count. */
  acc32: { words: 2, none: 0n },
  int64: { words: 4, none: 0x8000_0000_0000_0000n },
  uint64: { words: 4, none: 0xffff_ffff_ffff_ffffn },
  float32: { words: 2, none: 0x7fc0_0000n },
} as const;

export type RegisterType = keyof typeof REGISTER_TYPES;
export const REGISTER_TYPE_NAMES = Object.keys(REGISTER_TYPES) as [RegisterType, ...RegisterType[]];

/**
 * @param words the registers as they were read, as many as the type has
 * @param lowWordFirst of a number of several words; the Modbus specification has the high word first
 * @returns null for the bits that say "none" when `noneBits` is true, and for a float that is not finite
 */
export function decodeRegisters(
  words: readonly number[],
  type: RegisterType,
  { noneBits = false, lowWordFirst = false }: { readonly noneBits?: boolean; readonly lowWordFirst?: boolean } = {},
): number | null {
  const ordered = lowWordFirst ? words.toReversed() : words;
  let bits = 0n;
  for (const word of ordered) bits = (bits << 16n) | BigInt(word);
  if (noneBits && bits === REGISTER_TYPES[type].none) return null;
  const size = REGISTER_TYPES[type].words * 16;
  if (type === 'float32') {
    const value = new DataView(new Uint32Array([Number(bits)]).buffer).getFloat32(0, LITTLE_ENDIAN);
    return Number.isFinite(value) ? value : null;
  }
  return Number(type.startsWith('int') ? BigInt.asIntN(size, bits) : bits);
}

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
