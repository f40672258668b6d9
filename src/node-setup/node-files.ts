import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
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

  mode(path: string): number | null {
    return this.#try(path, () => statSync(this.at(path)).mode & 0o7777);
  }

  /** All of it or what was there before; missing folders are made and returned, the innermost first. */
  write(path: string, text: string, mode: number): string[] {
    const made: string[] = [];
    for (let folder = dirname(path); this.mode(folder) === null; folder = dirname(folder)) made.push(folder);
    this.#try(path, () => {
      mkdirSync(this.at(dirname(path)), { recursive: true });
      const next = this.at(`${path}.reprieve-new`);
      writeFileSync(next, text, { mode });
      chmodSync(next, mode); // whatever the umask is
      renameSync(next, this.at(path));
    });
    return made;
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
