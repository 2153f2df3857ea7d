import type { NumberCodecName } from '../../protocol/codec-names.ts';
import type { Fragment } from '../fragments.ts';
import { type Codec, malformed, type Sent, settled, type Update, type Visitor, wantedOf } from './codec.ts';
import { encodedBytes, encodeNumbers, readNumbers } from './numbers.ts';

/**
 * Matrices as products of two thin ones: PowerSGD (Vogels et al., arXiv 1905.13727, algorithm 1), one step of subspace
 * iteration from where the last payload ended. The rank follows the spectrum, as in DiLoCoX (arXiv 2506.21263, section 3.3):
 * as many columns travel as hold 99 % of what the iteration found. The rest stays in the residual. Vectors, and matrices that
 * their factors would not make smaller, travel whole.
 */

/** Share of the found energy (sum of squared singular values) that has to travel. */
const ENERGY = 0.99;

/** A tensor of the fragment: where it begins, and how its factors are laid out; rank 0 when it travels whole. */
interface Part {
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
}

function partsOf(fragment: Pick<Fragment, 'tensors'>, most: number): readonly Part[] {
  let offset = 0;
  return fragment.tensors.map(({ elements, rows = 1 }) => {
    const columns = elements / rows;
    const rank = Math.min(most, rows, columns);
    const smaller = rows > 1 && columns > 1 && 2 * rank * (rows + columns) <= elements;
    offset += elements;
    return { offset: offset - elements, rows, columns, rank: smaller ? rank : 0 };
  });
}

const numbersOf = ({ rows, columns, rank }: Part, used: number): number =>
  rank === 0 ? rows * columns : used * (rows + columns);

export function lowRankCodec(rank: number, numbers: NumberCodecName, fragment: Fragment): Codec {
  const parts = partsOf(fragment, rank);
  const factored = parts.filter((part) => part.rank > 0);
  const size = (used: (part: Part) => number): number =>
    2 * factored.length +
    encodedBytes(
      numbers,
      parts.reduce((sum, part) => sum + numbersOf(part, used(part)), 0),
    );
  return {
    name: `low-rank-${rank}+${numbers}`,
    elements: fragment.elements,
    leastBytes: size(() => 0),
    mostBytes: size((part) => part.rank),
    memoryElements: factored.reduce((sum, part) => sum + part.rank * part.columns, 0),
    send: (update) => send(parts, numbers, update),
    read: (payload, visit) => read(parts, numbers, payload, visit),
  };
}

function send(parts: readonly Part[], numbers: NumberCodecName, update: Update): Sent {
  const wanted = wantedOf(update);
  const memory = update.memory.slice();
  const flat: Float32Array[] = [];
  const ranks: number[] = [];
  let remembered = 0;
  for (const part of parts) {
    const matrix = wanted.subarray(part.offset, part.offset + part.rows * part.columns);
    if (part.rank === 0) {
      flat.push(matrix);
      continue;
    }
    const start = memory.subarray(remembered, remembered + part.rank * part.columns);
    remembered += start.length;
    const factors = factorize(matrix, part, start);
    ranks.push(factors.length);
    for (const { left, right } of factors) flat.push(left, right);
  }
  const values = new Float32Array(flat.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of flat) {
    values.set(piece, offset);
    offset += piece.length;
  }
  const encoded = encodeNumbers(numbers, values);
  const payload = new Uint8Array(2 * ranks.length + encoded.length);
  for (const [i, rank] of ranks.entries()) new DataView(payload.buffer).setUint16(2 * i, rank, true);
  payload.set(encoded, 2 * ranks.length);
  const decoded = new Float32Array(wanted.length);
  read(parts, numbers, payload, (chunk, at) => decoded.set(chunk, at));
  return settled(update, wanted, decoded, payload, memory);
}

interface Factor {
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/**
 * M ≈ Σ leftⱼ rightⱼᵀ, the strongest first. Both factors of a column are of one size, so that they share a block's scale well.
 *
 * @param start the right factors of last time, by column of the factor; overwritten with those of this time
 */
function factorize(matrix: Float32Array, { rows, columns, rank }: Part, start: Float32Array): readonly Factor[] {
  const right = Float64Array.from(start);
  for (let j = 0; j < rank; j++) renew(right.subarray(j * columns, (j + 1) * columns), j);
  const left = new Float64Array(rank * rows);
  for (let j = 0; j < rank; j++) multiply(matrix, rows, columns, right, j * columns, left, j * rows);
  orthonormalize(left, rank, rows);
  right.fill(0);
  for (let j = 0; j < rank; j++) multiplyTransposed(matrix, rows, columns, left, j * rows, right, j * columns);
  start.set(right);
  const energies = Array.from({ length: rank }, (_, j) => dot(right, j * columns, right, j * columns, columns));
  const order = energies.map((_, j) => j).sort((a, b) => energies[b]! - energies[a]! || a - b);
  const total = energies.reduce((sum, e) => sum + e, 0);
  const factors: Factor[] = [];
  let found = 0;
  for (const j of order) {
    if (energies[j] === 0 || found >= ENERGY * total) break;
    found += energies[j]!;
    // ‖left‖ is 1: with this balance both have the same root mean square.
    const balance = Math.sqrt(Math.sqrt((energies[j]! * rows) / columns));
    factors.push({
      left: Float32Array.from(left.subarray(j * rows, (j + 1) * rows), (x) => x * balance),
      right: Float32Array.from(right.subarray(j * columns, (j + 1) * columns), (x) => x / balance),
    });
  }
  return factors;
}

/** A column that has nothing in it begins as noise, the same everywhere (a multiplicative hash of its place). */
function renew(column: Float64Array, j: number): void {
  if (column.some((x) => x !== 0)) return;
  for (let i = 0; i < column.length; i++) {
    const hash = Math.imul(Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(j + 1, 0x85ebca6b), 0xc2b2ae35);
    column[i] = ((hash ^ (hash >>> 15)) | 0) / 2 ** 31;
  }
}

/** into = M v */
function multiply(
  matrix: Float32Array,
  rows: number,
  columns: number,
  v: Float64Array,
  vAt: number,
  into: Float64Array,
  at: number,
): void {
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += matrix[r * columns + c]! * v[vAt + c]!;
    into[at + r] = sum;
  }
}

/** into += Mᵀ v */
function multiplyTransposed(
  matrix: Float32Array,
  rows: number,
  columns: number,
  v: Float64Array,
  vAt: number,
  into: Float64Array,
  at: number,
): void {
  for (let r = 0; r < rows; r++) {
    const scale = v[vAt + r]!;
    for (let c = 0; c < columns; c++) into[at + c]! += scale * matrix[r * columns + c]!;
  }
}

/** Gram–Schmidt, each column twice against those before it; a column that lies in them becomes zero. */
function orthonormalize(columns: Float64Array, count: number, length: number): void {
  for (let j = 0; j < count; j++) {
    const before = dot(columns, j * length, columns, j * length, length);
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < j; k++) {
        const overlap = dot(columns, j * length, columns, k * length, length);
        for (let i = 0; i < length; i++) columns[j * length + i]! -= overlap * columns[k * length + i]!;
      }
    }
    const after = dot(columns, j * length, columns, j * length, length);
    const scale = after > 1e-20 * before ? 1 / Math.sqrt(after) : 0;
    for (let i = 0; i < length; i++) columns[j * length + i]! *= scale;
  }
}

function dot(a: Float64Array, aAt: number, b: Float64Array, bAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aAt + i]! * b[bAt + i]!;
  return sum;
}

function read(parts: readonly Part[], numbers: NumberCodecName, payload: Uint8Array, visit: Visitor): void {
  const factored = parts.filter((part) => part.rank > 0);
  if (payload.length < 2 * factored.length) throw malformed(`it has ${payload.length} bytes, too few for its ranks`);
  const header = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const ranks = new Map(factored.map((part, i) => [part, header.getUint16(2 * i, true)]));
  for (const [part, used] of ranks) {
    if (used > part.rank) throw malformed(`a matrix has rank ${used} where ${part.rank} is the most`);
  }
  const total = parts.reduce((sum, part) => sum + numbersOf(part, ranks.get(part) ?? 0), 0);
  const values = new Float32Array(total);
  const body = payload.subarray(2 * factored.length);
  readNumbers(numbers, total, body, (chunk, offset) => values.set(chunk, offset));
  let at = 0;
  for (const part of parts) {
    const { rows, columns, offset } = part;
    const used = ranks.get(part);
    const count = numbersOf(part, used ?? 0);
    const own = values.subarray(at, at + count);
    at += count;
    visit(used === undefined ? own : product(own, rows, columns, used), offset);
  }
}

/** Σ leftⱼ rightⱼᵀ in float32, one column after the other. */
function product(factors: Float32Array, rows: number, columns: number, rank: number): Float32Array {
  const matrix = new Float32Array(rows * columns);
  for (let j = 0; j < rank; j++) {
    const left = j * (rows + columns);
    const right = left + rows;
    for (let r = 0; r < rows; r++) {
      const scale = factors[left + r]!;
      for (let c = 0; c < columns; c++) {
        const place = r * columns + c;
        matrix[place] = matrix[place]! + Math.fround(scale * factors[right + c]!);
      }
    }
  }
  return matrix;
}
