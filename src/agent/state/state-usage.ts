import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointsFolder, MANIFEST_FILE } from './layout.ts';
import { bytesOf, decodeManifest, sizesBelow } from './manifest.ts';

/** How much each state below a folder of states takes. That of a whole state is read once: it does not change. */
export class StateUsage {
  readonly #stateDir: string;
  readonly #whole = new Map<string, number>(); // reference -> bytes of all its files

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Reference -> bytes. */
  async of(references: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const present = new Set(references);
    for (const known of this.#whole.keys()) if (!present.has(known)) this.#whole.delete(known);
    const sizes = new Map<string, number>();
    for (const reference of references) sizes.set(reference, await this.#bytesOf(reference));
    return sizes;
  }

  /** It is begun anew, or no longer whole. */
  forget(reference: string): void {
    this.#whole.delete(reference);
  }

  async #bytesOf(reference: string): Promise<number> {
    const known = this.#whole.get(reference);
    if (known !== undefined) return known;
    const folder = join(checkpointsFolder(this.#stateDir), reference);
    const encoded = await readFile(join(folder, MANIFEST_FILE), 'utf8').catch(() => '');
    const manifest = decodeManifest(encoded);
    if (manifest === null) return sizesBelow(folder);
    const bytes = bytesOf(manifest);
    this.#whole.set(reference, bytes);
    return bytes;
  }
}
