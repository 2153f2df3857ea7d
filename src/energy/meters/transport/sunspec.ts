import { HelioError } from '../../../errors.ts';
import { decodeRegisters, REGISTER_TYPES, type RegisterType } from '../decode.ts';
import { unusable } from '../fault.ts';

/** Where a SunSpec map may begin (SunSpec Device Information Model Specification 1.1, §6.1). */
const BASES = [40_000, 50_000, 0] as const;
/** `SunS`. */
const MARKER = [0x5375, 0x6e53] as const;
const END = 0xffff;
const MOST_MODELS = 100;
const HEADER = 2;
/** Registers of one request: a few less than Modbus allows, as some devices count wrongly. */
const CHUNK = 120;

/** A model that the device has. */
export interface ModelPlace {
  readonly id: number;
  /** Of its id; its length follows, then its points. */
  readonly address: number;
  /** Registers with id and length. */
  readonly size: number;
}

/** @throws HelioError */
export type ReadHolding = (address: number, count: number) => Promise<readonly number[]>;

/**
 * Walks the chain of models: id, length, points, next id …, until the end marker.
 *
 * @throws HelioError HELIO-6102 where there is no SunSpec map, or its chain has no end
 */
export async function findModels(device: string, read: ReadHolding): Promise<readonly ModelPlace[]> {
  const base = await findBase(device, read);
  const models: ModelPlace[] = [];
  let address = base + MARKER.length;
  while (models.length < MOST_MODELS && address + HEADER <= 0x1_0000) {
    const [id, length] = (await read(address, HEADER)) as [number, number];
    if (id === END) return models;
    models.push({ id, address, size: HEADER + length });
    address += HEADER + length;
  }
  throw unusable(device, `its SunSpec models have no end after ${models.length}`);
}

async function findBase(device: string, read: ReadHolding): Promise<number> {
  for (const base of BASES) {
    try {
      const [first, second] = await read(base, MARKER.length);
      if (first === MARKER[0] && second === MARKER[1]) return base;
    } catch (error) {
      if (!(error instanceof HelioError) || error.code !== 'HELIO-6102') throw error;
    }
  }
  throw unusable(
    device,
    `there is no SunSpec map at ${BASES.join(', ')}`,
    'Switch SunSpec (not only Modbus) on in its settings, and check the unit id.',
  );
}

/** All registers of a model, id and length counted. */
export async function readModel({ address, size }: ModelPlace, read: ReadHolding): Promise<readonly number[]> {
  const words: number[] = [];
  while (words.length < size) words.push(...(await read(address + words.length, Math.min(CHUNK, size - words.length))));
  return words;
}

export interface SunSpecPoint {
  readonly offset: number;
  readonly type: RegisterType;
  readonly scaleFactor?: number | undefined;
}

/**
 * The value of a point: raw × 10^scale factor.
 *
 * @returns null where the device says that it does not implement it
 * @throws HelioError HELIO-6102 where the model is too short, or its scale factor is none
 */
export function pointOf(
  device: string,
  { id }: ModelPlace,
  words: readonly number[],
  { offset, type, scaleFactor }: SunSpecPoint,
): number | null {
  const size = REGISTER_TYPES[type].words;
  if (Math.max(offset + size, (scaleFactor ?? 0) + 1) > words.length)
    throw unusable(device, `its SunSpec model ${id} has ${words.length} registers, and none at ${offset}`);
  const raw = decodeRegisters(words.slice(offset, offset + size), type, { noneBits: true });
  if (raw === null || scaleFactor === undefined) return raw;
  const power = decodeRegisters([words[scaleFactor]!], 'int16', { noneBits: true });
  if (power === null || Math.abs(power) > 10)
    throw unusable(device, `the scale factor of its SunSpec model ${id} is ${power ?? 'not implemented'}`);
  // Dividing by 10ⁿ is exact where multiplying by 10⁻ⁿ is not: 501 × 0.1 is 50.1, 1234 × 0.01 is not 12.34.
  return power < 0 ? raw / 10 ** -power : raw * 10 ** power;
}
