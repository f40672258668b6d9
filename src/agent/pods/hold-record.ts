import { mkdir, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const FILE = 'order.json';
/** Holds the time since when nobody knows what the state beside it is for. `reprieve node doctor` lists such states. */
export const UNKNOWN_FILE = 'unknown-since';

/** What a record lacks that another version wrote is no reason to leave its containers frozen: they are due at once. */
const schema = z.object({
  pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string() }),
  /** Ids of the containers that may stand frozen. */
  containers: z.array(z.string()),
  /** See `HoldTerms`. */
  thawAt: z.object({ serverMs: z.number(), monotonicMs: z.number() }).catch({ serverMs: 0, monotonicMs: 0 }),
  keepFrozen: z.boolean().catch(true),
  /** In the environment of the runtime that dumps them, and of all that it starts; nobody but root can know it. */
  token: z.string().catch(''),
});

/** Which containers an order has frozen, or was about to: what a later agent process needs to let them go on. */
export type HoldRecord = z.infer<typeof schema>;

/**
 * The hold records, each in the folder of its order; the disk store keeps the state of the order in the same folder. A record is on the disk before the first
 * container is paused and goes only after the last went on: whatever dies in between, nothing stands frozen that nobody
 * knows.
 */
export class HoldRecords {
  readonly #folder: string;

  /** @param folder the one with a folder for each order */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async keys(): Promise<readonly string[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const entries = await readdir(this.#folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  }

  /** Null where there is none: nothing was frozen yet. Rejects where it cannot be read. */
  async read(key: string): Promise<HoldRecord | null> {
    let text: string;
    try {
      text = await readFile(join(this.#folder, key, FILE), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    return schema.parse(JSON.parse(text));
  }

  /** The moment in the mark of a state; `nowMs`, which is marked, where it has none. */
  async unknownSince(key: string, nowMs: number): Promise<number> {
    const path = join(this.#folder, key, UNKNOWN_FILE);
    const marked = Date.parse(await readFile(path, 'utf8').catch(() => ''));
    if (!Number.isNaN(marked)) return marked;
    await writeFile(path, new Date(nowMs).toISOString(), { mode: 0o600 });
    return nowMs;
  }

  async known(key: string): Promise<void> {
    await rm(join(this.#folder, key, UNKNOWN_FILE), { force: true });
  }

  /** Resolves when it is on the disk. */
  async write(key: string, record: HoldRecord): Promise<void> {
    const folder = join(this.#folder, key);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await open(join(folder, `${FILE}.tmp`), 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(record));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(join(folder, `${FILE}.tmp`), join(folder, FILE));
    await synced(folder);
    await synced(this.#folder);
  }

  /** The containers went on. Needs no room on a disk that may be full. */
  async end(key: string): Promise<void> {
    await rm(join(this.#folder, key, FILE), { force: true });
  }

  /** The whole folder. */
  async remove(key: string): Promise<void> {
    await rm(join(this.#folder, key), { recursive: true, force: true });
  }
}

async function synced(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
