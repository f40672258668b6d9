import { watch, type FSWatcher } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Timer } from '../../ports/clock.ts';

/** Notifications can be lost, or not be had at all (inotify's limits): then this is how late we are. */
const LOOK_EVERY_MS = 1000;

export interface FolderWatchOptions {
  /** Made when missing, 0700. */
  readonly folder: string;
  readonly clock: Clock;
  /** Called with the folder's subfolders (links are none) after each change in it or in one of them, and each second. */
  readonly look: (names: readonly string[]) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** Watches a folder and the folders in it. One look at a time; what changes meanwhile gets a look of its own. */
export class FolderWatch {
  readonly #options: FolderWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>(); // path -> its watcher
  #looking: Promise<void> | null = null;
  #again = false;
  #timer: Timer | null = null;
  #ended = false;

  constructor(options: FolderWatchOptions) {
    this.#options = options;
  }

  /** Resolves after the first look. Rejects when the folder cannot be made. */
  async start(): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    this.#watch(this.#options.folder);
    this.#tick();
    await this.#looking;
  }

  /** Resolves when no look is under way. */
  async stop(): Promise<void> {
    this.#ended = true;
    this.#timer?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#looking;
  }

  #tick(): void {
    this.#lookSoon();
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => this.#tick());
  }

  #lookSoon(): void {
    if (this.#ended) return;
    this.#again = true;
    this.#looking ??= this.#lookUntilDone();
  }

  async #lookUntilDone(): Promise<void> {
    while (this.#again && !this.#ended) {
      this.#again = false;
      try {
        const entries = await readdir(this.#options.folder, { withFileTypes: true });
        const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
        this.#watchThese(names);
        await this.#options.look(names);
      } catch (error) {
        this.#options.onError(error);
      }
    }
    this.#looking = null;
  }

  #watchThese(names: readonly string[]): void {
    const { folder } = this.#options;
    const wanted = new Set([folder, ...names.map((name) => join(folder, name))]);
    for (const [path, watcher] of this.#watchers) {
      if (wanted.has(path)) continue;
      watcher.close();
      this.#watchers.delete(path);
    }
    for (const path of wanted) if (!this.#watchers.has(path)) this.#watch(path);
  }

  /** Where this fails the look of each second remains. */
  #watch(path: string): void {
    if (this.#ended) return;
    try {
      const watcher = watch(path, () => this.#lookSoon());
      const forget = (): void => {
        watcher.close();
        if (this.#watchers.get(path) === watcher) this.#watchers.delete(path);
      };
      watcher.on('error', forget);
      this.#watchers.set(path, watcher);
    } catch {
      return;
    }
  }
}
