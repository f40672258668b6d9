import { messageOf } from '../../domain/message-of.ts';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep, type Clock } from '../../ports/clock.ts';
import { FolderWatch } from './folder-watch.ts';
import { answerLine, CONTAINER_ID, parseRequest, type Answer, type RestoreRequest } from './request.ts';
import { isMissing, readSmallFile, replaceSmallFile } from './small-file.ts';
import { isRunning } from './waiting-process.ts';

export interface RestoreRequestsOptions {
  /** Shared with the runtime wrapper. */
  readonly runDir: string;
  readonly clock: Clock;
  /**
   * Called for each attempt of each request, several at a time. The signal is aborted as soon as nobody waits for the answer
   * any more. Where the handler rejects, it is called again after a pause, until the wrapper gives up waiting.
   *
   * The handler calls `own` before it changes anything of the container. From then on the wrapper creates the container only as the
   * answer says, however long it takes; `own` rejects where the wrapper has decided to create it without an answer.
   */
  readonly handler: (request: RestoreRequest, signal: AbortSignal, own: () => Promise<void>) => Promise<Answer>;
  /** The wrapper was killed outright: what it was told to do may still go on. The request is removed afterwards. */
  readonly onAbandoned?: (request: RestoreRequest) => Promise<void> | void;
  readonly onError: (error: unknown) => void;
}

interface Open {
  readonly request: RestoreRequest;
  readonly abort: AbortController;
}

/**
 * The agent's end of the protocol with the runtime wrapper (`deploy/node/reprieve-runc`). A request is a folder:
 *
 *     <runDir>/requests/<container id>.d/request   written by the wrapper: whose it is, and the attempt
 *                                       /owner     a file: the agent decides; a folder: the wrapper has given up
 *                                       /answer    written by us; the wrapper removes it when it asks again
 *                                       /result    written by the wrapper after a restore that failed
 *
 *     no request yet ──> open (no answer) ──> answered ──> open with the next attempt
 *                             │                  │
 *                             └── folder gone: the wrapper is done, or was ended ──> forgotten
 *
 * Everything is read from the disk: requests that are open when the agent starts are handled like new ones.
 */
export class RestoreRequests {
  readonly #options: RestoreRequestsOptions;
  readonly #folder: string;
  readonly #watch: FolderWatch;
  readonly #open = new Map<string, Open>(); // container id -> its request as we saw it last
  readonly #running = new Map<string, Promise<void>>(); // container id -> the last thing we do for it, until it is done
  readonly #leaving = new Set<string>(); // container ids whose wrapper was killed, until that is cleaned up
  readonly #faults = new Map<string, string>(); // folder -> what was wrong with it, so that it is told once

  constructor(options: RestoreRequestsOptions) {
    this.#options = options;
    this.#folder = join(options.runDir, 'requests');
    this.#watch = new FolderWatch({
      folder: this.#folder,
      clock: options.clock,
      look: (names) => this.#look(names),
      onError: options.onError,
    });
  }

  /** Resolves when every request that was open has been given to the handler. */
  start(): Promise<void> {
    return this.#watch.start();
  }

  /** Aborts what is under way, without an answer: whoever starts next finds the requests open. */
  async stop(): Promise<void> {
    await this.#watch.stop();
    for (const { abort } of this.#open.values()) abort.abort(new Error('the agent stops'));
    await Promise.all(this.#running.values());
  }

  async #look(names: readonly string[]): Promise<void> {
    const present = new Set(names);
    for (const [id, { abort }] of this.#open) {
      if (present.has(`${id}.d`)) continue;
      abort.abort(new Error('nobody waits for the answer'));
      this.#open.delete(id);
    }
    for (const name of this.#faults.keys()) if (!present.has(name)) this.#faults.delete(name);
    await Promise.all(names.map((name) => this.#lookAt(name).catch((error: unknown) => this.#fault(name, error))));
  }

  async #lookAt(name: string): Promise<void> {
    const id = name.endsWith('.d') ? name.slice(0, -2) : '';
    if (!CONTAINER_ID.test(id)) throw new Error('not the name of a request');
    const path = join(this.#folder, name);
    // In this order: the wrapper writes the next attempt before it removes the answer to the last one.
    const isAnswered = await hasAnswer(path);
    const request = await this.#read(path, id);
    if (request === null) return; // the wrapper is about to write it
    if (typeof request === 'string') {
      if (!(await hasAnswer(path)))
        await this.#write(path, { kind: 'refuse', message: `malformed request: ${request}` });
      throw new Error(`malformed request: ${request}`);
    }
    if (request.process !== null && !(await isRunning(request.process))) {
      this.#open.get(id)?.abort.abort(new Error('the wrapper was killed'));
      if (this.#leaving.has(id)) return;
      this.#leaving.add(id);
      this.#inTurn(id, () => this.#abandoned(path, request));
      return;
    }
    const known = this.#open.get(id);
    if (known && isSame(known.request, request)) return;
    // Also afterwards: the last one may have been answered, and the next attempt written, since.
    if (isAnswered || (await hasAnswer(path))) return;
    known?.abort.abort(new Error('asked anew'));
    const abort = new AbortController();
    this.#open.set(id, { request, abort });
    this.#inTurn(id, () => this.#handle(path, request, abort.signal));
  }

  /** What is done for one container never overlaps: a handler that was told to stop may take its time. */
  #inTurn(id: string, run: () => Promise<void>): void {
    const before = this.#running.get(id);
    const turn = (before ? before.then(run) : run()).finally(() => {
      if (this.#running.get(id) === turn) this.#running.delete(id);
    });
    this.#running.set(id, turn);
  }

  async #read(path: string, id: string): Promise<RestoreRequest | string | null> {
    try {
      const text = await readSmallFile(join(path, 'request'));
      return text === null ? null : parseRequest(text, id);
    } catch (error) {
      return messageOf(error);
    }
  }

  /** A failure is never the answer: it is told, and the handler is asked again while the wrapper waits. */
  async #handle(path: string, request: RestoreRequest, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        const answer = await this.#options.handler(request, signal, () => own(path));
        if (signal.aborted) return;
        // An answer to an earlier attempt must not be taken for one to the next.
        const now = await this.#read(path, request.id);
        if (now === null || typeof now === 'string' || !isSame(now, request)) return;
        return await this.#write(path, answer);
      } catch (error) {
        if (signal.aborted || (await isGone(path))) return;
        this.#options.onError(error);
        await sleep(this.#options.clock, retryMs(failures), signal).catch(() => undefined);
      }
    }
  }

  async #write(path: string, answer: Answer): Promise<void> {
    await replaceSmallFile(join(path, 'answer'), answerLine(answer));
  }

  async #abandoned(path: string, request: RestoreRequest): Promise<void> {
    try {
      // It may have been done a moment ago, and removed the request itself.
      if (!(await isGone(path))) await this.#options.onAbandoned?.(request);
      await rm(path, { recursive: true, force: true });
    } catch (error) {
      this.#options.onError(error);
    }
    this.#open.delete(request.id);
    this.#leaving.delete(request.id);
  }

  #fault(name: string, error: unknown): void {
    if (isMissing(error)) return; // the wrapper removed it while we looked
    const message = `${name}: ${messageOf(error)}`;
    if (this.#faults.get(name) === message) return;
    this.#faults.set(name, message);
    this.#options.onError(new Error(message, { cause: error }));
  }
}

/** Made by one of the two, once: the agent makes a file, the wrapper a folder. */
async function own(path: string): Promise<void> {
  const owner = join(path, 'owner');
  try {
    await (await open(owner, 'wx', 0o600)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!(await stat(owner)).isFile())
      throw new Error('the wrapper creates the container without an answer', { cause: error });
  }
}

/** Pause before what has failed `failures` times before is tried again: 250 ms, twice as long each time, at most 10 s. */
function retryMs(failures: number): number {
  return Math.min(10_000, 250 * 2 ** Math.min(failures, 10));
}

function isSame(a: RestoreRequest, b: RestoreRequest): boolean {
  return a.attempt === b.attempt && a.process === b.process;
}

async function hasAnswer(path: string): Promise<boolean> {
  return !(await isGone(join(path, 'answer')));
}

async function isGone(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    () => true,
  );
}
