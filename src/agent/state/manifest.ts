import { createHash } from 'node:crypto';
import { open, readFile, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { digestFile, type FileDigest } from './digest.ts';
import type { Refusal } from './refusal.ts';
import { together } from './together.ts';

const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 50_000;
const MAX_ITEMS = 5_000;
/** Work folders hold logs of criu, order.json is the agent's own: neither is state. */
const IGNORED = /^(?:manifest\.json(?:\.tmp)?|order\.json(?:\.tmp)?|containers\/[^/]+\/work(?:\/|$))/;

const text = z.string().max(1024);
const items = z.array(z.string().max(4096)).max(MAX_ITEMS).readonly();
const count = z.int().nonnegative();

const SECURITY = z.strictObject({
  uid: count,
  gid: count,
  additionalGids: z.array(count).max(MAX_ITEMS).readonly(),
  capabilities: items,
  noNewPrivileges: z.boolean(),
  apparmorProfile: text,
  selinuxLabel: text,
  seccomp: text,
  readonlyRootfs: z.boolean(),
  maskedPaths: items,
  readonlyPaths: items,
  devices: items,
  namespaces: items,
});

/** Relative, and leads nowhere else. */
const filePath = z
  .string()
  .max(1024)
  .regex(/^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[\w.][\w./-]*$/);

const DIGEST = /^[0-9a-f]{64}$/;

const SCHEMA = z.strictObject({
  version: z.literal(1),
  pod: z.strictObject({ namespace: text, name: text, uid: text }),
  takenAt: z.iso.datetime(),
  /** The class of nodes that can restore it; null: not known. */
  compatibility: text.nullable(),
  containers: z
    .array(
      z.strictObject({
        name: text,
        /** As the pod's status names it: the image id, with its digest. */
        image: text.min(1),
        security: SECURITY,
        /** Destinations, sorted. */
        mounts: items,
        /** Of ConfigMaps, Secrets and the like that it has open: they must have the same content in the new pod. */
        configFiles: z
          .array(
            z.strictObject({
              mount: z.string().max(4096),
              path: z.string().max(4096),
              sha256: z.string().regex(DIGEST),
            }),
          )
          .max(MAX_ITEMS)
          .readonly()
          .optional(),
      }),
    )
    .min(1)
    .max(MAX_ITEMS),
  /** Names of the emptyDir volumes that were saved; null: they and the shared memory were not, and come back empty. */
  volumes: items.nullable(),
  files: z
    .array(z.strictObject({ path: filePath, bytes: count, sha256: z.string().regex(DIGEST) }))
    .max(MAX_FILES)
    .refine((files) => files.every(({ path }, at) => at === 0 || path > (files[at - 1]?.path ?? '')), {
      error: 'not sorted by path, or a path twice',
    }),
});

/** What a saved pod is and which files it consists of. */
export type Manifest = z.infer<typeof SCHEMA>;
export type ManifestFile = Manifest['files'][number];

/** A file as its folder has it. */
export type FoundFile = Pick<ManifestFile, 'path' | 'bytes'>;

/** The files below a folder. Throws where it holds anything else than folders and ordinary files. */
export async function findFiles(folder: string): Promise<readonly FoundFile[]> {
  const found = await walk(folder);
  if (found.odd !== undefined) throw new Error(`${found.odd} is neither a file nor a folder`);
  return found.files;
}

/**
 * Their digests, two at a time (hashing is the event loop's, reading is not). Digests that are known already (path -> digest)
 * are taken where the size still agrees.
 */
export function digestFiles(
  folder: string,
  files: readonly FoundFile[],
  known: ReadonlyMap<string, FileDigest> = new Map(),
  signal?: AbortSignal,
): Promise<ManifestFile[]> {
  return twoAtATime(files, async ({ path, bytes }) => {
    const digest = known.get(path);
    return { path, ...(digest?.bytes === bytes ? digest : await digestFile(join(folder, path), signal)) };
  });
}

/** Both. */
export async function listFiles(
  folder: string,
  known?: ReadonlyMap<string, FileDigest>,
  signal?: AbortSignal,
): Promise<ManifestFile[]> {
  return digestFiles(folder, await findFiles(folder), known, signal);
}

/**
 * Null when all files are what the manifest says, and there is nothing else. Reads every file, except those whose digests
 * are `known` (path -> digest) because they have just been written here.
 */
export async function verify(
  folder: string,
  manifest: Manifest,
  signal?: AbortSignal,
  known: ReadonlyMap<string, FileDigest> = new Map(),
): Promise<Refusal | null> {
  const refusal = await compareListing(folder, manifest);
  if (refusal !== null) return refusal;
  const wrong = await twoAtATime(manifest.files, async ({ path, sha256 }) =>
    (known.get(path) ?? (await digestFile(join(folder, path), signal))).sha256 === sha256 ? null : path,
  );
  const first = wrong.find((path) => path !== null);
  return first === undefined ? null : mismatch(`${first} was changed: its digest differs from that of the manifest`);
}

/** The same as far as names and sizes tell. */
export async function compareListing(folder: string, { files }: Manifest): Promise<Refusal | null> {
  const found = await walk(folder);
  if (found.odd !== undefined) return mismatch(`${found.odd} is neither a file nor a folder`);
  const there = new Map(found.files.map(({ path, bytes }) => [path, bytes]));
  const listed = new Set(files.map(({ path }) => path));
  const missing = files.find(({ path }) => !there.has(path));
  if (missing !== undefined) return mismatch(`${missing.path} is missing`);
  const extra = found.files.find(({ path }) => !listed.has(path));
  if (extra !== undefined) return mismatch(`${extra.path} is not in the manifest`);
  const other = files.find(({ path, bytes }) => there.get(path) !== bytes);
  if (other === undefined) return null;
  return mismatch(`${other.path} has ${there.get(other.path)} bytes, and the manifest says ${other.bytes}`);
}

/** The only text of a manifest: keys sorted, no spaces. */
export function encodeManifest(manifest: Manifest): string {
  return JSON.stringify(sorted(manifest));
}

/** `sha256:<hex>` of that text: what the API server is told. */
export function manifestDigest(encoded: string): string {
  return `sha256:${createHash('sha256').update(encoded).digest('hex')}`;
}

/** Writes it so that it is there as a whole or not at all, after a power cut as well; gives its digest. */
export async function writeManifest(path: string, manifest: Manifest): Promise<string> {
  const encoded = encodeManifest(SCHEMA.parse(manifest));
  if (encoded.length > MAX_MANIFEST_BYTES) throw new RangeError(`the manifest has ${encoded.length} characters`);
  const file = await open(`${path}.tmp`, 'w', 0o600);
  try {
    await file.writeFile(encoded);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  await syncPath(dirname(path));
  return manifestDigest(encoded);
}

/** The manifest in a text; null where it is none. Whether it can be trusted, its digest tells. */
export function decodeManifest(encoded: string): Manifest | null {
  try {
    return SCHEMA.safeParse(JSON.parse(encoded)).data ?? null;
  } catch {
    return null;
  }
}

/** The manifest at `path`, or why it cannot be trusted: it is not the one with this digest, or not there. */
export async function readManifest(
  path: string,
  expectedDigest: string,
): Promise<{ readonly manifest: Manifest } | { readonly refusal: Refusal }> {
  let encoded: string;
  try {
    if ((await stat(path)).size > MAX_MANIFEST_BYTES) return { refusal: mismatch('manifest.json is too large') };
    encoded = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { refusal: mismatch('manifest.json is missing') };
    throw error;
  }
  if (manifestDigest(encoded) !== expectedDigest) {
    return { refusal: mismatch('manifest.json was changed: its digest is not that in the ticket') };
  }
  const parsed = SCHEMA.safeParse(JSON.parse(encoded));
  if (!parsed.success)
    return { refusal: mismatch(`manifest.json is of another version: ${z.prettifyError(parsed.error)}`) };
  return { manifest: parsed.data };
}

/** Makes a file, or the names in a folder, survive a power cut. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Does something with each item, two at a time, and gives the results in order. After a failure no other item is begun. */
export async function twoAtATime<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries(); // shared: each worker takes the next one
  const worker = async (signal: AbortSignal): Promise<void> => {
    for (const [at, item] of queue) {
      if (signal.aborted) return;
      results[at] = await work(item);
    }
  };
  await together(undefined, [worker, worker]);
  return results;
}

/** Of all files that it names. */
export function bytesOf({ files }: Manifest): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Sizes of all files below a folder, whatever they are; 0 where it is gone. */
export async function sizesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await twoAtATime(files, ({ parentPath, name }) =>
    stat(join(parentPath, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

interface Found {
  readonly files: readonly FoundFile[];
  /** The first that is neither file nor folder (a symlink, a device). */
  readonly odd: string | undefined;
}

async function walk(folder: string): Promise<Found> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const named = entries
    .map((entry) => ({ entry, path: relative(folder, join(entry.parentPath, entry.name)) }))
    .filter(({ path }) => !IGNORED.test(path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const odd = named.find(({ entry }) => !entry.isFile() && !entry.isDirectory())?.path;
  const files = named.filter(({ entry }) => entry.isFile());
  return {
    odd,
    files: await twoAtATime(files, async ({ path }) => ({ path, bytes: (await stat(join(folder, path))).size })),
  };
}

function mismatch(message: string): Refusal {
  return { reason: 'DigestMismatch', message };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
