import { homedir } from 'node:os';
import path from 'node:path';

/** Where Heliotrope keeps what has to outlive a process: $HELIOTROPE_HOME, or the XDG state folder. */
export function stateFolder(environment: NodeJS.ProcessEnv): string {
  if (environment.HELIOTROPE_HOME) return environment.HELIOTROPE_HOME;
  if (process.platform === 'win32') return path.join(environment.LOCALAPPDATA ?? homedir(), 'heliotrope');
  return path.join(environment.XDG_STATE_HOME ?? path.join(homedir(), '.local', 'state'), 'heliotrope');
}
