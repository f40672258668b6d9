import { spawn } from 'node:child_process';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Text for the command's standard input; absent: none. */
  readonly input?: string;
  /** Ends the command and all it started. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a command to its end and answers what it printed on stdout. It has a process group of its own, so that an
 * interrupted `go build` takes its compilers with it.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  options.signal?.throwIfAborted();
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: 'pipe',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A command that ends without reading its input is no failure of its own; its exit code says what went wrong.
  child.stdin.on('error', () => {}).end(options.input ?? '');
  const endGroup = (): void => signalGroup(child.pid, 'SIGTERM');
  options.signal?.addEventListener('abort', endGroup);
  try {
    const code = await new Promise<number | string>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'unknown'));
    });
    options.signal?.throwIfAborted();
    if (code !== 0)
      throw new Error(`${command} ${args.join(' ')}: ended with ${code}\n${lastLines(stderr || stdout, 30)}`);
    return stdout;
  } finally {
    options.signal?.removeEventListener('abort', endGroup);
  }
}

/** Signals a process group that we created with `detached`; a group that is already gone is what the caller wants. */
export function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export function groupLives(pid: number): boolean {
  try {
    return process.kill(-pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
