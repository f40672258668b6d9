import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AgentCertificates } from '../../../test/support/agent-certificates.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createLog } from '../../observe/log.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { nodeOf, PeerIdentity } from './peer-identity.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let clock: VirtualClock;
let authority: AgentCertificates;
let requests: string[];
let answer: (request: string) => Promise<object>;
const stops: AbortController[] = [];

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'identity-')), 'peer');
  clock = new VirtualClock({ startMs: Date.now() });
  authority = await AgentCertificates.create(clock.now());
  requests = [];
  answer = async (request) => ({
    certificate: Buffer.from(await authority.issue(request, 'n1', clock.now())).toString('base64'),
  });
});
afterEach(async () => {
  for (const stop of stops.splice(0)) stop.abort(new Error('over'));
  await rm(join(folder, '..'), { recursive: true });
});

/** An agent, and the signer behind its API server. */
async function started(): Promise<PeerIdentity> {
  const client = {
    create: (_type: unknown, _namespace: unknown, object: { readonly spec: { readonly request: string } }) => {
      requests.push(Buffer.from(object.spec.request, 'base64').toString());
      return Promise.resolve({ metadata: { name: String(requests.length - 1) } });
    },
    get: async (_type: unknown, _namespace: unknown, name: string) => ({
      metadata: { name },
      status: await answer(requests[Number(name)] as string),
    }),
  } as unknown as KubeClient;
  const identity = new PeerIdentity({ nodeName: 'n1', folder, client, clock, log: createLog('silent') });
  await identity.load();
  const stop = new AbortController();
  stops.push(stop);
  void identity.run(stop.signal);
  return identity;
}

/** Time passes until it is so: what happens between needs real time as well. */
const until = (isSo: () => boolean): Promise<void> =>
  vi.waitFor(async () => {
    await clock.advance(1000);
    expect(isSo()).toBe(true);
  }, 10_000);

it('asks for a certificate of its node, and keeps the key to root', async () => {
  const identity = await started();
  await until(() => identity.current !== null);
  expect(nodeOf(new X509Certificate(identity.current?.cert ?? ''))).toBe('n1');
  const [file, dir] = [await stat(join(folder, 'identity.json')), await stat(folder)];
  expect([file.mode & 0o777, dir.mode & 0o777]).toEqual([0o600, 0o700]);
});

it('needs nobody after a restart', async () => {
  const before = await started();
  await until(() => before.current !== null);
  const after = await started();
  expect(after.current).toEqual(before.current);
  await clock.advance(HOUR_MS);
  expect(requests).toHaveLength(1);
});

it('asks for another one, with another key, before the certificate ends', async () => {
  const identity = await started();
  await until(() => identity.current !== null);
  const first = identity.current;
  await clock.advance(14 * HOUR_MS);
  expect(requests).toHaveLength(1);
  await clock.advance(2 * HOUR_MS);
  await until(() => identity.current?.key !== first?.key);
  expect(requests).toHaveLength(2);
});

it('takes no certificate of another node, and asks again', async () => {
  const right = answer;
  answer = async (request) => ({
    certificate: Buffer.from(await authority.issue(request, 'n2', clock.now())).toString('base64'),
  });
  const identity = await started();
  await until(() => requests.length > 1);
  expect(identity.current).toBeNull();
  answer = right;
  await until(() => identity.current !== null);
});

it('goes on where its request is refused, and asks again a minute later', async () => {
  answer = () => Promise.resolve({ conditions: [{ type: 'Denied', message: 'no' }] });
  const identity = await started();
  await until(() => requests.length > 1);
  expect(identity.current).toBeNull();
});
