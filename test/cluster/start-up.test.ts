import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REVISION_ANNOTATION } from '../../src/kube/crd/definition.ts';
import { ControlPlane } from './control-plane/control-plane.ts';
import { Pki, type Certificate } from './control-plane/pki.ts';

/** Every mistake that keeps `reprieve serve` from starting: one message that says what to do, and nothing else. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const USER = 'system:serviceaccount:reprieve-system:reprieve';
const YESTERDAY = { from: new Date('2024-01-01T00:00:00Z'), to: new Date('2024-01-02T00:00:00Z') };
const END_MS = 60_000;

let cluster: ControlPlane;
let user: Certificate;
let kubeconfig: string;

beforeAll(async () => {
  cluster = await ControlPlane.start();
  const { pki, url } = cluster;
  user = await pki.certificate('reprieve-user', { commonName: USER });
  kubeconfig = await pki.kubeconfig('reprieve-user', url, user);
  await cluster.applyFiles(...['crds', 'namespace.yaml', 'rbac.yaml', 'admission-policies.yaml'].map(deployed));
  await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
});
afterAll(async () => {
  await cluster?.stop();
});

const deployed = (path: string): string => join(root, 'deploy', path);

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `reprieve serve` to its end. One that does not end by itself gets SIGTERM when it has logged `last`. */
async function serve(configPath: string, last: string | null = null): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, 'src/main.ts'), 'serve', '--config', configPath], {
    cwd: cluster.dir,
    env: { PATH: process.env['PATH'], POD_NAMESPACE: 'reprieve-system' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const isNew = last !== null && !stdout.includes(last);
    stdout += text;
    if (isNew && stdout.includes(last)) child.kill('SIGTERM');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const overdue = setTimeout(() => child.kill('SIGKILL'), END_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(overdue);
  return { code, stdout, stderr };
}

type Sections = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** A configuration with nothing wrong but what is given. */
async function configured({ kubernetes, ...sections }: Sections = {}): Promise<string> {
  const path = join(cluster.dir, 'reprieve.json');
  const configuration = {
    apiVersion: 'config.reprieve.dev/v1alpha1',
    kind: 'ReprieveConfiguration',
    server: { port: 0 },
    kubernetes: { kubeconfig, startupTimeout: '2s', ...kubernetes },
    ...sections,
  };
  await writeFile(path, JSON.stringify(configuration), { mode: 0o600 });
  return path;
}

/** Asks until RBAC has heard of a change of its roles. */
async function untilAllowed(wanted: 'yes' | 'no', verb: string, resource: string): Promise<void> {
  const attributes = { group: 'reprieve.dev', resource, subresource: 'status', verb };
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user: USER, resourceAttributes: attributes },
  };
  const path = join(cluster.dir, 'review.json');
  await writeFile(path, JSON.stringify(review));
  const ask = (): Promise<string> =>
    cluster.kubectl('create', '-f', path, '-o', 'jsonpath={.status.allowed}', '--validate=false');
  while (((await ask()) === 'true') !== (wanted === 'yes')) await sleep(100);
}

/** An API server whose clock is 40 s ahead. */
async function startSkewedProxy(): Promise<{ readonly url: string; readonly close: () => void }> {
  const serving = await cluster.pki.certificate('skewed', { commonName: 'kube-apiserver' }, ['IP:127.0.0.1']);
  const [ca, cert, key, clientCert, clientKey] = await Promise.all(
    [cluster.caPath, serving.certPath, serving.keyPath, user.certPath, user.keyPath].map((path) => readFile(path)),
  );
  const server = createHttpsServer({ cert, key }, (request, response) => {
    const { method, url = '/' } = request;
    const identity = { ca: ca as Buffer, cert: clientCert as Buffer, key: clientKey as Buffer };
    const upstream = httpsRequest(new URL(url, cluster.url), { method, ...identity }, (answer) => {
      const date = new Date(Date.now() + 40_000).toUTCString();
      response.writeHead(answer.statusCode ?? 502, { ...answer.headers, date });
      answer.pipe(response);
    });
    request.pipe(upstream);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

interface Mistake {
  /** Makes it, and answers the configuration to start with and the message. `<...>` in that is what no test can know. */
  readonly make: () => Promise<{ readonly config: string; readonly says: string }>;
  readonly undo?: () => Promise<unknown> | void;
}

/** Its agent does not exist: nobody removes the finalizer. */
const heldCheckpoint = {
  apiVersion: 'reprieve.dev/v1alpha1',
  kind: 'PodCheckpoint',
  metadata: { name: 'held', finalizers: ['reprieve.dev/agent'] },
  spec: { pod: { name: 'web-0', uid: 'an-old-uid' }, node: 'node-1', reason: 'Manual' },
};

let undoLater: () => void = () => {};

const mistakes: Record<string, Mistake> = {
  'a configuration with an unknown key': {
    make: async () => {
      const config = await configured({ server: { prot: 9443 } });
      return { config, says: `${config}: 1 problem(s)\nserver.prot: unknown key; did you mean port?` };
    },
  },
  'a configuration with a value of the wrong type': {
    make: async () => {
      const config = await configured({ server: { port: 'https' } });
      return {
        config,
        says: `${config}: 1 problem(s)\nserver.port: found "https", expected a whole number from 0 to 65535`,
      };
    },
  },
  'a configuration that is not there': {
    make: () => {
      const config = join(cluster.dir, 'missing.yaml');
      const says = `cannot read the configuration ${config}: ENOENT: no such file or directory, open '${config}'`;
      return Promise.resolve({ config, says });
    },
  },
  'a kubeconfig without the wanted context': {
    make: async () => ({
      config: await configured({ kubernetes: { context: 'production' } }),
      says: `cannot find the API server: loading ${kubeconfig}: no cluster for the context "production"; set kubernetes.kubeconfig, or $KUBECONFIG`,
    }),
  },
  'an API server that is not there': {
    make: async () => {
      const away = new URL(cluster.url);
      away.port = '9'; // nothing listens on the discard port
      const path = await cluster.pki.kubeconfig('away', away.origin, user);
      return {
        config: await configured({ kubernetes: { kubeconfig: path } }),
        says: `no usable answer from the API server ${away.origin}: connect ECONNREFUSED ${away.host}; check that it runs, and that the kubeconfig names its address`,
      };
    },
  },
  'an API server of another authority': {
    make: async () => {
      const elsewhere = await Pki.create(join(cluster.dir, 'elsewhere'));
      const path = await elsewhere.kubeconfig('untrusting', cluster.url, user);
      return {
        config: await configured({ kubernetes: { kubeconfig: path } }),
        says: `cannot trust the API server ${cluster.url}: unable to verify the first certificate; check certificate-authority and server in the kubeconfig, or renew its certificate`,
      };
    },
  },
  'an API server of another name': {
    make: async () => {
      const other = new URL(cluster.url);
      other.hostname = '127.0.0.2';
      const path = await cluster.pki.kubeconfig('misnamed', other.origin, user);
      return {
        config: await configured({ kubernetes: { kubeconfig: path } }),
        says: `cannot trust the API server ${other.origin}: Hostname/IP does not match certificate's altnames: IP: 127.0.0.2 is not in the cert's list: <addresses>; check certificate-authority and server in the kubeconfig, or renew its certificate`,
      };
    },
  },
  'a client certificate that has expired': {
    make: async () => {
      const expired = await cluster.pki.certificate('expired-user', { commonName: USER });
      await cluster.pki.dated(expired, YESTERDAY);
      const path = await cluster.pki.kubeconfig('expired-user', cluster.url, expired);
      return {
        config: await configured({ kubernetes: { kubeconfig: path } }),
        says: 'the client certificate of the kubeconfig expired at 2024-01-02T00:00:00Z (it is <now> here); renew it, or set the clock of this machine',
      };
    },
  },
  'a client certificate of another authority': {
    make: async () => {
      const elsewhere = await Pki.create(join(cluster.dir, 'elsewhere'));
      const stranger = await elsewhere.certificate('stranger', { commonName: USER });
      const path = await cluster.pki.kubeconfig('stranger', cluster.url, stranger);
      return {
        config: await configured({ kubernetes: { kubeconfig: path } }),
        says: `the API server ${cluster.url} refuses our credentials: GET /version: Unauthorized; renew the user in the kubeconfig, or the token of the service account`,
      };
    },
  },
  'a clock that differs from that of the API server': {
    make: async () => {
      const proxy = await startSkewedProxy();
      undoLater = proxy.close;
      const path = await cluster.pki.kubeconfig('skewed', proxy.url, user);
      return {
        config: await configured({ kubernetes: { kubeconfig: path } }),
        says: `the clock of this machine is <seconds> s behind that of the API server ${proxy.url}; synchronise both (NTP)`,
      };
    },
    undo: () => undoLater(),
  },
  'CRDs that are missing': {
    make: async () => {
      await cluster.kubectl('delete', 'crd', 'podcheckpoints.reprieve.dev');
      return {
        config: await configured(),
        says: 'the API server does not serve podcheckpoints.reprieve.dev; run: kubectl apply -k deploy',
      };
    },
    undo: () => cluster.applyFiles(deployed('crds')),
  },
  'CRDs that are being deleted': {
    make: async () => {
      await cluster.applyObjects(heldCheckpoint);
      await cluster.kubectl('delete', 'crd', 'podcheckpoints.reprieve.dev', '--wait=false');
      return {
        config: await configured(),
        says: 'being deleted: podcheckpoints.reprieve.dev; run: reprieve uninstall, wait until they are gone, then run: kubectl apply -k deploy',
      };
    },
    undo: async () => {
      await cluster.kubectl('patch', 'podcheckpoint', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":null}}');
      await cluster.kubectl('wait', '--for=delete', 'crd/podcheckpoints.reprieve.dev', '--timeout=60s');
      await cluster.applyFiles(deployed('crds'));
    },
  },
  'CRDs that are older': {
    make: async () => {
      await cluster.kubectl('annotate', 'crd', 'reprieves.reprieve.dev', `${REVISION_ANNOTATION}=0`, '--overwrite');
      await cluster.kubectl('annotate', 'crd', 'podcheckpoints.reprieve.dev', `${REVISION_ANNOTATION}-`);
      return {
        config: await configured(),
        says: 'older than this version of Reprieve: podcheckpoints.reprieve.dev, reprieves.reprieve.dev; run: kubectl apply -f deploy/crds',
      };
    },
    undo: () => cluster.applyFiles(deployed('crds')),
  },
  'a right that is missing': {
    make: async () => {
      const role = JSON.parse(await cluster.kubectl('get', 'clusterrole', 'reprieve', '-o', 'json')) as {
        rules: { resources: string[] }[];
      };
      const rules = role.rules.filter(({ resources }) => resources[0] !== 'reprieves/status');
      await cluster.applyObjects({ ...role, rules });
      await untilAllowed('no', 'patch', 'reprieves');
      return {
        config: await configured(),
        says: '1 right(s) missing; run: kubectl apply -f deploy/rbac.yaml\n  patch reprieves.reprieve.dev/status',
      };
    },
    undo: async () => {
      await cluster.applyFiles(deployed('rbac.yaml'));
      await untilAllowed('yes', 'patch', 'reprieves');
    },
  },
  'an admission policy that does not deny': {
    make: async () => {
      await cluster.kubectl('delete', 'validatingadmissionpolicybinding', 'reprieve-tickets');
      return {
        config: await configured(),
        says: 'not there, or not bound: reprieve-tickets; run: kubectl apply -f deploy/admission-policies.yaml, or set kubernetes.admissionPolicies: Ignored',
      };
    },
    undo: () => cluster.applyFiles(deployed('admission-policies.yaml')),
  },
  'a serving certificate that has expired': {
    make: async () => {
      const { certPath: certFile, keyPath: keyFile } = await cluster.pki.dated(
        await cluster.pki.certificate('expired-serving', { commonName: 'reprieve' }),
        YESTERDAY,
      );
      return {
        config: await configured({ server: { port: 0, tls: { certFile, keyFile } } }),
        says: `the serving certificate ${certFile} expired at 2024-01-02T00:00:00Z (it is <now> here); renew it (server.tls.certFile), or set the clock of this machine`,
      };
    },
  },
  'a port that is taken': {
    make: async () => {
      const server = createServer();
      undoLater = () => server.close();
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address() as AddressInfo;
      return {
        config: await configured({ server: { port } }),
        says: `cannot listen on 127.0.0.1:${port}: another process does; stop it, or set server.port`,
      };
    },
    undo: () => undoLater(),
  },
};

describe('reprieve serve does not start with', () => {
  for (const [name, { make, undo }] of Object.entries(mistakes)) {
    it(name, async () => {
      const { config, says } = await make();
      try {
        const { code, stdout, stderr } = await serve(config);
        expect(stderr).toMatch(exactly(`reprieve: ${says}\n`));
        expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      } finally {
        await undo?.();
      }
    });
  }
});

it('reprieve serve starts where nothing is wrong, and ends in order on SIGTERM', async () => {
  const { code, stdout, stderr } = await serve(await configured(), '"msg":"leading"');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/"msg":"listening"[^]*"msg":"synced"[^]*"msg":"stopping"/);
});

it('kubectl takes reprieve for tickets alone, and reprieve-all for every kind', async () => {
  const selector = { match: { podSelector: { matchLabels: { app: 'web' } } } };
  const policy = {
    apiVersion: 'reprieve.dev/v1alpha1',
    kind: 'ReprievePolicy',
    metadata: { name: 'web' },
    spec: selector,
  };
  const { metadata, ...rest } = heldCheckpoint;
  await cluster.applyObjects(policy, { ...rest, metadata: { name: metadata.name } });
  expect(await cluster.kubectl('delete', 'reprieve', '--all', '-A')).toBe('No resources found\n');
  const all = await cluster.kubectl('get', 'reprieve-all', '-A', '-o', 'name');
  expect(all.trim().split('\n').sort()).toEqual(['podcheckpoint.reprieve.dev/held', 'reprievepolicy.reprieve.dev/web']);
  await cluster.kubectl('delete', 'podcheckpoint/held', 'reprievepolicy/web');
});

it('a user with the role edit in a namespace reads tickets and checkpoints there, and changes none', async () => {
  await cluster.applyFiles(deployed('rbac-users.yaml'));
  await cluster.kubectl('create', 'rolebinding', 'tenant', '--clusterrole=edit', '--user=tenant', '-n', 'default');
  const may = (verb: string, namespace: string): Promise<string> =>
    cluster
      .kubectl('auth', 'can-i', verb, 'reprieves.reprieve.dev', '--as=tenant', '-n', namespace)
      .then((answer) => answer.trim())
      .catch(() => 'no'); // which is also its exit code
  await expect.poll(() => may('list', 'default'), { timeout: 60_000, interval: 500 }).toBe('yes');
  expect([await may('delete', 'default'), await may('list', 'kube-system')]).toEqual(['no', 'no']);
});

/** The whole text; what stands in angle brackets is anything without a line break. */
function exactly(text: string): RegExp {
  const parts = text.split(/<\w+>/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.+')}$`);
}
