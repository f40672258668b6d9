import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { groupLives, lastLines, signalGroup } from './command.ts';

export interface DaemonOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Appended to, so that a restart keeps what was said before. */
  readonly logPath: string;
  /** Added to the caller's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Longest wait for a program to be ready: the API server needs 2 to 3 s on 2 busy cores. */
const readyTimeoutMs = 90_000;
const probeEveryMs = 50;
/** An API server that ends its watches first is gone after 1 s; SIGKILL is for what hangs. */
const termTimeoutMs = 15_000;

/** Process groups alive, ended when this process exits without having stopped them. */
const groups = new Set<number>();
process.on('exit', () => groups.forEach((pid) => signalGroup(pid, 'SIGKILL')));

/** One long-running program: a process group of its own and a log file. It is running from `start` until `stop` or its own end. */
export class Daemon {
  readonly pid: number;
  readonly #options: DaemonOptions;
  readonly #exited: Promise<void>;
  #verdict: string | null = null; // how it ended; null while it runs

  private constructor(options: DaemonOptions, child: ChildProcess) {
    const pid = child.pid as number;
    this.pid = pid;
    this.#options = options;
    groups.add(pid);
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        groups.delete(pid);
        this.#verdict = `ended with ${code ?? signal}`;
        resolve();
      });
    });
  }

  static async start(options: DaemonOptions): Promise<Daemon> {
    const log = await open(options.logPath, 'a', 0o600);
    try {
      const { command, args, cwd } = options;
      const env = { ...process.env, ...options.env };
      const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', log.fd, log.fd] });
      // 'spawn' or 'error' comes first; without a process there is nothing to stop.
      await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
      return new Daemon(options, child);
    } finally {
      await log.close();
    }
  }

  get isRunning(): boolean {
    return this.#verdict === null;
  }

  /** Waits until `probe` answers true; fails with the end of the log when the program ends or takes too long. */
  async ready(probe: () => Promise<boolean>): Promise<void> {
    const deadlineMs = Date.now() + readyTimeoutMs;
    while (!(await probe())) {
      if (this.#verdict !== null) throw await this.#failure(this.#verdict);
      if (Date.now() > deadlineMs) throw await this.#failure(`not ready after ${readyTimeoutMs / 1000} s`);
      await sleep(probeEveryMs);
    }
  }

  /** Ends the program and waits for it. SIGKILL as the first signal is the crash that tests ask for. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    signalGroup(this.pid, signal);
    const overdue = setTimeout(() => signalGroup(this.pid, 'SIGKILL'), termTimeoutMs);
    await this.#exited;
    // A launcher, as nsenter, may end before what it launched.
    while (groupLives(this.pid)) await sleep(probeEveryMs);
    clearTimeout(overdue);
  }

  /** Sends a signal, and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) signalGroup(this.pid, signal);
  }

  /** Resolves when it has ended, however that came. */
  async ended(): Promise<void> {
    await this.#exited;
  }

  async log(): Promise<string> {
    return readFile(this.#options.logPath, 'utf8');
  }

  async #failure(what: string): Promise<Error> {
    const { name, logPath } = this.#options;
    return new Error(`${name}: ${what}; the end of ${logPath}:\n${lastLines(await this.log(), 30)}`);
  }
}
