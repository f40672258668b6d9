import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { certificatesIn } from '../../src/kube/certificates/serving-files.ts';
import { crossSign } from '../../src/kube/certificates/x509.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { HttpTransport } from '../../src/kube/http-transport.ts';
import { loadKubeConfig } from '../../src/kube/kube-config.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { readFixtures } from '../wire/fixtures.ts';
import { ControlPlane } from './control-plane/control-plane.ts';
import { Daemon } from './control-plane/daemon.ts';
import { Pki, type Certificate } from './control-plane/pki.ts';
import { answersOk } from './control-plane/probe.ts';
import { schedulerConfig } from './control-plane/scheduler-config.ts';

/** Certificates that `reprieve serve` issues itself, met by the real kube-apiserver and kube-scheduler. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PORT = 20_444;
const DAY_MS = 24 * 3_600_000;

let cluster: ControlPlane;
let reprieve: Daemon;
let transport: HttpTransport;
let client: KubeClient;
/** What an administrator copied for kube-scheduler. */
let caPath: string;

beforeAll(async () => {
  cluster = await ControlPlane.start();
  const manifests = ['crds', 'namespace.yaml', 'runtimeclass.yaml', 'rbac.yaml', 'admission-policies.yaml'];
  await cluster.applyFiles(...manifests.map((path) => join(root, 'deploy', path)));
  await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
  await cluster.waitForDefaultServiceAccount();
  await cluster.applyObjects(await webhook(), node());
  transport = new HttpTransport({ access: await loadKubeConfig({ path: cluster.adminKubeconfigPath }) });
  client = new KubeClient(transport);

  reprieve = await startReprieve();
  caPath = join(cluster.dir, 'reprieve-ca.crt');
  await writeFile(caPath, (await secret())['ca.crt']);
  await cluster.stopScheduler();
  await cluster.startScheduler(({ kubeconfig, pki }) =>
    schedulerConfig({
      kubeconfig,
      extenderUrl: `https://127.0.0.1:${PORT}/v1`,
      tls: { caPath, client: { certPath: join(pki.dir, 'scheduler.crt'), keyPath: join(pki.dir, 'scheduler.key') } },
    }),
  );
});

afterAll(async () => {
  await transport?.close();
  await reprieve?.stop();
  await cluster?.stop();
});

describe('a certificate that Reprieve issued', () => {
  it('is given to the webhook, and the API server calls it', async () => {
    expect(await caBundle()).toBe((await secret())['ca.crt']);
    await createOwnedPods(3);
    await calls('admit-pod', 3);
  });

  it('lets kube-scheduler in, and nobody else', async () => {
    await calls('filter', 1);
    const { pki } = cluster;
    const elsewhere = await Pki.create(join(cluster.dir, 'elsewhere'));
    const named = { commonName: 'system:kube-scheduler' };
    expect(await preempt(await pki.certificate('another-scheduler', named))).toBe(200);
    expect(await preempt(await pki.certificate('somebody', { commonName: 'somebody' }))).toBe(403);
    expect(await preempt(await elsewhere.certificate('forged', named))).toBe(401);
    expect(await preempt(null)).toBe(401);
  });

  it('changes with its authority in the running process, and no call is lost', async () => {
    const [first, former] = [await serial(), await secret()];
    // The authority of the same key and name, but with only a sixth of its life left.
    const authority = { certificate: former['ca.crt'], key: former['ca.key'] };
    const lifetime = { fromMs: Date.now() - 300 * DAY_MS, untilMs: Date.now() + 60 * DAY_MS };
    const aged = Buffer.from(await crossSign(authority, authority, lifetime)).toString('base64');
    const patch = { data: { 'ca.crt': aged } };
    await client.patch(RESOURCES.secrets, 'reprieve-system', 'reprieve-serving', patch, { type: 'merge' });

    const before = await answered('admit-pod');
    let pods = 0;
    await until('another certificate', async () => {
      await createOwnedPods(1);
      pods++;
      return (await serial()) !== first;
    });
    await createOwnedPods(3);
    await calls('admit-pod', before + pods + 3);
    expect(await answered('admit-pod')).toBe(before + pods + 3);
    const bundle = (await secret())['ca.crt'];
    expect(certificatesIn(bundle)).toHaveLength(2);
    expect(await caBundle()).toBe(bundle);
  });

  it('is accepted by a kube-scheduler that still has the former authority, on a new connection', async () => {
    const [current, known] = [(await secret())['ca.crt'], await readFile(caPath, 'utf8')].map(certificatesIn);
    expect(known).toHaveLength(1);
    expect(known?.[0]?.fingerprint256).not.toBe(current?.[0]?.fingerprint256);
    await cluster.stopScheduler();
    const before = await answered('filter');
    await cluster.startScheduler();
    await createOwnedPods(1);
    await calls('filter', before + 1);
    expect(await preempt(await cluster.pki.certificate('scheduler-2', { commonName: 'system:kube-scheduler' }))).toBe(
      200,
    );
  });

  it('is told in the log without its keys', async () => {
    const log = await reprieve.log();
    expect(log).toContain('a new serving certificate is in the Secret reprieve-system/reprieve-serving');
    expect(log).toContain('serving the changed certificate');
    const files = await secret();
    for (const key of [files['tls.key'], files['ca.key']]) {
      for (const line of key.split('\n').filter((part) => part.length > 20)) expect(log).not.toContain(line);
    }
    expect(log).not.toContain('PRIVATE KEY');
  });
});

/** As its service account: a right that deploy/rbac.yaml forgets is a failure here. */
async function startReprieve(): Promise<Daemon> {
  const { pki, dir } = cluster;
  const user = await pki.certificate('reprieve-user', { commonName: 'system:serviceaccount:reprieve-system:reprieve' });
  const configuration = {
    apiVersion: 'config.reprieve.dev/v1alpha1',
    kind: 'ReprieveConfiguration',
    server: {
      port: PORT,
      tls: { issue: {}, clientCaFile: pki.ca.certPath, allowedClientNames: ['system:kube-scheduler'] },
    },
    kubernetes: { kubeconfig: await pki.kubeconfig('reprieve', cluster.url, user), namespace: 'reprieve-system' },
    log: { level: 'debug' },
  };
  const path = join(dir, 'reprieve.json');
  await writeFile(path, JSON.stringify(configuration), { mode: 0o600 });
  const daemon = await Daemon.start({
    name: 'reprieve',
    command: process.execPath,
    args: [join(root, 'src/main.ts'), 'serve', '--config', path],
    cwd: dir,
    logPath: join(dir, 'reprieve.log'),
  });
  await daemon.ready(() => answersOk(`https://127.0.0.1:${PORT}/readyz`));
  return daemon;
}

/** deploy/webhook.yaml by address: a cluster without nodes has no Service to call. Without an authority. */
async function webhook(): Promise<object> {
  const configuration = parse(await readFile(join(root, 'deploy/webhook.yaml'), 'utf8')) as {
    webhooks: Record<string, unknown>[];
  };
  for (const hook of configuration.webhooks) hook['clientConfig'] = { url: `https://127.0.0.1:${PORT}/v1/admit-pod` };
  return configuration;
}

type SecretFiles = Readonly<Record<'tls.crt' | 'tls.key' | 'ca.crt' | 'ca.key', string>>;

async function secret(): Promise<SecretFiles> {
  const { data } = await client.get(RESOURCES.secrets, 'reprieve-system', 'reprieve-serving');
  const decoded = Object.entries(data as SecretFiles).map(([name, text]) => [name, plain(text)]);
  return Object.fromEntries(decoded) as SecretFiles;
}

async function caBundle(): Promise<string> {
  const field = 'jsonpath={.webhooks[0].clientConfig.caBundle}';
  return plain(await cluster.kubectl('get', 'mutatingwebhookconfiguration', 'reprieve', '-o', field));
}

/** Of the certificate that a new connection is shown. It must verify by the authority that kube-scheduler was given. */
async function serial(): Promise<string> {
  const ca = await readFile(caPath);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: PORT, ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** The status of a call with a certificate, on a connection of its own. */
async function preempt(shown: Certificate | null): Promise<number | undefined> {
  const body = readFixtures().find(({ verb }) => verb === 'preempt')?.text ?? '';
  const files = shown && { cert: await readFile(shown.certPath), key: await readFile(shown.keyPath) };
  const options = { host: '127.0.0.1', port: PORT, path: '/v1/preempt', method: 'POST', agent: false };
  const ca = await readFile(caPath);
  return new Promise((resolve, reject) => {
    const sent = request({ ...options, ca, ...files }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Pods of a controller, as only those are shown to the webhook. The one they name is there, or they were collected. */
async function createOwnedPods(count: number): Promise<void> {
  const owner = await client.get(RESOURCES.namespaces, null, 'default');
  const reference = { apiVersion: 'v1', kind: 'Namespace', name: 'default', uid: owner.metadata.uid, controller: true };
  for (let index = 0; index < count; index++) {
    await client.create(RESOURCES.pods, 'default', {
      metadata: { generateName: 'owned-', ownerReferences: [reference] },
      spec: { containers: [{ name: 'main', image: 'registry.example/worker:1' }] },
    });
  }
}

/** How many calls of a verb Reprieve has answered with 200. */
async function answered(verb: string): Promise<number> {
  const lines = (await reprieve.log()).split('\n').filter((line) => line.startsWith('{'));
  const calls = lines.map((line) => JSON.parse(line) as { verb?: string; status?: number });
  return calls.filter((call) => call.verb === verb && call.status === 200).length;
}

function calls(verb: string, atLeast: number): Promise<void> {
  return until(`${atLeast} calls of ${verb}`, async () => (await answered(verb)) >= atLeast);
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 100_000; // the certificate is looked at each minute
  while (!(await isSo())) {
    if (Date.now() > deadlineMs) throw new Error(`waited for ${what}; ${await lastWords()}`);
    await sleep(500);
  }
}

async function lastWords(): Promise<string> {
  return `the end of Reprieve's log:\n${(await reprieve.log()).split('\n').slice(-20).join('\n')}`;
}

function node(): object {
  const room = { cpu: '4', memory: '8Gi', pods: '500' };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-1' },
    status: { capacity: room, allocatable: room, conditions: [{ type: 'Ready', status: 'True', reason: 'Simulated' }] },
  };
}

function plain(encoded: string): string {
  return Buffer.from(encoded, 'base64').toString();
}
