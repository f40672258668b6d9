import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, appendFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../src/observe/log.ts';
import { systemClock } from '../src/ports/clock.ts';
import { VirtualClock } from '../src/sim/virtual-clock.ts';
import { SavedPodLayout } from '../src/agent/state/layout.ts';
import { makeManifest } from '../src/agent/state/make-manifest.ts';
import { listFiles, verify, writeManifest } from '../src/agent/state/manifest.ts';
import type { AskedState } from '../src/agent/transfer/entitlements.ts';
import { FetchRoom } from '../src/agent/transfer/fetch-room.ts';
import { fetchState, NoRoomError, WrongStateError, type FetchStateOptions } from '../src/agent/transfer/fetch-state.ts';
import type { PeerCredentials } from '../src/agent/transfer/peer-identity.ts';
import { PeerServer } from '../src/agent/transfer/peer-server.ts';
import { AgentCertificates } from './support/agent-certificates.ts';

/** One agent gives a saved pod to another, over TLS. */
const REFERENCE = 'shop_web-0_11111111-1111-1111-1111-111111111111';
const PAGES = 'containers/web/images/pages-1.img';
const EMPTY = 'containers/web/images/files.img';
/** Of several pieces, each unlike the others. */
const CONTENT = randomBytes(3_300_000);

let authority: AgentCertificates;
let credentials: Readonly<Record<'n1' | 'n2', PeerCredentials>>;
beforeAll(async () => {
  authority = await AgentCertificates.create();
  credentials = { n1: await authority.of('n1'), n2: await authority.of('n2') };
});

let folder: string;
let held: SavedPodLayout;
let wanted: SavedPodLayout;
let server: PeerServer;
/** What the server was asked, and whether it is to refuse. */
let asked: AskedState[];
let refusal: string | null;
let digest: string;
let clock: VirtualClock; // of the server
let files: Awaited<ReturnType<typeof listFiles>>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'transfer-'));
  held = SavedPodLayout.of(join(folder, 'there'), REFERENCE);
  wanted = SavedPodLayout.of(join(folder, 'here'), REFERENCE);
  for (const [path, content] of [
    [PAGES, CONTENT],
    [EMPTY, Buffer.alloc(0)],
  ] as const) {
    await mkdir(dirname(join(held.folder, path)), { recursive: true });
    await writeFile(join(held.folder, path), content);
  }
  files = await listFiles(held.folder);
  digest = await writeManifest(held.manifest, makeManifest({ files }));
  [asked, refusal] = [[], null];
  clock = new VirtualClock();
  server = await PeerServer.start({
    peer: { address: '127.0.0.1', port: 0 },
    identity: { current: credentials.n1, onChange: () => undefined },
    entitlements: {
      refusal: (state) => {
        asked.push(state);
        return Promise.resolve(refusal);
      },
    },
    stateDir: join(folder, 'there'),
    clock,
    log: createLog('silent'),
  });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function fetched(options: Partial<FetchStateOptions> = {}): Promise<unknown> {
  return fetchState({
    peer: `127.0.0.1:${server.port}`,
    holder: 'n1',
    credentials: () => credentials.n2,
    ticket: 't',
    layout: wanted,
    manifestDigest: digest,
    bytes: CONTENT.length,
    room: new FetchRoom(() => Promise.resolve(CONTENT.length)),
    patienceMs: 30_000,
    clock: systemClock,
    stop: new AbortController().signal,
    ...options,
  });
}

/** The status of the answer to `GET path`, with these credentials; the connection ends then. */
async function answered(path: string, own: Partial<PeerCredentials> = credentials.n2): Promise<IncomingMessage> {
  const options = { host: '127.0.0.1', port: server.port, path, ...own, rejectUnauthorized: false, agent: false };
  const [response] = (await once(request(options).end(), 'response')) as [IncomingMessage];
  return response;
}

/** Asks for the pages, and hangs up when the first of them arrive. */
async function hangUp(): Promise<void> {
  const response = await answered(`/v1/states/${REFERENCE}/files/${PAGES}?ticket=t`);
  await once(response, 'readable');
  response.destroy();
}

describe('a state that is fetched', () => {
  it('arrives as a whole', async () => {
    await fetched();
    expect(await verify(wanted.folder, makeManifest({ files }))).toBeNull();
  });

  it('arrives after another who hung up in the middle', async () => {
    await hangUp();
    await fetched();
    expect(await verify(wanted.folder, makeManifest({ files }))).toBeNull();
  });

  it('is fetched from where it broke off', async () => {
    const part = join(wanted.folder, `${PAGES}.part`);
    await mkdir(dirname(part), { recursive: true });
    await writeFile(part, CONTENT.subarray(0, 100_000));
    // What lies there already is kept: only the rest was asked for.
    await writeFile(join(held.folder, PAGES), Buffer.concat([Buffer.alloc(100_000), CONTENT.subarray(100_000)]));
    await fetched();
    expect(await readFile(join(wanted.folder, PAGES))).toEqual(CONTENT);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ['a file is missing', () => rm(join(held.folder, PAGES)), `${PAGES} is missing`],
    ['a file is too short', () => truncate(join(held.folder, PAGES), 1), `${PAGES} has another size`],
    ['a file is too long', () => appendFile(join(held.folder, PAGES), CONTENT), `${PAGES} has another size`],
    ['the manifest is another', () => writeManifest(held.manifest, makeManifest()), 'not the one that was verified'],
    ['it is gone', () => rm(held.folder, { recursive: true }), 'has it no more'],
  ])('is refused at once where %s', async (_, spoil, message) => {
    await spoil();
    const error: unknown = await fetched().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WrongStateError);
    expect((error as Error).message).toContain(message);
  });
});

describe('what a fetch may write', () => {
  const part = (): string => join(wanted.folder, `${PAGES}.part`);

  it('is no more of a file than its manifest says', async () => {
    await appendFile(join(held.folder, PAGES), CONTENT);
    await expect(fetched()).rejects.toThrow(WrongStateError);
    await expect(access(part())).rejects.toThrow('ENOENT');
  });

  it('is no more than its PodCheckpoint says, whatever its manifest says', async () => {
    const fetching = fetched({ bytes: CONTENT.length - 1 });
    await expect(fetching).rejects.toThrow('its PodCheckpoint says 3299999');
    await expect(fetching).rejects.toThrow(WrongStateError);
    await expect(access(wanted.folder)).rejects.toThrow('ENOENT');
  });

  it('is no more than the disk has room for; what has arrived already needs none', async () => {
    const room = new FetchRoom(() => Promise.resolve(CONTENT.length - 100_000));
    await expect(fetched({ room })).rejects.toThrow(NoRoomError);
    await expect(access(part())).rejects.toThrow('ENOENT');
    await mkdir(dirname(part()), { recursive: true });
    await writeFile(part(), CONTENT.subarray(0, 100_000));
    await fetched({ room });
    expect(await readFile(join(wanted.folder, PAGES))).toEqual(CONTENT);
  });
});

describe('a state is given', () => {
  const MANIFEST = `/v1/states/${REFERENCE}/manifest.json?ticket=t`;
  const statusOf = async (...of: Parameters<typeof answered>): Promise<number | undefined> => {
    const response = await answered(...of);
    response.destroy();
    return response.statusCode;
  };

  it('to the node that its certificate names, for the ticket that it names', async () => {
    await fetched();
    expect(new Set(asked.map((state) => JSON.stringify(state)))).toEqual(
      new Set([JSON.stringify({ node: 'n2', reference: REFERENCE, ticket: 't' })]),
    );
  });

  it('to no agent that is not entitled to it', async () => {
    refusal = 'the pod that continues the ticket is not on that node';
    for (const name of ['manifest.json', `files/${PAGES}`])
      expect(await statusOf(`/v1/states/${REFERENCE}/${name}?ticket=t`)).toBe(403);
  });

  /** So many answers with the pages, which this client does not read: they are longer than what the buffers of a connection hold. */
  const unread = async (count: number): Promise<IncomingMessage[]> => {
    await truncate(join(held.folder, PAGES), 64 * 2 ** 20);
    return Promise.all(
      Array.from({ length: count }, () => answered(`/v1/states/${REFERENCE}/files/${PAGES}?ticket=t`)),
    );
  };

  it('to a node for few files at once, and the others wait', async () => {
    const responses = await unread(4);
    expect(responses.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200]);
    expect(await statusOf(MANIFEST)).toBe(503);
    for (const response of responses) response.destroy();
    await expect.poll(() => statusOf(MANIFEST)).toBe(200);
  });

  it('to a node that does not read it for no longer than a fetch may take', async () => {
    const [response] = (await unread(1)) as [IncomingMessage];
    response.on('error', () => undefined);
    const closed = new Promise((resolve) => response.on('close', resolve));
    await clock.advance(480_000 + CONTENT.length / 20_000);
    response.resume();
    await closed;
    expect(response.complete).toBe(false);
  });

  it('to nobody who names no ticket', async () => {
    expect(await statusOf(`/v1/states/${REFERENCE}/manifest.json`)).toBe(404);
  });

  it('to nobody without a certificate, or with one of another authority', async () => {
    const other = await (await AgentCertificates.create()).of('n2');
    expect(await statusOf(MANIFEST, {})).toBe(401);
    expect(await statusOf(MANIFEST, other)).toBe(401);
    expect(asked).toEqual([]);
  });

  it('by nobody but the node that holds it', async () => {
    await expect(fetched({ holder: 'n3', patienceMs: 0 })).rejects.toThrow('another node');
  });
});
