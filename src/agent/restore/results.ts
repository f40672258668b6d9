import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../ports/clock.ts';
import { FolderWatch } from './folder-watch.ts';
import { CONTAINER_ID, CONTAINER_NAME, POD_UID } from './request.ts';
import { isMissing, readSmallFile, replaceSmallFile } from './small-file.ts';

/**
 * How a container of a pod with a ticket began. `restored`: from its saved state. `cold`: anew, as the agent decided.
 * `passed`: anew, because the agent did not answer.
 */
const OUTCOMES = ['restored', 'cold', 'passed'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface ContainerResult {
  readonly outcome: Outcome;
  readonly containerId: string;
}

/** Null as long as the container has not begun. Throws when the file is not one that the wrapper wrote. */
export async function resultOf(runDir: string, podUid: string, container: string): Promise<ContainerResult | null> {
  if (!CONTAINER_NAME.test(container)) throw new Error(`not the name of a container: ${container}`);
  const path = join(podFolder(runDir, podUid), `${container}.result`);
  const text = await readSmallFile(path);
  if (text === null) return null;
  const [outcome, containerId, ...rest] = (text.split('\n', 1)[0] as string).split(' ') as [Outcome, ...string[]];
  if (!OUTCOMES.includes(outcome) || !CONTAINER_ID.test(containerId ?? '') || rest.length > 0) {
    throw new Error(`${path} is not a result`);
  }
  return { outcome, containerId: containerId as string };
}

/** Of all containers of a pod that have begun. */
export async function resultsOf(
  runDir: string,
  podUid: string,
): Promise<readonly (ContainerResult & { readonly container: string })[]> {
  const names = await readdir(podFolder(runDir, podUid)).catch(() => []);
  const containers = names.filter((name) => name.endsWith('.result')).map((name) => name.slice(0, -'.result'.length));
  const results = await Promise.all(
    containers.map(async (container) => {
      const result = await resultOf(runDir, podUid, container);
      return result && { ...result, container };
    }),
  );
  return results.filter((result) => result !== null);
}

/** Says of a container that was restored that it started cold: it was ended, and the kubelet begins another in its place. */
export async function startedCold(
  runDir: string,
  podUid: string,
  { container, containerId }: { readonly container: string; readonly containerId: string },
): Promise<void> {
  await replaceSmallFile(join(podFolder(runDir, podUid), `${container}.result`), `cold ${containerId}\n`);
}

/** When the wrapper first asked for a pod, milliseconds since the epoch; null when it has not. */
export async function firstAskedMs(runDir: string, podUid: string): Promise<number | null> {
  try {
    return (await stat(join(podFolder(runDir, podUid), 'first'))).mtimeMs;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Removes what is remembered of a pod that is gone. */
export async function forgetPod(runDir: string, podUid: string): Promise<void> {
  await rm(podFolder(runDir, podUid), { recursive: true, force: true });
}

/** The same for all pods but these. */
export async function forgetOtherPods(runDir: string, podUids: ReadonlySet<string>): Promise<void> {
  const known = await readdir(join(runDir, 'pods')).catch(() => []);
  for (const uid of known) if (POD_UID.test(uid) && !podUids.has(uid)) await forgetPod(runDir, uid);
}

function podFolder(runDir: string, podUid: string): string {
  if (!POD_UID.test(podUid)) throw new Error(`not the UID of a pod: ${podUid}`);
  return join(runDir, 'pods', podUid);
}

export interface PodResultsOptions {
  readonly runDir: string;
  readonly clock: Clock;
  /**
   * Called once for each result, and once more after a start of the agent; one call after the other. Where it rejects, it is
   * called again with the next look.
   */
  readonly onResult: (podUid: string, container: string, result: ContainerResult) => Promise<void> | void;
  readonly onError: (error: unknown) => void;
}

/** Tells how the containers of pods with tickets began, as soon as the wrapper has written it down. */
export class PodResults {
  readonly #options: PodResultsOptions;
  readonly #watch: FolderWatch;
  readonly #told = new Map<string, Set<string>>(); // pod uid -> containers whose result was told, or cannot be

  constructor(options: PodResultsOptions) {
    this.#options = options;
    this.#watch = new FolderWatch({
      folder: join(options.runDir, 'pods'),
      clock: options.clock,
      look: (names) => this.#look(names),
      onError: options.onError,
    });
  }

  start(): Promise<void> {
    return this.#watch.start();
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }

  async #look(names: readonly string[]): Promise<void> {
    const pods = names.filter((name) => POD_UID.test(name));
    for (const pod of this.#told.keys()) if (!pods.includes(pod)) this.#told.delete(pod);
    for (const pod of pods) {
      const told = this.#told.get(pod) ?? new Set();
      this.#told.set(pod, told);
      const files = await readdir(podFolder(this.#options.runDir, pod)).catch(() => []);
      for (const file of files) {
        const container = file.endsWith('.result') ? file.slice(0, -'.result'.length) : '';
        if (CONTAINER_NAME.test(container) && !told.has(container)) await this.#tell(pod, container, told);
      }
    }
  }

  async #tell(pod: string, container: string, told: Set<string>): Promise<void> {
    const { runDir, onResult, onError } = this.#options;
    const result = await resultOf(runDir, pod, container).catch((error: unknown) => {
      told.add(container); // it will be no result at the next look either
      onError(error);
      return null;
    });
    if (result === null) return;
    try {
      await onResult(pod, container, result);
      told.add(container);
    } catch (error) {
      onError(error);
    }
  }
}
