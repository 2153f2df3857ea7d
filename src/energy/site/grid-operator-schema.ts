import { z } from 'zod';
import { baseUrl } from './sources-schema.ts';

/** A grid operator whose events a home obeys: the part `gridOperator` of site.yaml. docs/energy-policy.md. */

const secretFrom = z
  .strictObject({
    env: z.string().min(1).max(100).optional().describe('Name of the environment variable that holds it.'),
    file: z.string().min(1).max(1_000).optional().describe('File whose first line it is.'),
    text: z.string().min(1).max(4_096).optional().describe('It itself: whoever reads this file then knows it.'),
  })
  .refine(
    (from) => Object.values(from).filter((each) => each !== undefined).length === 1,
    'give one of env, file, text',
  );
export type SecretFrom = z.output<typeof secretFrom>;

export const gridOperatorSchema = z.strictObject({
  kind: z.literal('openadr-3').describe('A virtual top node (VTN) of OpenADR 3.0 or 3.1.'),
  baseUrl: baseUrl.describe('Address of the VTN with its path, like https://vtn.example.org/openadr3/3.1.0.'),
  program: z.string().min(1).max(128).describe('programName or id of the program that the home takes part in.'),
  clientId: secretFrom.describe('Where the id of its OAuth 2 client is.'),
  clientSecret: secretFrom.describe('Where the secret of its OAuth 2 client is.'),
  tokenUrl: baseUrl.optional().describe('Where tokens are given out; /auth/token of the VTN when left out.'),
  scope: z.string().min(1).max(300).optional().describe('Scope that is asked for, where the operator wants one.'),
  targets: z
    .array(z.string().min(1).max(128))
    .min(1)
    .max(20)
    .optional()
    .describe(
      'Names of the home in events, such as its VEN or group; when left out all that the VTN shows is meant for it.',
    ),
  pollS: z.number().min(5).max(20).default(10).describe('It is asked so often: an event is obeyed within 30 s.'),
});
export type GridOperatorConfig = z.output<typeof gridOperatorSchema>;
