/** As much of Protocol Buffers' wire format as an ONNX file needs to be written. */
export class ProtobufWriter {
  #chunks: Uint8Array[] = [];
  #length = 0;

  /** Field of wire type 0: a non-negative integer or, as two's complement in 64 bits, a negative one. */
  varint(field: number, value: number | bigint): this {
    this.#append(encodeVarint(BigInt(field) << 3n));
    return this.#append(encodeVarint(BigInt.asUintN(64, BigInt(value))));
  }

  /** Field of wire type 5: an IEEE 754 single. */
  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#append(encodeVarint((BigInt(field) << 3n) | 5n));
    return this.#append(bytes);
  }

  bytes(field: number, value: Uint8Array): this {
    this.#append(encodeVarint((BigInt(field) << 3n) | 2n));
    this.#append(encodeVarint(BigInt(value.length)));
    return this.#append(value);
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, build: (writer: ProtobufWriter) => void): this {
    const nested = new ProtobufWriter();
    build(nested);
    return this.bytes(field, nested.finish());
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, offset);
      offset += chunk.length;
    }
    return whole;
  }

  #append(chunk: Uint8Array): this {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    return this;
  }
}

function encodeVarint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}
