import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PeerConfiguration } from '../src/config/configuration.ts';
import { createLog } from '../src/observe/log.ts';
import { systemClock } from '../src/ports/clock.ts';
import { SavedPodLayout } from '../src/agent/state/layout.ts';
import { makeManifest } from '../src/agent/state/make-manifest.ts';
import { listFiles, verify, writeManifest } from '../src/agent/state/manifest.ts';
import { fetchState, WrongStateError } from '../src/agent/transfer/fetch-state.ts';
import { PeerServer } from '../src/agent/transfer/peer-server.ts';
import { Pki } from './cluster/control-plane/pki.ts';

/** One agent gives a saved pod to another, over TLS. */
const REFERENCE = 'shop_web-0_11111111-1111-1111-1111-111111111111';
const PAGES = 'containers/web/images/pages-1.img';
const EMPTY = 'containers/web/images/files.img';
/** Of several pieces, each unlike the others. */
const CONTENT = randomBytes(3_300_000);

let certificates: string;
let peer: PeerConfiguration;
beforeAll(async () => {
  certificates = await mkdtemp(join(tmpdir(), 'transfer-'));
  const pki = await Pki.create(certificates);
  const { certPath, keyPath } = await pki.certificate('agent', { commonName: 'reprieve-agent' }, ['IP:127.0.0.1']);
  peer = {
    address: '127.0.0.1',
    port: 0,
    certFile: certPath,
    keyFile: keyPath,
    caFile: pki.ca.certPath,
    allowedNames: ['reprieve-agent'],
  };
});
afterAll(() => rm(certificates, { recursive: true }));

let folder: string;
let held: SavedPodLayout;
let wanted: SavedPodLayout;
let server: PeerServer;
let digest: string;
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
  server = await PeerServer.start({
    peer,
    stateDir: join(folder, 'there'),
    clock: systemClock,
    log: createLog('silent'),
  });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function fetched(): Promise<unknown> {
  return fetchState({
    peer: `127.0.0.1:${server.port}`,
    tls: peer,
    layout: wanted,
    manifestDigest: digest,
    patienceMs: 30_000,
    clock: systemClock,
    stop: new AbortController().signal,
  });
}

/** Asks for the pages, and hangs up when the first of them arrive. */
async function hangUp(): Promise<void> {
  const [ca, cert, key] = await Promise.all([peer.caFile, peer.certFile, peer.keyFile].map((file) => readFile(file)));
  const path = `/v1/states/${REFERENCE}/files/${PAGES}`;
  const sent = request({ host: '127.0.0.1', port: server.port, path, ca, cert, key, agent: false }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
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
    ['the manifest is another', () => writeManifest(held.manifest, makeManifest()), 'not the one that was verified'],
    ['it is gone', () => rm(held.folder, { recursive: true }), 'has it no more'],
  ])('is refused at once where %s', async (_, spoil, message) => {
    await spoil();
    const error: unknown = await fetched().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WrongStateError);
    expect((error as Error).message).toContain(message);
  });
});
