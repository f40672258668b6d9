import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import { bound, running, ticketIn } from './story/seen.ts';
import { pod, policy, statefulSet } from './story/workloads.ts';

/** `reprieve uninstall` and then `kubectl delete`, on a cluster where a saved pod waits for room. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let lab: Lab;
let config: string;

beforeAll(async () => {
  lab = await Lab.start({ nodes: 1, configuration: QUICK_LEASE });
  config = join(lab.cluster.dir, 'uninstall.json');
  await writeFile(
    config,
    JSON.stringify({
      apiVersion: 'config.reprieve.dev/v1alpha1',
      kind: 'ReprieveConfiguration',
      kubernetes: { kubeconfig: lab.cluster.adminKubeconfigPath, namespace: 'reprieve-system' },
      ...QUICK_LEASE,
    }),
  );
  await lab.cluster.applyObjects(policy('batch', 'batch'));
  await lab.cluster.applyObjects(statefulSet('notebook', { priorityClassName: 'batch', cpu: '3' }));
  const victim = await running(lab, 'notebook-0');
  await lab.cluster.applyObjects(pod('serving', { priorityClassName: 'serving', cpu: '3' }));
  await bound(lab, 'serving');
  await ticketIn(lab, 'Waiting', victim.uid);
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

async function uninstall(...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(root, 'src/main.ts'), 'uninstall', '--config', config, ...args]);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

it('does nothing while a replica leads', async () => {
  const { code, stdout, stderr } = await uninstall('--discard');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^reprieve: \S+ leads \(Lease reprieve-system\/reprieve\) and would undo this; stop every/);
});

it('does nothing while saved work waits, and names it', async () => {
  for (const replica of lab.replicas) await replica.stop();
  const { code, stdout } = await uninstall();
  expect(code).toBe(2);
  expect(stdout).toMatch(
    /^kept +podcheckpoints\/default\/\S+: the only state of notebook-0, saved on node-1\n\nNothing was/,
  );
  expect(await lab.cluster.kubectl('get', 'podcheckpoints', '-o', 'name')).toMatch(/^podcheckpoint\S+\n$/);
});

it('settles the cluster, so that the deletion of the CRDs comes to its end and no pod stays gated', async () => {
  const { code, stdout, stderr } = await uninstall('--discard');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('Nothing in the cluster needs Reprieve any more.');
  const manifests = ['crds', 'runtimeclass.yaml', 'rbac.yaml', 'admission-policies.yaml', 'namespace.yaml'];
  const files = manifests.map((path) => join(root, 'deploy', path));
  await lab.cluster.kubectl('delete', 'mutatingwebhookconfiguration/reprieve');
  await lab.cluster.kubectl('delete', ...files.flatMap((path) => ['-f', path]), '--wait=false');
  await expect.poll(() => lab.cluster.kubectl('get', 'crd', '-o', 'name'), { timeout: 60_000, interval: 500 }).toBe('');
  const notebook = JSON.parse(await lab.cluster.kubectl('get', 'pod', 'notebook-0', '-o', 'json')) as object;
  expect(JSON.stringify(notebook)).not.toContain('reprieve.dev/restore');
  expect(await lab.cluster.kubectl('get', 'node', 'node-1', '-o', 'json')).not.toMatch(/"reprieve\.dev\//);
});

it('has nothing to do where everything is gone', async () => {
  const { code, stdout, stderr } = await uninstall();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^\n?Nothing in the cluster|^kept/);
});
