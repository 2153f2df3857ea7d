import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { coloured, json, plain } from './terminal-text.ts';

/** What every command is given. */
export interface CommandContext {
  readonly json: boolean;
  /** Folder of runs. */
  readonly runs: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** The package's own folder: where examples and data are, from source and from `dist` alike. */
export const PACKAGE_FOLDER = path.resolve(import.meta.dirname, '../..');

export const VERSION: string = (
  JSON.parse(readFileSync(path.join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as { version: string }
).version;

/** How the person at the keyboard calls this program: in a clone it is a script of npm. */
const COMMAND = /^(heliotrope|quickstart)$/.test(process.env.npm_lifecycle_event ?? '')
  ? 'npm run heliotrope --'
  : 'heliotrope';
/** A command of ours within a sentence, as `heliotrope join LINK`. */
const NAMED =
  /\bheliotrope (?=(?:quickstart|train|serve|join|invite|receipts|status|admit|sample|export|eval|runs|doctor|meters|completion)\b|--)/g;

/** What a command is called in a sentence, as the reader has to type it. */
export const asTyped = (text: string): string => (COMMAND === 'heliotrope' ? text : text.replace(NAMED, `${COMMAND} `));

/** The script that `heliotrope` runs, for processes that it starts itself. */
export const ENTRY = [path.join(import.meta.dirname, 'main.ts'), path.join(import.meta.dirname, 'main.js')].find((f) =>
  existsSync(f),
)!;

/** One JSON object on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${json(value, 2)}\n`);
}

/** What a command prints; see `terminal-text.ts` for what of it may reach a terminal. */
export const print = (line: string): void => {
  process.stdout.write(`${coloured(asTyped(line))}\n`);
};

/** A sentence for the person at the keyboard, beside what the command prints. */
export const tell = (sentence: string): void => {
  process.stderr.write(`${plain(asTyped(sentence))}\n`);
};

export const colorful = (environment: NodeJS.ProcessEnv): boolean =>
  !environment.NO_COLOR && (process.stdout.isTTY === true || Boolean(environment.FORCE_COLOR));

export const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal reaches a process twice when it is sent to its whole group and passed on by its parent as well (npm does): that is one request. */
const SAME_REQUEST_MS = 500;

/** Aborts at Ctrl-C or a request to end; a second one ends at once. */
export function stopSignal(signals: readonly (typeof ENDING)[number][] = ENDING): AbortSignal {
  const controller = new AbortController();
  let sinceMs = 0;
  const stop = (): void => {
    if (!controller.signal.aborted) {
      sinceMs = performance.now();
      controller.abort();
    } else if (performance.now() - sinceMs > SAME_REQUEST_MS) process.exit(130);
  };
  for (const signal of signals) process.on(signal, stop);
  return controller.signal;
}

/** Calls back when stdin ends: for processes whose parent holds the other end. */
export function onParentGone(callback: () => void): void {
  process.stdin.on('end', callback).on('error', callback).resume();
}
