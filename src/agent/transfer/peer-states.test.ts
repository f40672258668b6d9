import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AgentCertificates } from '../../../test/support/agent-certificates.ts';
import { PEER_ANNOTATION } from '../../domain/labels.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { PeerStates } from './peer-states.ts';

const REFERENCE = 'shop_web-0_11111111-1111-1111-1111-111111111111';

/** A node that accepts connections, and never says a word. */
let silent: Server;
let folder: string;
let sockets: Socket[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peer-states-'));
  sockets = [];
  silent = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  hangUp();
  await new Promise((resolve) => silent.close(resolve));
  await rm(folder, { recursive: true });
});

function hangUp(): void {
  for (const socket of sockets) socket.destroy();
}

async function peers(clock: VirtualClock) {
  const { port } = silent.address() as AddressInfo;
  const node = { metadata: { name: 'n1', annotations: { [PEER_ANNOTATION]: `127.0.0.1:${port}` } } };
  const current = await (await AgentCertificates.create()).of('n2');
  const api = { read: () => Promise.resolve(node) };
  const states = new PeerStates({ api, clock, identity: { current }, roomBytes: () => Promise.resolve(1e9) });
  return (node: string, bytes = 0) =>
    states.fetch(
      {
        location: { node, reference: REFERENCE },
        manifestDigest: `sha256:${'0'.repeat(64)}`,
        bytes,
        podUid: 'u2',
        ticket: 't',
      },
      SavedPodLayout.of(folder, REFERENCE),
      new AbortController().signal,
    );
}

it('gives up a state that does not come in the time that its size allows, also while it waits for its turn', async () => {
  const clock = new VirtualClock();
  const fetch = await peers(clock);
  const fetches = Array.from({ length: 5 }, () => fetch('n1', 20_000_000));
  await expect.poll(() => sockets.length).toBe(3);
  await clock.advance(481_000);
  hangUp(); // a connection that is being made is not called off
  for (const fetched of await Promise.all(fetches))
    expect(fetched).toMatchObject({
      refusal: { reason: 'FetchFailed', message: expect.stringContaining('481 s') as string },
    });
});

it('leaves turns for the states of other nodes', async () => {
  const clock = new VirtualClock();
  const fetch = await peers(clock);
  const fetches = ['n1', 'n1', 'n1', 'n1', 'n3', 'n4', 'n5', 'n6'].map((node) => fetch(node));
  await expect.poll(() => sockets.length).toBe(6);
  await clock.advance(480_000);
  hangUp();
  await Promise.all(fetches);
  expect(sockets.length).toBe(6);
});
