import { z } from 'zod';

/** Kinds of numbers that a run file has many of. */

export const count = (max: number) => z.int().min(1).max(max);
export const share = z.number().min(0).max(1);
export const positive = z.number().positive();
