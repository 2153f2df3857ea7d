/** Halves as their bits: IEEE 754 half precision, and bfloat16, the upper half of a single. */

export const float16ToFloat32 = (bits: Uint16Array<ArrayBuffer>): Float32Array =>
  Float32Array.from(new Float16Array(bits.buffer, bits.byteOffset, bits.length));

/** Rounds to nearest, ties to even; beyond 65,504 it is infinite. */
export function float32ToFloat16(numbers: Float32Array): Uint16Array {
  const halves = Float16Array.from(numbers);
  return new Uint16Array(halves.buffer);
}

export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const wide = Uint32Array.from(bits, (b) => b << 16);
  return new Float32Array(wide.buffer);
}
