import { z } from 'zod';

/** `data` and `tokenizer` of a run file: on what. */

const heldOut = z.number().gt(0).max(0.5).default(0.1);
const paths = z.union([
  z
    .string()
    .min(1)
    .transform((path) => [path]),
  z.array(z.string().min(1)).min(1).max(10_000),
]);

const corpusSchema = z.strictObject({
  paths: paths.describe(
    'Files, folders or globs of .txt, .md, .jsonl (a line: one object with "text", or "prompt" and "completion"), these with .gz or .zst behind, or .parquet; relative to this file.',
  ),
  field: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Field or column that is the text; default: "text", or "prompt" and "completion".'),
  heldOut: heldOut.describe(
    'Share that is held out for validation: whole documents, or with few documents the end of each.',
  ),
  packing: z
    .boolean()
    .default(true)
    .describe('true: documents are joined end to end; false: one document a row, cut or padded to the context.'),
});

const tableSchema = z.strictObject({
  table: paths.describe('CSV, TSV or Parquet files with the same columns.'),
  target: z
    .union([
      z
        .string()
        .min(1)
        .transform((column) => [column]),
      z.array(z.string().min(1)).min(1).max(1_000),
    ])
    .describe('The column to predict, or several for a regression.'),
  heldOut: heldOut.describe('Share of the rows that is held out for validation.'),
});

const imagesSchema = z.strictObject({
  images: z.string().min(1).describe('Images in IDX format, as of MNIST, plain or gzipped.'),
  labels: z.string().min(1).describe('Their labels, in IDX format too.'),
  heldOut: heldOut.describe('Share of the images that is held out for validation.'),
});

export const dataSchema = z
  .union([
    z
      .string()
      .min(1)
      .transform((path) => corpusSchema.parse({ paths: path })),
    corpusSchema,
    tableSchema,
    imagesSchema,
  ])
  .describe('Text (a path alone, or paths and how they are read), a table, or images.');

export const tokenizerSchema = z
  .union([
    z.strictObject({ path: z.string().min(1).describe('A tokenizer.json in Hugging Face format.') }),
    z.strictObject({
      vocabularySize: z
        .int()
        .min(257)
        .max(65_536)
        .optional()
        .describe(
          'Tokens of the byte-level BPE trained on the corpus; default 1,024, or as many as a short text supports.',
        ),
    }),
  ])
  .prefault({});
