import { afterAll, beforeAll, expect, test } from 'vitest';
import { ControlPlane } from './control-plane/control-plane.ts';
import { schedulerConfig } from './control-plane/scheduler-config.ts';

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await ControlPlane.start();
});

afterAll(async () => {
  await cluster?.stop();
});

test('the API server is ready', async () => {
  expect(await cluster.kubectl('get', '--raw', '/readyz')).toBe('ok');
});

test('the real scheduler binds a pod to a node', async () => {
  await cluster.waitForDefaultServiceAccount();
  await cluster.applyObjects(node('node1'), pod('first'));
  expect(await nodeOnceBound('first')).toBe('node1');
});

test('the scheduler comes back from a crash, and asks an extender that fails open', async () => {
  await cluster.stopScheduler('SIGKILL');
  // Nothing listens on the discard port: the ignorable entry for filter is passed over.
  await cluster.startScheduler(({ kubeconfig }) =>
    schedulerConfig({ kubeconfig, extenderUrl: 'http://127.0.0.1:9/v1' }),
  );
  await cluster.applyObjects(pod('second'));
  expect(await nodeOnceBound('second')).toBe('node1');
  expect(await cluster.schedulerLog()).toContain('http://127.0.0.1:9/v1');
});

test('the API server keeps its objects over a restart', async () => {
  await cluster.restartApiServer();
  expect(await cluster.kubectl('get', 'pods', '-o', 'name')).toBe('pod/first\npod/second\n');
});

test('a program that cannot start says why, with the end of its log', async () => {
  const start = ControlPlane.start({ apiServerFlags: ['--no-such-flag'] });
  await expect(start).rejects.toThrow(/apiserver: ended with 1.*unknown flag: --no-such-flag/s);
});

test('two run side by side, and nothing is left of either', async () => {
  const other = await ControlPlane.start();
  const pids = [...other.pids, ...cluster.pids];
  expect(pids).toHaveLength(8);
  expect(pids.filter(isAlive)).toEqual(pids);
  await Promise.all([other.stop(), cluster.stop()]);
  expect(pids.filter(isAlive)).toEqual([]);
});

async function nodeOnceBound(podName: string): Promise<string> {
  await cluster.kubectl('wait', '--for=jsonpath={.spec.nodeName}', '--timeout=60s', `pod/${podName}`);
  return cluster.kubectl('get', `pod/${podName}`, '-o', 'jsonpath={.spec.nodeName}');
}

function node(name: string): object {
  const room = { cpu: '4', memory: '8Gi', pods: '110' };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { capacity: room, allocatable: room, conditions: [{ type: 'Ready', status: 'True', reason: 'Simulated' }] },
  };
}

function pod(name: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'main', image: 'example.invalid/main', resources: { requests: { cpu: '1' } } }] },
  };
}

/** Whether a process has this id, running or not yet taken in by its parent. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
