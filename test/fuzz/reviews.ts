import { RESTORE_GATE, RUNTIME_CLASS } from '../../src/domain/labels.ts';
import type { AdmissionVerdict } from '../../src/engine/preemption/callbacks.ts';
import { handleAdmission } from '../../src/http/admission.ts';
import type { Answer } from '../../src/http/answer.ts';
import { applyJsonPatch } from '../../src/sim/api-server/json-patch.ts';
import { violations } from '../wire/contract.ts';
import { mutate } from '../wire/mutate.ts';
import { one, type FuzzCase, type FuzzSubject } from './subject.ts';
import { knownNames, recordedBodies } from './verbs.ts';

type Json = Readonly<Record<string, unknown>>;

const OWNER = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train', controller: true };
const SPECS: readonly object[] = [
  {},
  { schedulingGates: [{ name: 'other' }] },
  { schedulingGates: null },
  { schedulingGates: [{ name: RESTORE_GATE }] },
  { runtimeClassName: RUNTIME_CLASS },
  { runtimeClassName: 'gvisor' },
  { nodeName: 'n1' },
];
const reviews = recordedBodies.flatMap(({ file, text }) =>
  SPECS.map((spec) => ({ file, text: reviewOf((JSON.parse(text) as { Pod: PodJson }).Pod, spec) })),
);

interface PodJson {
  readonly metadata: object;
  readonly spec: object;
}

/** The ways in which the engine can answer; the last two are failures of the API server that it asked. */
const VERDICTS: readonly (() => Promise<AdmissionVerdict>)[] = [
  () => Promise.resolve({ gate: true, reason: 'OpenTicket' }),
  () => Promise.resolve({ gate: true, reason: 'OpenTicket' }),
  () => Promise.resolve({ gate: false, reason: 'NoTicket' }),
  () => Promise.reject(new Error('API server away')),
  () => {
    throw new TypeError('a defect');
  },
];

/** Reviews about the pods of the recorded bodies, changed, through the webhook. */
export const admission: FuzzSubject = {
  name: 'admission',
  share: 4,
  maker: (random) => ({ next: () => caseOf(random) }),
};

function caseOf(random: () => number): FuzzCase {
  const { file, text } = one(reviews, random);
  const admitPod = one(VERDICTS, random);
  const { body, recipe } = mutate(text, random, knownNames);
  return {
    input: body,
    recipe: [file, ...recipe],
    async ask(input) {
      const answer = await handleAdmission({ admitPod }, input);
      const { reason, code = '' } = answer.fields as Readonly<Record<string, string>>;
      const outcome = `${answer.status} ${reason ?? code}${answer.fields['gated'] === true ? ' gated' : ''}`;
      return { answer: `admit-pod ${outcome}`, violations: reviewViolations(input, answer) };
    },
  };
}

/**
 * In what an answer breaks what kube-apiserver relies on, or the promise to fail open: a pod is never refused, and a review
 * that can be identified is answered with its uid.
 */
function reviewViolations(input: string | Buffer, { status, body, contentType }: Answer): string[] {
  const review = parsed(input);
  if (status === 400) {
    const found = violations({ verb: 'preempt', requestBody: input, status, body, contentType }, NO_CLUSTER);
    return isReview(review) ? [...found, 'a review that can be identified was refused'] : found;
  }
  if (status !== 200 || contentType !== 'application/json') return [`status ${status}, ${contentType}`];
  const { response, ...rest } = JSON.parse(body) as { readonly response: Json; readonly [member: string]: unknown };
  const { uid, allowed, patch, patchType, warnings, ...more } = response;
  const asked = requestOf(review);
  const found: string[] = [];
  if (JSON.stringify(rest) !== '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}')
    found.push(`not a review: ${JSON.stringify(rest)}`);
  if (uid !== asked['uid']) found.push('answered with the uid of another review');
  if (allowed !== true) found.push('refused a pod');
  if (Object.keys(more).length > 0) found.push(`unknown members ${Object.keys(more).join()}`);
  if (warnings !== undefined && !isTexts(warnings)) found.push('warnings are no texts');
  if (patch === undefined) return patchType === undefined ? found : [...found, 'a patch type without a patch'];
  return [...found, ...patchViolations(asked['object'], patchType, patch)];
}

function patchViolations(object: unknown, patchType: unknown, patch: unknown): string[] {
  if (patchType !== 'JSONPatch' || typeof patch !== 'string') return [`patch of type ${String(patchType)}`];
  const operations: unknown = JSON.parse(Buffer.from(patch, 'base64').toString());
  // kube-apiserver hands an object on as it came, a member that is null included.
  const { spec } = applyJsonPatch(object, operations) as {
    readonly spec: {
      readonly schedulingGates: readonly { readonly name: unknown }[];
      readonly runtimeClassName: unknown;
    };
  };
  const gates = spec.schedulingGates.filter((gate) => gate.name === RESTORE_GATE).length;
  const found = gates === 1 ? [] : [`${gates} gates of ours after the patch`];
  return spec.runtimeClassName === RUNTIME_CLASS ? found : [...found, 'another runtime class after the patch'];
}

const NO_CLUSTER = { isOn: () => false, priorityOf: () => Number.NaN };

/** Every member that tells what the review is about has its type; what the object is like does not matter. */
function isReview(review: unknown): boolean {
  const { apiVersion, kind } = (review ?? {}) as Json;
  const { uid, operation, resource, subResource, namespace, name, dryRun } = requestOf(review);
  const { group, version, resource: plural } = (resource ?? {}) as Json;
  const texts = [uid, operation, version, plural];
  const optional = [group, subResource, namespace, name];
  return (
    apiVersion === 'admission.k8s.io/v1' &&
    kind === 'AdmissionReview' &&
    uid !== '' &&
    texts.every((value) => typeof value === 'string') &&
    optional.every((value) => value === undefined || value === null || typeof value === 'string') &&
    (dryRun === undefined || dryRun === null || typeof dryRun === 'boolean')
  );
}

function requestOf(review: unknown): Json {
  return (((review ?? {}) as Json)['request'] ?? {}) as Json;
}

function parsed(input: string | Buffer): unknown {
  try {
    return JSON.parse(input.toString());
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string' && text !== '');
}

function reviewOf(pod: PodJson, spec: object): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'r1',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'default',
      dryRun: false,
      object: {
        metadata: { ...pod.metadata, ownerReferences: [OWNER] },
        spec: { ...pod.spec, nodeName: undefined, schedulingGates: undefined, runtimeClassName: undefined, ...spec },
      },
    },
  });
}
