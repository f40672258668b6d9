import { watch, type FSWatcher } from 'node:fs';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Answer, ContainerResult, RestoreRequest } from './protocol.ts';

/** A change that the kernel did not tell of is found this much later. */
const LOOK_EVERY_MS = 1000;
const MAX_REQUEST_BYTES = 8192;

const REQUEST = /^([0-9A-Za-z_][0-9A-Za-z_.-]*)\.request$/;
const RESULT = /^([0-9a-f-]+)\.([0-9a-z-]+)$/;

const schema = z.object({
  kind: z.enum(['sandbox', 'container']),
  pod: z.string().regex(/^[0-9a-f-]+$/),
  container: z.string().regex(/^[0-9a-z-]*$/),
  id: z.string().regex(/^[0-9A-Za-z_][0-9A-Za-z_.-]*$/),
  bundle: z.string().startsWith('/'),
  attempt: z.coerce.number().int().min(0).max(1000),
  failure: z.string(),
});

export interface RestoreRequestsOptions {
  /** Shared with the wrapper. */
  readonly runDir: string;
  readonly clock: Clock;
  /** Asked once for each request. Rejects with the reason of `withdrawn` where the wrapper does not wait any more. */
  readonly answer: (request: RestoreRequest, withdrawn: AbortSignal) => Promise<Answer>;
  /** A container came up. Called for those of before the start as well. */
  readonly onResult: (podUid: string) => void;
  readonly onError: (error: unknown) => void;
}

/** The agent's end of the protocol with the wrapper: files in the run folder, each written under another name and renamed. */
export class RestoreRequests {
  readonly #options: RestoreRequestsOptions;
  readonly #open = new Map<string, AbortController>(); // text of a request -> ends the work on it
  readonly #results = new Map<string, string>(); // file name -> how the container came up
  readonly #watchers: FSWatcher[] = [];
  #timer: Timer | null = null;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: RestoreRequestsOptions) {
    this.#options = options;
  }

  /** Makes the folders; what an earlier restore logged goes. */
  async prepare(): Promise<void> {
    await rm(this.#path('work'), { recursive: true, force: true });
    await mkdir(this.#options.runDir, { recursive: true, mode: 0o700 });
    for (const folder of ['requests', 'results', 'restored', 'first']) {
      await mkdir(this.#path(folder), { recursive: true, mode: 0o700 });
    }
  }

  /** Answers what is asked from now on, and what was asked before. After {@link prepare}. */
  async start(): Promise<void> {
    const { onError } = this.#options;
    for (const folder of ['requests', 'results']) {
      this.#watchers.push(watch(this.#path(folder), () => this.#look()).on('error', onError));
    }
    this.#look();
    await this.#looking;
    this.#lookAgain();
  }

  /** Requests stay for the next process. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    for (const watcher of this.#watchers) watcher.close();
    for (const work of this.#open.values()) work.abort(new Error('the agent stops'));
    await this.#looking;
  }

  /** How the containers of a pod came up so far. */
  async results(podUid: string): Promise<ReadonlyMap<string, ContainerResult>> {
    const results = new Map<string, ContainerResult>();
    for (const name of await readdir(this.#path('results'))) {
      const [, uid, container] = RESULT.exec(name) ?? [];
      if (uid !== podUid || container === undefined) continue;
      const [word] = (await this.#read('results', name))?.split(' ') ?? [];
      if (word === 'restored' || word === 'cold' || word === 'passed') results.set(container, word);
    }
    return results;
  }

  /** Removes what is remembered of pods that are not on this node any more. */
  async forgetOthers(podUids: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#path('results'))) {
      if (!podUids.has(RESULT.exec(name)?.[1] ?? '')) await rm(this.#path('results', name), { force: true });
    }
    for (const uid of await readdir(this.#path('first'))) {
      if (!podUids.has(uid)) await rm(this.#path('first', uid), { force: true });
    }
  }

  /** One look at a time, and one more for what changes meanwhile. */
  #look(): void {
    const { onError } = this.#options;
    this.#looking = this.#looking.then(() => this.#lookNow()).catch(onError);
  }

  #lookAgain(): void {
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => {
      this.#look();
      void this.#looking.then(() => this.#lookAgain());
    });
  }

  async #lookNow(): Promise<void> {
    const present = new Set<string>();
    for (const name of await readdir(this.#path('requests'))) {
      const [, id] = REQUEST.exec(name) ?? [];
      const text = id === undefined ? null : await this.#read('requests', name);
      if (id === undefined || text === null) continue;
      present.add(text);
      if (!this.#open.has(text)) this.#take(id, text);
    }
    for (const [text, work] of this.#open) {
      if (present.has(text)) continue;
      this.#open.delete(text);
      work.abort(new Error('the runtime does not wait any more'));
    }
    await this.#lookAtResults();
  }

  async #lookAtResults(): Promise<void> {
    for (const name of await readdir(this.#path('results'))) {
      const [, podUid] = RESULT.exec(name) ?? [];
      const text = podUid === undefined ? null : await this.#read('results', name);
      if (podUid === undefined || text === null || this.#results.get(name) === text) continue;
      this.#results.set(name, text);
      this.#options.onResult(podUid);
    }
  }

  #take(id: string, text: string): void {
    const withdrawn = new AbortController();
    this.#open.set(text, withdrawn);
    const request = requestOf(text, id);
    const work: Promise<Answer> =
      request === null
        ? Promise.resolve({ kind: 'refuse', message: 'the agent does not understand this version of reprieve-runc' })
        : this.#options.answer(request, withdrawn.signal);
    work
      .then((answer) => this.#write(id, answer, withdrawn.signal))
      .catch((error: unknown) => {
        if (!withdrawn.signal.aborted) this.#options.onError(error);
      });
  }

  async #write(id: string, answer: Answer, withdrawn: AbortSignal): Promise<void> {
    if (withdrawn.aborted) return;
    const path = this.#path('requests', `${id}.answer`);
    await writeFile(`${path}.tmp`, textOf(answer), { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  }

  /** Null where it is gone, or larger than anything the wrapper writes. */
  async #read(folder: string, name: string): Promise<string | null> {
    const file = await open(this.#path(folder, name)).catch(() => null);
    if (file === null) return null;
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_REQUEST_BYTES));
      return bytesRead === MAX_REQUEST_BYTES ? null : buffer.toString('utf8', 0, bytesRead).trimEnd();
    } finally {
      await file.close();
    }
  }

  #path(...parts: readonly string[]): string {
    return join(this.#options.runDir, ...parts);
  }
}

function requestOf(text: string, id: string): RestoreRequest | null {
  const fields = Object.fromEntries(
    text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const { data } = schema.safeParse(fields);
  if (data === undefined || data.id !== id) return null;
  const { kind, pod, container, bundle, attempt, failure } = data;
  return { kind, podUid: pod, containerName: container, containerId: id, bundle, attempt, failure: failure || null };
}

/** Lines: the verdict, and what goes with it; always three, for a shell reads them one by one. */
function textOf(answer: Answer): string {
  const rest =
    answer.kind === 'restore'
      ? [answer.imagePath, answer.workPath]
      : [answer.kind === 'refuse' ? answer.message : '', ''];
  return [answer.kind, ...rest.map((line) => line.replaceAll('\n', ' '))].join('\n') + '\n';
}
