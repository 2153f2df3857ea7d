import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Runs a script on another Node in this process's place: it ends as that one ends, and there is nobody in between who would pass signals on that
 * a service manager or a terminal has sent to both.
 *
 * Where a process cannot be replaced (Windows, Node before 22.15) there are two. Signals are passed on, as they may have been sent to this one alone;
 * the program takes two in quick succession for one (`stopSignal` in src/cli/context.ts).
 *
 * @param {string} node the executable
 * @param {readonly string[]} args its arguments
 * @param {NodeJS.ProcessEnv} env
 */
export function become(node, args, env) {
  if (process.platform !== 'win32' && typeof process.execve === 'function') {
    // That it is an experimental feature is no news to whoever starts Heliotrope.
    process.removeAllListeners('warning');
    process.execve(node, [node, ...args], env);
  }
  const child = spawn(node, args, { stdio: 'inherit', env });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`error: ${node} could not be started (${error.message}).\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const each of signals) process.removeAllListeners(each);
    process.kill(process.pid, signal);
    // Of a signal that does not end this process.
    process.exit(128 + (constants.signals[signal] ?? 1));
  });
}
