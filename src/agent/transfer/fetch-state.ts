import { X509Certificate } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PeerCertificate } from 'node:tls';
import { Agent, request, type Dispatcher } from 'undici';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { FileDigest } from '../state/digest.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import { bytesOf, decodeManifest, manifestDigest, twoAtATime, type Manifest } from '../state/manifest.ts';
import { nodeOf, type PeerCredentials } from './peer-identity.ts';
import type { FetchRoom } from './fetch-room.ts';
import { receive, TooLongError } from './receive.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const SILENCE_MS = 30_000;
const BUSY = 503;
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

export interface FetchStateOptions {
  /** `host:port` of the agent that holds the state. */
  readonly peer: string;
  /** The node of that agent: its certificate has to be for it. */
  readonly holder: string;
  /** Our own certificate; null while there is none. */
  readonly credentials: () => PeerCredentials | null;
  /** Name of the ticket by which a pod of this node continues the state. */
  readonly ticket: string;
  /** Where the state is to lie here. */
  readonly layout: SavedPodLayout;
  /** What the API server says of it. */
  readonly manifestDigest: string;
  /** The same of its size: no more than that is written. */
  readonly bytes: number;
  readonly room: FetchRoom;
  /** How long to try while the other does not answer. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly stop: AbortSignal;
}

/** Another state than the one that was verified, or none at all: asking again would not help. */
export class WrongStateError extends Error {
  override readonly name = 'WrongStateError';
}

/** The holder gives too many states away just now: it is there, and asking again helps. */
class BusyError extends Error {
  override readonly name = 'BusyError';
}

/** The disk of this node has no room for it. */
export class NoRoomError extends Error {
  override readonly name = 'NoRoomError';
}

export interface Fetched {
  /** Path -> what was written there, of the files that came in one piece. The others have to be read to be known. */
  readonly digests: ReadonlyMap<string, FileDigest>;
}

/**
 * Brings a saved pod from the agent that holds it, two files at a time; what has arrived is not asked for again, also after
 * a break in the middle of a file or of this process. The files are yet to be verified. Rejects with {@link WrongStateError} or
 * {@link NoRoomError}, with the last error when `patienceMs` have passed without a byte or the answer that the holder is busy, or with
 * the reason of `stop`.
 */
export async function fetchState(options: FetchStateOptions): Promise<Fetched> {
  const { clock, patienceMs, stop } = options;
  const progress = { lastMs: clock.monotonic() };
  const digests = new Map<string, FileDigest>();
  const onBytes = (): void => void (progress.lastMs = clock.monotonic());
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      await connected(options, (agent) => fetchAll(options, agent, { digests, onBytes }));
      return { digests };
    } catch (error) {
      stop.throwIfAborted();
      if (error instanceof WrongStateError || error instanceof NoRoomError) throw error;
      if (error instanceof BusyError) progress.lastMs = clock.monotonic();
      if (clock.monotonic() - progress.lastMs >= patienceMs) throw error;
    }
    await sleep(clock, pauseMs, stop);
  }
}

/** With connections to the holder, which end after it: the next attempt may have another certificate. */
async function connected(
  { holder, credentials }: FetchStateOptions,
  use: (agent: Agent) => Promise<void>,
): Promise<void> {
  const own = credentials();
  if (own === null) throw new Error('this node has no certificate yet');
  const checkServerIdentity = (_host: string, { raw }: PeerCertificate): Error | undefined =>
    nodeOf(new X509Certificate(raw)) === holder ? undefined : new Error('the other side is another node');
  const agent = new Agent({
    // A resumed session would not be checked.
    connect: { ...own, checkServerIdentity, maxCachedSessions: 0, timeout: 10_000 },
    bodyTimeout: SILENCE_MS,
    headersTimeout: SILENCE_MS,
    connections: 2,
  });
  try {
    await use(agent);
  } finally {
    await agent.destroy();
  }
}

interface Arrivals {
  readonly digests: Map<string, FileDigest>;
  readonly onBytes: (bytes: number) => void;
}

async function fetchAll(options: FetchStateOptions, agent: Agent, arrivals: Arrivals): Promise<void> {
  const { layout, stop, room } = options;
  const { manifest, encoded } = await fetchManifest(options, agent);
  await mkdir(layout.folder, { recursive: true, mode: 0o700 });
  const claim = await room.claim(await bytesToCome(layout, manifest));
  if (typeof claim === 'string') throw new NoRoomError(claim);
  const onBytes = (bytes: number): void => {
    claim.arrived(bytes);
    arrivals.onBytes(bytes);
  };
  try {
    await twoAtATime(manifest.files, (file) => fetchFile(options, agent, file, { ...arrivals, onBytes }));
  } finally {
    claim.release();
  }
  stop.throwIfAborted();
  // Last, as where it was saved: a folder with a manifest is whole.
  await writeFile(layout.manifest, encoded, { mode: 0o600 });
}

async function fetchManifest(
  options: FetchStateOptions,
  agent: Agent,
): Promise<{ readonly manifest: Manifest; readonly encoded: string }> {
  const { statusCode, body } = await get(options, agent, 'manifest.json');
  if (statusCode === 404) throw new WrongStateError('the node that held the state has it no more');
  if (statusCode !== 200) throw await refused(statusCode, body);
  let encoded = '';
  for await (const chunk of body.setEncoding('utf8')) {
    encoded += String(chunk);
    if (encoded.length > MAX_MANIFEST_BYTES) throw new WrongStateError('its manifest is too large');
  }
  const manifest = decodeManifest(encoded);
  if (manifest === null || manifestDigest(encoded) !== options.manifestDigest) {
    throw new WrongStateError('its manifest is not the one that was verified');
  }
  const bytes = bytesOf(manifest);
  if (bytes > options.bytes)
    throw new WrongStateError(`its files have ${bytes} bytes, and its PodCheckpoint says ${options.bytes}`);
  return { manifest, encoded };
}

async function fetchFile(
  options: FetchStateOptions,
  agent: Agent,
  { path, bytes }: Manifest['files'][number],
  { digests, onBytes }: Arrivals,
): Promise<void> {
  const { layout, stop } = options;
  const target = join(layout.folder, path);
  const part = `${target}.part`;
  if ((await sizeOf(target)) === bytes) return;
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const have = Math.min((await sizeOf(part)) ?? 0, bytes);
  if (have < bytes || bytes === 0) {
    const { statusCode, body } = await get(options, agent, `files/${path}`, have);
    if (statusCode === 404) throw await gone(path, body);
    if (statusCode !== (have > 0 ? 206 : 200)) throw await refused(statusCode, body);
    const receiving = receive(body as AsyncIterable<Buffer>, part, { from: have, bytes, onBytes });
    const digest = await receiving.catch(async (error: unknown) => {
      throw error instanceof TooLongError ? await otherSize(path, part) : error;
    });
    stop.throwIfAborted();
    if (digest !== null) digests.set(path, digest);
  }
  if ((await sizeOf(part)) !== bytes) throw await otherSize(path, part);
  await rename(part, target);
}

function get(
  { peer, layout, ticket, stop }: FetchStateOptions,
  agent: Agent,
  name: string,
  from = 0,
): Promise<Dispatcher.ResponseData> {
  const headers = from > 0 ? { range: `bytes=${from}-` } : {};
  const url = `https://${peer}/v1/states/${layout.reference}/${name}?ticket=${ticket}`;
  return request(url, { dispatcher: agent, headers, signal: stop });
}

/** What the manifest names and is not here yet. */
async function bytesToCome({ folder }: SavedPodLayout, { files }: Manifest): Promise<number> {
  const missing = await twoAtATime(files, async ({ path, bytes }) => {
    const target = join(folder, path);
    const here = (await sizeOf(target)) ?? (await sizeOf(`${target}.part`)) ?? 0;
    return Math.max(0, bytes - here);
  });
  return missing.reduce((sum, bytes) => sum + bytes, 0);
}

async function otherSize(path: string, part: string): Promise<WrongStateError> {
  await rm(part, { force: true });
  return new WrongStateError(`${path} has another size than its manifest says`);
}

async function gone(path: string, body: Dispatcher.ResponseData['body']): Promise<WrongStateError> {
  await body.dump();
  return new WrongStateError(`${path} is missing`);
}

async function refused(status: number, body: Dispatcher.ResponseData['body']): Promise<Error> {
  await body.dump();
  if (status === BUSY) return new BusyError('the agent that holds the state gives too many others away');
  return new Error(`the agent that holds the state answered HTTP ${status}`);
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
