import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NodeApi } from '../../src/agent/node-api.ts';
import { DiskStore } from '../../src/agent/state/disk-store.ts';
import { SavedPodLayout } from '../../src/agent/state/layout.ts';
import { makeManifest } from '../../src/agent/state/make-manifest.ts';
import type { StateContents, StateStore, WantedState } from '../../src/agent/state/state-store.ts';
import type { PeerCredentials } from '../../src/agent/transfer/peer-identity.ts';
import { PeerServer } from '../../src/agent/transfer/peer-server.ts';
import { PeerStates } from '../../src/agent/transfer/peer-states.ts';
import { PEER_ANNOTATION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { createLog } from '../../src/observe/log.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { AgentCertificates } from '../support/agent-certificates.ts';
import { NO_PEERS } from '../support/obedient-runtime.ts';

const REFERENCE = 'shop_web-0_11111111-1111-1111-1111-111111111111';
const OTHER = 'shop_web-1_22222222-2222-2222-2222-222222222222';
const NEVER = new AbortController().signal;
const PAGES = 'containers/web/images/pages-1.img';
const FILES: Readonly<Record<string, Buffer>> = {
  [PAGES]: randomBytes(300_000),
  'containers/web/rootfs.tar': Buffer.from('files'),
  'shm.tar': Buffer.alloc(0),
};
const { version: _version, files: _files, ...CONTENTS } = makeManifest();

/** A node that saves, and one that restores. */
interface Bench {
  /** As a process of the agent begins on the node that saves. */
  readonly writer: () => StateStore;
  /** The same on the node that restores; may be the same node. */
  readonly reader: () => StateStore;
  /** Changes what lies in the store. */
  readonly spoil: (change: (stateFolder: string) => Promise<unknown>) => Promise<unknown>;
  readonly end: () => Promise<void>;
}

let credentials: { readonly n1: PeerCredentials; readonly n2: PeerCredentials };
beforeAll(async () => {
  const authority = await AgentCertificates.create();
  credentials = { n1: await authority.of('n1'), n2: await authority.of('n2') };
});

async function oneDisk(): Promise<Bench> {
  const stateDir = await mkdtemp(join(tmpdir(), 'state-store-'));
  const start = (): StateStore => new DiskStore({ nodeName: 'n1', stateDir, clock: systemClock, peers: NO_PEERS });
  return {
    writer: start,
    reader: start,
    spoil: (change) => change(SavedPodLayout.of(stateDir, REFERENCE).folder),
    end: () => rm(stateDir, { recursive: true }),
  };
}

async function twoDisks(): Promise<Bench> {
  const { writer, spoil, end } = await oneDisk();
  const here = await mkdtemp(join(tmpdir(), 'state-store-here-'));
  const [clock, log] = [systemClock, createLog('silent')];
  let server: PeerServer | null = null;
  let port = 0;
  const node = (): KubeObject => ({
    metadata: { name: 'n1', annotations: { [PEER_ANNOTATION]: `127.0.0.1:${port}` } },
  });
  const api = { read: async () => node() } as unknown as Pick<NodeApi, 'read'>;
  await spoil(async (folder) => {
    server = await PeerServer.start({
      peer: { address: '127.0.0.1', port: 0 },
      identity: { current: credentials.n1, onChange: () => undefined },
      entitlements: { refusal: () => Promise.resolve(null) },
      stateDir: dirname(dirname(folder)),
      clock,
      log,
    });
    port = server.port;
  });
  const peers = new PeerStates({
    api,
    clock,
    identity: { current: credentials.n2 },
    roomBytes: () => Promise.resolve(1e9),
  });
  return {
    writer,
    reader: () => new DiskStore({ nodeName: 'n2', stateDir: here, clock, peers }),
    spoil,
    end: async () => {
      await server?.close();
      await rm(here, { recursive: true });
      await end();
    },
  };
}

describe.each([
  ['the disk of a node', oneDisk],
  ['the disks of two nodes', twoDisks],
])('StateStore on %s', (_, begin) => {
  let bench: Bench;
  let store: StateStore;
  beforeEach(async () => {
    bench = await begin();
    store = bench.writer();
  });
  afterEach(() => bench.end());

  /** Writes the files of a draft. */
  async function drafted(reference = REFERENCE): Promise<SavedPodLayout> {
    const draft = await store.begin(reference);
    for (const [path, content] of Object.entries(FILES)) {
      await mkdir(dirname(join(draft.folder, path)), { recursive: true });
      await writeFile(join(draft.folder, path), content);
    }
    return draft;
  }
  const commit = async (contents: StateContents = CONTENTS): Promise<string> =>
    (await store.commit(await drafted(), contents, { known: new Map() })).manifestDigest;
  const wanted = (manifestDigest: string): WantedState => ({
    location: { node: 'n1', reference: REFERENCE },
    manifestDigest,
    bytes: Object.values(FILES).reduce((sum, { length }) => sum + length, 0),
    podUid: 'u2',
    ticket: 't',
  });
  const opened = (digest: string, reader = bench.reader()) => reader.open(wanted(digest), NEVER);

  it('knows that a draft is not whole', async () => {
    await drafted();
    expect(await store.isWhole(REFERENCE)).toBe(false);
    expect(await store.list()).toEqual([REFERENCE]);
    expect(await opened(`sha256:${'0'.repeat(64)}`)).toMatchObject({ refusal: { reason: 'DigestMismatch' } });
  });

  it('gives back what was committed, to another process as well', async () => {
    const digest = await commit();
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await bench.writer().isWhole(REFERENCE)).toBe(true);
    expect(await bench.writer().list()).toEqual([REFERENCE]);
    for (const reader of [bench.reader(), bench.reader()]) {
      const state = await opened(digest, reader);
      if ('refusal' in state) throw new Error(state.refusal.message);
      expect(state.manifest).toMatchObject({ ...CONTENTS, files: Object.keys(FILES).map((path) => ({ path })) });
      for (const [path, content] of Object.entries(FILES)) {
        expect(await readFile(join(state.layout.folder, path))).toEqual(content);
      }
    }
  });

  it('believes digests of files that were hashed as they were written', async () => {
    const digest = await commit();
    const state = await opened(digest);
    if ('refusal' in state) throw new Error(state.refusal.message);
    const known = new Map(state.manifest.files.map(({ path, bytes, sha256 }) => [path, { bytes, sha256 }]));
    expect((await store.commit(await drafted(), CONTENTS, { known })).manifestDigest).toBe(digest);
  });

  it('begins anew where something lies', async () => {
    const before = await commit();
    const draft = await store.begin(REFERENCE);
    expect(await store.isWhole(REFERENCE)).toBe(false);
    await mkdir(dirname(join(draft.folder, PAGES)), { recursive: true });
    await writeFile(join(draft.folder, PAGES), 'less');
    const { manifest, manifestDigest } = await store.commit(draft, CONTENTS, { known: new Map() });
    expect(manifest.files.map(({ path }) => path)).toEqual([PAGES]);
    expect(await opened(manifestDigest)).toMatchObject({ manifest });
    expect(await opened(before)).toMatchObject({ refusal: { reason: 'DigestMismatch' } });
  });

  it.each<[string, (folder: string) => Promise<unknown>]>([
    ['a byte is another', (folder) => writeFile(join(folder, PAGES), randomBytes(300_000))],
    ['a file is longer', (folder) => appendFile(join(folder, PAGES), 'x')],
    ['a file is missing', (folder) => rm(join(folder, PAGES))],
    ['the manifest is another', (folder) => appendFile(join(folder, 'manifest.json'), ' ')],
  ])('opens nothing of which %s', async (_, change) => {
    const digest = await commit();
    await bench.spoil(change);
    expect(await opened(digest)).toMatchObject({ refusal: { reason: 'DigestMismatch' } });
  });

  it('opens nothing with another digest than that of the commit', async () => {
    await commit();
    expect(await opened(`sha256:${'0'.repeat(64)}`)).toMatchObject({ refusal: { reason: 'DigestMismatch' } });
  });

  it('leaves a draft as it is where the commit is called off', async () => {
    const signal = AbortSignal.abort(new Error('no longer wanted'));
    await expect(store.commit(await drafted(), CONTENTS, { known: new Map(), signal })).rejects.toThrow(
      'no longer wanted',
    );
    expect(await store.isWhole(REFERENCE)).toBe(false);
  });

  it('commits nothing that is no file', async () => {
    const draft = await drafted();
    await symlink('rootfs.tar', join(draft.folder, 'containers/web/link'));
    await expect(store.commit(draft, CONTENTS, { known: new Map() })).rejects.toThrow('neither a file nor a folder');
    expect(await store.isWhole(REFERENCE)).toBe(false);
  });

  it('opens nothing that was invalidated, also after the process', async () => {
    const digest = await commit();
    await store.invalidate(REFERENCE);
    expect(await bench.writer().isWhole(REFERENCE)).toBe(false);
    expect(await bench.writer().list()).toEqual([REFERENCE]);
    expect(await opened(digest)).toHaveProperty('refusal');
  });

  it('removes one state and no other, and nothing where there is none', async () => {
    const digest = await commit();
    await drafted(OTHER);
    await store.remove(REFERENCE);
    await store.remove(REFERENCE);
    expect(await store.list()).toEqual([OTHER]);
    expect(await opened(digest)).toHaveProperty('refusal');
  });

  it('keeps a state that a pod no longer needs here', async () => {
    const digest = await commit();
    const reader = bench.reader();
    await opened(digest, reader);
    await reader.close('u2');
    await reader.closeOthers(new Set(['u3']));
    expect(await store.isWhole(REFERENCE)).toBe(true);
    expect(await opened(digest, reader)).toHaveProperty('layout');
    await reader.closeOthers(new Set(['u2']));
    expect(await opened(digest, reader)).toHaveProperty('layout');
  });

  it.each(['../x', 'shop_web-0', 'shop_../x_1', ''])('begins nothing under %j', async (reference) => {
    await expect(Promise.resolve().then(() => store.begin(reference))).rejects.toThrow(RangeError);
  });

  it('says what each state takes, whole or not', async () => {
    const bytes = Object.values(FILES).reduce((sum, { length }) => sum + length, 0);
    expect(await store.usage()).toEqual(new Map());
    await drafted();
    await drafted(OTHER);
    expect(await store.usage()).toEqual(
      new Map([
        [REFERENCE, bytes],
        [OTHER, bytes],
      ]),
    );
    await commit();
    expect((await store.usage()).get(REFERENCE)).toBe(bytes);
    expect((await bench.writer().usage()).get(REFERENCE)).toBe(bytes);
    const draft = await store.begin(REFERENCE);
    expect((await store.usage()).get(REFERENCE) ?? 0).toBe(0);
    await mkdir(draft.folder, { recursive: true });
    await writeFile(join(draft.folder, 'shm.tar'), 'less');
    expect((await store.usage()).get(REFERENCE)).toBe(4);
    await store.remove(REFERENCE);
    expect(await store.usage()).toEqual(new Map([[OTHER, bytes]]));
  });

  it('says how much it can take', async () => {
    expect(await store.freeBytes()).toBeGreaterThan(0);
  });
});
