import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { certificateRequest } from '../../src/agent/transfer/certificate-request.ts';
import { nodeOf, PeerIdentity } from '../../src/agent/transfer/peer-identity.ts';
import { AGENT_SIGNER, AGENT_USAGES } from '../../src/kube/certificates/agent-request.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { createLog } from '../../src/observe/log.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { Clients } from './story/clients.ts';
import { REPRIEVE_NAMESPACE } from './story/replica.ts';
import { ServedCluster } from './story/served-cluster.ts';

/** Certificates of agents, asked of a real kube-apiserver with tokens that are bound to nodes, and signed by `reprieve serve`. */
let served: ServedCluster;
let clients: Clients;
const stop = new AbortController();

beforeAll(async () => {
  served = await ServedCluster.start({ webhook: false });
  const { cluster } = served;
  await cluster.applyFiles('deploy/rbac-agent.yaml');
  for (const name of ['node-1', 'node-2'])
    await cluster.applyObjects({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
  clients = new Clients(cluster);
  await served.leader();
});
afterAll(async () => {
  stop.abort(new Error('over'));
  await clients?.close();
  await served?.[Symbol.asyncDispose]();
});

async function identityOf(nodeName: string): Promise<PeerIdentity> {
  const folder = await mkdtemp(join(served.cluster.dir, `${nodeName}-`));
  const client = await clients.agent(nodeName);
  const identity = new PeerIdentity({ nodeName, folder, client, clock: systemClock, log: createLog('silent') });
  void identity.run(stop.signal);
  return identity;
}

/** A request for a certificate of `commonName`. */
async function asked(client: KubeClient, commonName: string, spec: object = {}): Promise<string> {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { metadata } = await client.create(RESOURCES.certificateRequests, null, {
    metadata: { generateName: 'test-' },
    spec: {
      request: Buffer.from(certificateRequest(commonName, pair)).toString('base64'),
      signerName: AGENT_SIGNER,
      usages: AGENT_USAGES,
      ...spec,
    },
  });
  return metadata.name;
}

/** What came of a request: the message of its refusal. Waits for it. */
async function refusalOf(name: string): Promise<string> {
  const read = async (): Promise<string> => {
    const json = await served.cluster.kubectl('get', 'csr', name, '-o', 'json');
    const { status } = JSON.parse(json) as KubeObject & {
      readonly status?: {
        readonly certificate?: string;
        readonly conditions?: readonly { type: string; message: string }[];
      };
    };
    if (status?.certificate !== undefined) return 'it has a certificate';
    return status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed')?.message ?? '';
  };
  await expect.poll(read, { timeout: 30_000, interval: 200 }).not.toBe('');
  return read();
}

it('each agent is given one for the node that its token names, by one authority', async () => {
  const identities = await Promise.all(['node-1', 'node-2'].map(identityOf));
  await expect.poll(() => identities.every(({ current }) => current !== null), { timeout: 30_000 }).toBe(true);
  const [one, two] = identities.map(({ current }) => new X509Certificate(current?.cert ?? ''));
  expect([one, two].map((certificate) => certificate && nodeOf(certificate))).toEqual(['node-1', 'node-2']);
  const authority = new X509Certificate(identities[0]?.current?.ca ?? '');
  expect(identities[1]?.current?.ca).toBe(identities[0]?.current?.ca);
  expect([one, two].every((certificate) => certificate?.verify(authority.publicKey))).toBe(true);
  expect((one as X509Certificate).validToDate.getTime()).toBeLessThan(Date.now() + 25 * 3_600_000);
  const log = await served.reprieveLog();
  expect(log).toContain('an agent was given a certificate for its node');
  const secret = await served.cluster.kubectl(
    'get',
    'secret',
    'reprieve-agents',
    '-n',
    REPRIEVE_NAMESPACE,
    '-o',
    'json',
  );
  const { data } = JSON.parse(secret) as { readonly data: Readonly<Record<string, string>> };
  expect(Buffer.from(data['ca.crt'] ?? '', 'base64').toString()).toBe(identities[0]?.current?.ca);
});

it('an agent is given none for another node, nor one for other uses', async () => {
  const agent = await clients.agent('node-1');
  expect(await refusalOf(await asked(agent, 'node-2'))).toBe('its subject is to be CN=node-1 alone');
  expect(await refusalOf(await asked(agent, 'node-1', { usages: ['client auth', 'cert sign'] }))).toContain(
    'the usages are',
  );
});

it('a token that is bound to no node may ask for none, and an agent for none of another signer', async () => {
  await expect(asked(await clients.agent(null), 'node-1')).rejects.toThrow(
    'asks for certificates of reprieve.dev/agent',
  );
  const spec = { signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth'] };
  await expect(asked(await clients.agent('node-1'), 'node-1', spec)).rejects.toThrow('asks for certificates of');
});

it('a user is given none, also where an administrator approves it before Reprieve sees it', async () => {
  const { cluster, replicas } = served;
  await cluster.kubectl('create', 'clusterrole', 'asks', '--verb=create', '--resource=certificatesigningrequests');
  await cluster.kubectl('create', 'clusterrolebinding', 'asks', '--clusterrole=asks', '--user=tenant');
  const tenant = await clients.user('tenant');
  const why = 'only system:serviceaccount:reprieve-system:reprieve-agent is given a certificate';
  expect(await refusalOf(await asked(tenant, 'node-1'))).toBe(why);
  const [replica] = replicas;
  await replica?.stop();
  const name = await asked(tenant, 'node-1');
  await cluster.kubectl('certificate', 'approve', name);
  await replica?.start();
  expect(await refusalOf(name)).toBe(why);
});
