import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

interface CommandOptions {
  /** Aborting kills the command and all that it started, and waits until they are gone. */
  readonly signal?: AbortSignal | undefined;
  /** A command that runs longer is killed with all that it started, and fails. {@link LIMIT_MS} unless given. */
  readonly limitMs?: number | undefined;
  readonly cwd?: string | undefined;
  /** On top of the environment of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command of the host: no shell, messages in English. Rejects with CommandError when it cannot be started,
 * ends with another code than 0 or not in time, and with the signal's reason when it was aborted.
 */
export type RunCommand = (command: string, args: readonly string[], options?: CommandOptions) => Promise<CommandOutput>;

export class CommandError extends Error {
  readonly command: string;
  /** Null when it could not be started, or was ended by a signal. */
  readonly exitCode: number | null;
  readonly stderr: string;
  readonly stdout: string;

  constructor(command: string, exitCode: number | null, how: string, stderr: string, stdout = '') {
    const said = lastLines(stderr);
    super(`${command} ${how}${said === '' ? '' : `: ${said}`}`);
    this.name = 'CommandError';
    this.command = command;
    this.exitCode = exitCode;
    this.stderr = stderr;
    this.stdout = stdout;
  }
}

/** Of a command that asks or changes something: each takes less than a second. */
const LIMIT_MS = 60_000;
/** Of a command that reads or writes the state of a pod: 56 GiB at the speed of a slow disk (16 MiB/s). */
export const BULK_LIMIT_MS = 3_600_000;
/** SIGKILL ends a process within milliseconds, except one that waits for a device: such a process is left behind. */
const KILLED_WITHIN_MS = 2_000;

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
const MESSAGE_LINES = 5;
const MESSAGE_CHARACTERS = 1000;

export const runCommand: RunCommand = async (command, args, { signal, limitMs = LIMIT_MS, cwd, env } = {}) => {
  signal?.throwIfAborted();
  // A group of its own: what the command starts (runc starts criu) can be ended with it.
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
    env: { ...process.env, ...env, LC_ALL: 'C' },
  });
  const stdout = new Tail(MAX_OUTPUT_BYTES);
  const stderr = new Tail(MAX_ERROR_BYTES);
  child.stdout.on('data', (chunk: Buffer) => stdout.add(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.add(chunk));
  let ended: { code: number | null; signal: NodeJS.Signals | null };
  let isLate = false;
  let kill = (): void => undefined;
  const timers: NodeJS.Timeout[] = [];
  try {
    ended = await new Promise((resolve, reject) => {
      child.once('error', (error) =>
        reject(new CommandError(command, null, `cannot be started: ${error.message}`, '')),
      );
      child.once('close', (code, signal) => resolve({ code, signal }));
      kill = () => {
        killGroup(child.pid);
        timers.push(setTimeout(() => resolve({ code: null, signal: 'SIGKILL' }), KILLED_WITHIN_MS));
      };
      const onLimit = (): void => {
        isLate = true;
        kill();
      };
      timers.push(setTimeout(onLimit, limitMs));
      signal?.addEventListener('abort', kill);
    });
  } finally {
    signal?.removeEventListener('abort', kill);
    for (const timer of timers) clearTimeout(timer);
  }
  if (isLate && signal?.aborted !== true) {
    throw new CommandError(command, null, `did not end within ${limitMs / 1000} s`, stderr.text());
  }
  if (signal?.aborted === true) {
    await groupEnded(child.pid);
    signal.throwIfAborted();
  }
  if (ended.code !== 0) {
    const how = ended.code === null ? `was ended by ${ended.signal}` : `failed (${ended.code})`;
    throw new CommandError(command, ended.code, how, stderr.text(), stdout.text());
  }
  if (stdout.overflowed) throw new CommandError(command, 0, `wrote more than ${MAX_OUTPUT_BYTES} bytes`, '');
  return { stdout: stdout.text(), stderr: stderr.text() };
};

/** The last lines that say something, cut to a size that fits a condition. */
export function lastLines(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-MESSAGE_LINES).join('; ').slice(-MESSAGE_CHARACTERS);
}

/** Keeps the end of a stream. */
class Tail {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #seenBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get overflowed(): boolean {
    return this.#seenBytes > this.#maxBytes;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#seenBytes += chunk.length;
    this.#heldBytes += chunk.length;
    if (this.#heldBytes <= 2 * this.#maxBytes) return;
    const end = this.#end();
    this.#chunks = [end];
    this.#heldBytes = end.length;
  }

  text(): string {
    return this.#end().toString('utf8');
  }

  #end(): Buffer {
    return Buffer.concat(this.#chunks).subarray(-this.#maxBytes);
  }
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits for the members that outlive the leader, whose end nobody reports to us. */
async function groupEnded(leader: number | undefined): Promise<void> {
  if (leader === undefined) return;
  for (let leftMs = KILLED_WITHIN_MS; leftMs > 0 && groupHasMembers(leader); leftMs -= 10) {
    killGroup(leader);
    await sleep(10);
  }
}

/** Asks /proc, since a signal would also reach members that are dead and only wait for their parent to notice. */
function groupHasMembers(leader: number): boolean {
  return readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(group) === leader && state !== 'Z' && state !== 'X';
    } catch {
      return false; // it ended meanwhile
    }
  });
}
