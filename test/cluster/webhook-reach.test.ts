import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from './story/lab.ts';
import { bound, resumed, running, ticketIn, wasEvicted } from './story/seen.ts';
import { deployment, pod, policy } from './story/workloads.ts';

/** `reprieve serve` under a real kube-apiserver that does not call its webhook, and calls it again. */
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.start({ nodes: 2, webhook: false });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

/** Why the policy says so, once it does; within a minute. */
async function saidReason(status: 'True' | 'False'): Promise<string> {
  const restorable = `.status.conditions[?(@.type=="Restorable")]`;
  const wanted = `--for=jsonpath={${restorable}.status}=${status}`;
  await lab.cluster.kubectl('wait', 'reprievepolicy/batch', wanted, '--timeout=60s');
  return lab.cluster.kubectl('get', 'reprievepolicy/batch', '-o', `jsonpath={${restorable}.reason}`);
}

/** A pod of a Deployment, and a preemptor that needs its place. */
async function displace(name: string, state = '100Mi'): Promise<string> {
  await lab.cluster.applyObjects(deployment(name, { priorityClassName: 'batch', cpu: '3', state }));
  const isIts = ({ metadata }: { metadata: { name: string } }): boolean => metadata.name.startsWith(`${name}-`);
  const victim = await running(lab, name, isIts);
  await sleep(1_200);
  const serving = pod(`serving-${name}`, { priorityClassName: 'serving', cpu: '3', node: victim.node });
  await lab.cluster.applyObjects(serving);
  return victim.uid;
}

async function removeAll(name: string): Promise<void> {
  await lab.cluster.kubectl('delete', `deployment/${name}`, `pod/serving-${name}`, '--wait=true');
}

async function expectUnsaved(name: string): Promise<void> {
  const victim = await displace(name);
  await bound(lab, `serving-${name}`);
  expect(wasEvicted(lab, victim)).toBe(true);
  const about = lab.history.of('Reprieve').filter(({ object }) => JSON.stringify(object).includes(victim));
  expect(about).toEqual([]);
  await removeAll(name);
}

async function expectRestored(name: string): Promise<void> {
  expect((await resumed(lab, await displace(name))).object.metadata.name).toContain(name);
  await removeAll(name);
}

describe('pods of controllers', () => {
  it('are not saved where nobody registered the webhook, and the policy says so', async () => {
    expect(await saidReason('False')).toBe('WebhookNotCalled');
    await expectUnsaved('unregistered');
    expect(await lab.reprieveLog()).toMatch(/without an answer of the webhook/);
  });

  it('are saved and restored as soon as it is registered', async () => {
    await lab.served.applyWebhook();
    expect(await saidReason('True')).toBe('WebhookCalled');
    await expectRestored('registered');
  });

  it('are not saved a minute after its Service lost all endpoints, and the policy says so', async () => {
    lab.served.webhookService.setEndpoints(false);
    expect(await saidReason('False')).toBe('WebhookNotCalled');
    await expectUnsaved('unreached');
  });

  it('are saved and restored again once the Service has endpoints', async () => {
    lab.served.webhookService.setEndpoints(true);
    expect(await saidReason('True')).toBe('WebhookCalled');
    await expectRestored('again');
  });

  it('lose no state to a later pod where their replacement came without review', async () => {
    // Creation is in whole seconds: what is saved within one is not told from its replacement.
    const victim = await displace('replaced', '2Gi');
    await ticketIn(lab, 'Saving', victim);
    lab.served.webhookService.setEndpoints(false);
    const { object } = await ticketIn(lab, 'ColdStarted', victim);
    expect(JSON.stringify(object)).toMatch(/without a review of the webhook/);
    // Whichever is found out first: by this replacement, or by the canaries.
    expect(['NamespaceNotReviewed', 'WebhookNotCalled']).toContain(await saidReason('False'));
  });
});
