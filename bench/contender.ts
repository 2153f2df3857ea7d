import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

export interface Round {
  /** Tokens or examples a second. */
  readonly perS: number;
  readonly peakMemoryBytes: number;
}

/** Time for the others' idle threads to fall asleep. */
const REST_MS = 500;

/** A process that trains when it is told to, and rests while the others do. */
export class Contender {
  readonly version: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, version: string) {
    this.#child = child;
    this.#lines = lines;
    this.version = version;
  }

  static async start(
    command: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Contender> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const { version } = JSON.parse(await nextLine(lines, command)) as { version: string };
    return new Contender(child, lines, version);
  }

  async go(steps: number): Promise<Round> {
    this.#child.stdin!.write(`go ${steps}\n`);
    const round = JSON.parse(await nextLine(this.#lines, 'a contender')) as Round;
    await setTimeout(REST_MS);
    return round;
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    await gone;
  }
}

async function nextLine(lines: AsyncIterator<string>, who: string): Promise<string> {
  const { value, done } = await lines.next();
  if (done === true) throw new Error(`${who} ended before it answered; its error is above`);
  return value;
}

/** All contenders in turn, A B C A B C …, after one round each that does not count. */
export async function inTurn(
  contenders: readonly Contender[],
  rounds: number,
  steps: number,
): Promise<readonly (readonly Round[])[]> {
  const results: Round[][] = contenders.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const result = await contender.go(steps);
      if (round >= 0) results[i]!.push(result);
    }
  }
  for (const contender of contenders) await contender.end();
  return results;
}
