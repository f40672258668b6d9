import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '../observe/error-codes.ts';

/** The files of a node below a root. Paths are those of the node. Throws `NodeFileUnusable`. */
export class NodeFiles {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  at(path: string): string {
    return join(this.root, path);
  }

  /** Null when there is none. */
  read(path: string): string | null {
    return this.#try(path, () => readFileSync(this.at(path), 'utf8'));
  }

  /** Empty when there is no such folder. */
  names(path: string): string[] {
    return this.#try(path, () => readdirSync(this.at(path))) ?? [];
  }

  mode(path: string): number | null {
    return this.#try(path, () => statSync(this.at(path)).mode & 0o7777);
  }

  /** Returns the folders that had to be made, the innermost first. */
  makeFolder(path: string, mode?: number): string[] {
    const made: string[] = [];
    for (let folder = path; this.mode(folder) === null; folder = dirname(folder)) made.push(folder);
    if (made.length === 0) return made;
    this.#try(path, () => mkdirSync(this.at(path), { recursive: true }));
    if (mode !== undefined) this.#try(path, () => chmodSync(this.at(path), mode)); // whatever the umask is
    return made;
  }

  /** All of it or what was there before; its folder is there. */
  write(path: string, text: string, mode: number): void {
    this.#try(path, () => {
      const next = this.at(`${path}.reprieve-new`);
      writeFileSync(next, text, { mode });
      chmodSync(next, mode);
      renameSync(next, this.at(path));
    });
  }

  remove(path: string): void {
    this.#try(path, () => rmSync(this.at(path), { force: true }));
  }

  /** Only an empty one. */
  removeFolder(path: string): void {
    try {
      rmdirSync(this.at(path));
    } catch (error) {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
    }
  }

  #try<T>(path: string, act: () => T): T | null {
    try {
      return act();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw new AppError('NodeFileUnusable', { path: this.at(path), cause: (error as Error).message }, error);
    }
  }
}

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
