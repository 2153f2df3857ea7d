import { once } from 'node:events';
import { ServerTCP } from 'modbus-serial';
import { freePort, listening } from './ports.ts';

/** A device with Modbus TCP, played by modbus-serial's server: an implementation that is not ours. */
export interface ModbusDevice {
  readonly port: number;
  /** Register to word; what is not in it does not exist. May be changed while it runs. */
  readonly words: Map<number, number>;
  stop(): Promise<void>;
}

/** @param unit whom it answers as; silence for all others */
export async function modbusDevice(words: Map<number, number>, unit: number, onPort?: number): Promise<ModbusDevice> {
  const port = onPort ?? (await freePort());
  const read = (address: number): number => {
    const word = words.get(address);
    // Illegal data address.
    if (word === undefined) throw Object.assign(new Error(`no register ${address}`), { modbusErrorCode: 2 });
    return word;
  };
  const server = new ServerTCP(
    { getHoldingRegister: (address: number) => read(address), getInputRegister: (address: number) => read(address) },
    { host: '127.0.0.1', port, unitID: unit },
  );
  server.on('socketError', () => undefined);
  server.on('serverError', () => undefined);
  await Promise.race([once(server, 'initialized'), listening(port)]);
  return {
    port,
    words,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Signed numbers as the words of registers, the high one first. */
export const wordsOf = (value: number | bigint, words: number): readonly number[] => {
  const bits = BigInt.asUintN(16 * words, BigInt(value));
  return Array.from({ length: words }, (_, i) => Number((bits >> BigInt(16 * (words - 1 - i))) & 0xffffn));
};

export const registers = (values: Readonly<Record<number, readonly number[]>>): Map<number, number> =>
  new Map(Object.entries(values).flatMap(([at, words]) => words.map((word, i) => [Number(at) + i, word] as const)));

/** A SunSpec map: models with their points by offset, in a chain with its end marker. */
export function sunspec(
  models: readonly {
    readonly id: number;
    readonly size: number;
    readonly points: Readonly<Record<number, readonly number[]>>;
  }[],
  base = 40_000,
): Map<number, number> {
  const words = registers({ [base]: [0x5375, 0x6e53] });
  let at = base + 2;
  for (const { id, size, points } of models) {
    for (let i = 0; i < size; i++) words.set(at + i, 0);
    for (const [address, word] of registers({ 0: [id, size - 2], ...points })) words.set(at + address, word);
    at += size;
  }
  words.set(at, 0xffff).set(at + 1, 0);
  return words;
}
