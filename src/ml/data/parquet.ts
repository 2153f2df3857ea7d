import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import {
  asyncBufferFromFile,
  type Compressors,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type RowGroup,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** Parquet, read by row groups: of a file that is larger than memory no more than one group of the columns that are wanted is in it. */

/** Most bytes that one page, and the wanted columns of one row group, may unpack to. */
const MAX_PAGE_BYTES = 2 ** 29;
const MAX_GROUP_BYTES = 2 ** 31;
/** Rows of a group, and values of one of its columns: what a header claims decides what is allocated. */
const MAX_GROUP_ROWS = 2 ** 24;

/**
 * Decompressors that unpack no more than `budgetBytes` together, whatever a page's header claims.
 *
 * @throws Error when a page claims, or is, more
 */
export function boundedCompressors(budgetBytes = MAX_GROUP_BYTES): Compressors {
  let left = budgetBytes;
  const bounded: Compressors = {};
  for (const [codec, decompress] of Object.entries({ ...compressors, ...NATIVE })) {
    bounded[codec as keyof Compressors] = (input, bytes) => {
      left -= bytes;
      if (!(bytes >= 0 && bytes <= MAX_PAGE_BYTES && left >= 0))
        throw new Error(
          `a page or row group unpacks to more than ${MAX_PAGE_BYTES / 2 ** 20} or ${budgetBytes / 2 ** 20} MiB`,
        );
      return decompress(input, bytes);
    };
  }
  return bounded;
}

/** Node's own: they stop where the output is longer than the header says. */
const NATIVE: Compressors = {
  GZIP: (input, bytes) => gunzipSync(input, { maxOutputLength: Math.max(1, bytes) }),
  BROTLI: (input, bytes) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, bytes) }),
  ZSTD: (input, bytes) => zstdDecompressSync(input, { maxOutputLength: Math.max(1, bytes) }),
};

/**
 * Rows as lines of JSON, with those of the wanted columns that there are.
 *
 * @throws Error when it is no Parquet, has none of the columns, or a group that is too large
 */
export async function* parquetLines(file: string, wanted: readonly string[]): AsyncGenerator<string> {
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer);
  const all = parquetSchema(metadata).children.map(({ element }) => element.name);
  const columns = wanted.filter((name) => all.includes(name));
  if (columns.length === 0)
    throw new Error(
      `it has no column ${wanted.join(', ')}; it has ${all.slice(0, 20).join(', ')} (data.field names the one that is the text)`,
    );
  let row = 0;
  for (const [number, group] of metadata.row_groups.entries()) {
    const rows = boundedRows(group, number, MAX_GROUP_BYTES, columns);
    const records = await parquetReadObjects({
      file: buffer,
      metadata,
      columns,
      rowStart: row,
      rowEnd: row + rows,
      compressors: boundedCompressors(),
    });
    row += rows;
    for (const record of records) yield `${JSON.stringify(record, plain)}\n`;
  }
}

/**
 * Whole rows of a table, all of which are held in memory.
 *
 * @throws Error when it is no Parquet, or larger than `mostBytes` or 2^24 rows
 */
export async function parquetRows(file: string, mostBytes: number): Promise<readonly Record<string, unknown>[]> {
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer);
  const groups = metadata.row_groups.map((group, number) => boundedRows(group, number, mostBytes));
  const rows = groups.reduce((sum, count) => sum + count, 0);
  if (rows > MAX_GROUP_ROWS)
    throw new Error(`it has ${rows} rows, and a table has ${MAX_GROUP_ROWS} at most: leave some out`);
  return parquetReadObjects({ file: buffer, metadata, compressors: boundedCompressors(mostBytes) });
}

/** @param columns those that are wanted; left out, all @returns rows of the group @throws Error when it claims more than its bounds */
function boundedRows(group: RowGroup, number: number, mostBytes: number, columns?: readonly string[]): number {
  const wanted = group.columns.flatMap(({ meta_data: meta }) =>
    meta !== undefined && columns?.includes(meta.path_in_schema[0]!) !== false ? [meta] : [],
  );
  const rows = Number(group.num_rows);
  const values = Math.max(0, ...wanted.map((meta) => Number(meta.num_values)));
  const bytes = wanted.reduce((sum, meta) => sum + Number(meta.total_uncompressed_size), 0);
  if (rows >= 0 && rows <= MAX_GROUP_ROWS && values <= MAX_GROUP_ROWS && bytes <= mostBytes) return rows;
  throw new Error(
    `its row group ${number} has ${rows} rows, ${values} values in a column and ${bytes} bytes, and ${MAX_GROUP_ROWS} rows, as many values and ${mostBytes} bytes are the most: write it with smaller row groups`,
  );
}

/** JSON has no integers of 64 bits. */
const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);
