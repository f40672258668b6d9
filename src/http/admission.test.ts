import { describe, expect, it } from 'vitest';
import { RESTORE_GATE, RUNTIME_CLASS } from '../domain/labels.ts';
import type { AdmissionRequest, AdmissionVerdict } from '../engine/preemption/callbacks.ts';
import { handleAdmission } from './admission.ts';

const OWNER = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train', controller: true };
const POD_RESOURCE = { group: '', version: 'v1', resource: 'pods' };

interface Review {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch?: string;
    readonly patchType?: string;
    readonly warnings?: string[];
  };
}

function review(object: unknown, request: object = {}): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'r1', operation: 'CREATE', resource: POD_RESOURCE, namespace: 'team', object, ...request },
  });
}

function pod(spec: object = {}, metadata: object = {}): object {
  return {
    metadata: { generateName: 'train-', ownerReferences: [OWNER], ...metadata },
    spec: { containers: [], ...spec },
  };
}

async function admit(body: string, verdict: AdmissionVerdict | Error = { gate: true, reason: 'OpenTicket' }) {
  const asked: AdmissionRequest[] = [];
  const admitPod = async (request: AdmissionRequest): Promise<AdmissionVerdict> => {
    asked.push(request);
    if (verdict instanceof Error) throw verdict;
    return verdict;
  };
  const answer = await handleAdmission({ admitPod }, body);
  const { response } = JSON.parse(answer.body) as Partial<Review>;
  const patch = response?.patch && (JSON.parse(Buffer.from(response.patch, 'base64').toString()) as unknown);
  return { answer, response, patch, asked };
}

describe('handleAdmission', () => {
  it('gates a pod that may continue another', async () => {
    const { response, patch } = await admit(review(pod()));
    expect(response).toMatchObject({ uid: 'r1', allowed: true, patchType: 'JSONPatch' });
    expect(patch).toEqual([
      { op: 'add', path: '/spec/schedulingGates', value: [{ name: RESTORE_GATE }] },
      { op: 'add', path: '/spec/runtimeClassName', value: RUNTIME_CLASS },
    ]);
  });

  it('answers a canary with its nonce, and asks nobody about it', async () => {
    const annotations = { 'reprieve.dev/canary': 'r-1-7' };
    const { patch, asked, answer } = await admit(review(pod({}, { annotations }), { dryRun: true }));
    expect(patch).toEqual([
      { op: 'add', path: '/metadata/annotations/reprieve.dev~1canary-answer', value: 'r-1-7' },
      { op: 'add', path: '/spec/runtimeClassName', value: RUNTIME_CLASS },
    ]);
    expect(asked).toEqual([]);
    expect(answer.fields).toMatchObject({ verb: 'canary' });
  });

  it('takes a pod that is stored for no canary, whatever it is annotated with', async () => {
    const annotations = { 'reprieve.dev/canary': 'r-1-7' };
    const { patch } = await admit(review(pod({}, { annotations })), { gate: false, reason: 'NoTicket' });
    expect(patch).toBeUndefined();
  });

  it('changes nothing of a dry run that asks what the API server accepts', async () => {
    const annotations = { 'reprieve.dev/probe': 'true' };
    const { patch, asked } = await admit(review(pod({}, { annotations }), { dryRun: true }));
    expect([patch, asked]).toEqual([undefined, []]);
    expect((await admit(review(pod({}, { annotations })))).patch).toBeDefined();
  });

  it('adds to the gates that are there', async () => {
    const { patch } = await admit(
      review(pod({ schedulingGates: [{ name: 'other' }], runtimeClassName: RUNTIME_CLASS })),
    );
    expect(patch).toEqual([{ op: 'add', path: '/spec/schedulingGates/-', value: { name: RESTORE_GATE } }]);
  });

  it('replaces gates that are null', async () => {
    const { patch } = await admit(review(pod({ schedulingGates: null })));
    expect(patch).toContainEqual({ op: 'add', path: '/spec/schedulingGates', value: [{ name: RESTORE_GATE }] });
  });

  it('asks with what is known of a pod before it is stored', async () => {
    const annotations = { 'batch.kubernetes.io/job-completion-index': '3' };
    const { asked } = await admit(
      review(pod({ priorityClassName: 'low' }, { annotations, labels: { app: 'a' } }), { dryRun: true }),
    );
    const { controller: _, ...owner } = OWNER;
    const known = { namespace: 'team', name: null, owner, completionIndex: 3, dryRun: true, gated: false };
    expect(asked).toMatchObject([{ ...known, labels: { app: 'a' }, priorityClassName: 'low' }]);
  });

  it('tells for which ticket a pod comes without the gate and without our class', async () => {
    const annotations = { 'reprieve.dev/ticket': 'train-1' };
    const plainFor = async (spec: object) => (await admit(review(pod(spec, { annotations })))).asked[0]?.plainFor;
    expect(await plainFor({})).toBe('train-1');
    expect(await plainFor({ runtimeClassName: RUNTIME_CLASS })).toBeNull();
    expect(await plainFor({ schedulingGates: [{ name: RESTORE_GATE }] })).toBeNull();
  });

  const untouched: Record<string, { body: string; verdict?: AdmissionVerdict; isAsked?: boolean }> = {
    'a pod without a ticket': { body: review(pod()), verdict: { gate: false, reason: 'NoTicket' }, isAsked: true },
    'a pod that has the gate': { body: review(pod({ schedulingGates: [{ name: RESTORE_GATE }] })), isAsked: true },
    'a pod of another runtime class': { body: review(pod({ runtimeClassName: 'gvisor' })) },
    'a pod that names its node, which may not be gated': { body: review(pod({ nodeName: 'n1' })) },
    'a pod without a spec, which no patch of ours would fit': { body: review({ metadata: {} }) },
    'an update': { body: review(pod(), { operation: 'UPDATE' }) },
    'a subresource': { body: review(pod(), { subResource: 'binding' }) },
    'another resource': {
      body: review(pod(), { resource: { group: 'apps', version: 'v1', resource: 'deployments' } }),
    },
  };
  for (const [sentence, { body, verdict, isAsked = false }] of Object.entries(untouched)) {
    it(`leaves ${sentence} alone`, async () => {
      const { response, asked } = await admit(body, verdict);
      expect(response).toEqual({ uid: 'r1', allowed: true });
      expect(asked).toHaveLength(isAsked ? 1 : 0);
    });
  }

  it('lets the pod pass, with a warning, when the engine fails', async () => {
    const cause = new Error('API server away');
    const { answer, response } = await admit(review(pod()), cause);
    expect(answer).toMatchObject({ status: 200, error: cause });
    expect(response).toEqual({
      uid: 'r1',
      allowed: true,
      warnings: ['reprieve: could not look for a checkpoint of this pod; it starts without one'],
    });
  });

  it('lets a pod pass that it cannot read', async () => {
    const { response } = await admit(review({ metadata: 5 }));
    expect(response).toMatchObject({ allowed: true, warnings: [expect.any(String)] });
  });

  it('lets pass what comes without an object', async () => {
    const { response } = await admit(review(undefined));
    expect(response).toMatchObject({ uid: 'r1', allowed: true, warnings: [expect.any(String)] });
  });

  it.each(['', '{}', '[1]', '{"apiVersion":"admission.k8s.io/v1beta1"}', review(pod(), { uid: '' })])(
    'refuses what is not a review: %s',
    async (body) => {
      const { answer } = await admit(body);
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body)).toMatchObject({ code: 'MalformedBody' });
    },
  );
});
