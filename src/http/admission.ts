import { z } from 'zod';
import {
  CANARY_ANNOTATION,
  CANARY_ANSWER_ANNOTATION,
  PROBE_ANNOTATION,
  RESTORE_GATE,
  RUNTIME_CLASS,
} from '../domain/labels.ts';
import type { Pod } from '../domain/pod.ts';
import type { AdmissionRequest, ExtenderCallbacks } from '../engine/preemption/callbacks.ts';
import { errorAnswer, type Answer } from './answer.ts';
import { reviewAnswer, reviewSchema } from './review.ts';
import { absent, readBody } from './wire/json-body.ts';
import { newPodSchema, readPod } from './wire/pod-schema.ts';

/**
 * The webhook for new pods: a pod that may continue a displaced one gets the restore gate and our runtime class.
 *
 * Fails open: once the review can be identified at all, the pod is allowed, whatever goes wrong: Kubernetes works
 * without us. Side-effect free, so that a dry run needs no care.
 */
export async function handleAdmission(
  callbacks: Pick<ExtenderCallbacks, 'admitPod'>,
  rawBody: string | Buffer,
): Promise<Answer> {
  let review: Review;
  try {
    review = readBody(creationSchema, rawBody).request;
  } catch (error) {
    return errorAnswer(error, { verb: VERB });
  }
  try {
    return await decided(callbacks, review);
  } catch (error) {
    const warning = 'reprieve: could not look for a checkpoint of this pod; it starts without one';
    return { ...allowed(review, { reason: 'Failed' }, { warnings: [warning] }), error };
  }
}

const VERB = 'admit-pod';

const creationSchema = reviewSchema({
  resource: z.object({ group: absent(z.string()), version: z.string(), resource: z.string() }),
  subResource: absent(z.string()),
  namespace: absent(z.string()),
  name: absent(z.string()),
  dryRun: absent(z.boolean()),
  object: absent(z.unknown()),
});

type Review = z.output<typeof creationSchema>['request'];

interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

async function decided(callbacks: Pick<ExtenderCallbacks, 'admitPod'>, review: Review): Promise<Answer> {
  if (!isPodCreation(review)) return allowed(review, { reason: 'NotAPodCreation' });
  const raw = newPodSchema.parse(review.object);
  const nonce = raw.metadata.annotations?.[CANARY_ANNOTATION];
  if (review.dryRun && nonce) return canaryAnswer(review, nonce);
  if (review.dryRun && raw.metadata.annotations?.[PROBE_ANNOTATION]) return allowed(review, { reason: 'Probe' });
  const pod = readPod('request.object', raw);
  const request = requestOf(review, pod);
  const fields = {
    pod: `${request.namespace}/${request.name ?? `${raw.metadata.generateName ?? ''}*`}`,
    dryRun: request.dryRun,
  };
  // What our patch adds to; a server that checks it will refuse such a pod itself.
  const obstacle = raw.spec ? obstacleTo(pod) : 'NoSpec';
  if (obstacle !== null) return allowed(review, { ...fields, reason: obstacle });
  const { gate, reason } = await callbacks.admitPod(request);
  if (!gate || request.gated) return allowed(review, { ...fields, reason });
  const patch = patchOf(pod, Array.isArray(raw.spec?.schedulingGates));
  return allowed(review, { ...fields, reason, gated: true }, patched(patch));
}

/** Shows whoever sent the dry run (`src/kube/webhook-canary.ts`) that this review took place. */
function canaryAnswer(review: Review, nonce: string): Answer {
  const path = `/metadata/annotations/${CANARY_ANSWER_ANNOTATION.replace('/', '~1')}`;
  // With our class, so that kube-apiserver refuses the canary where it would refuse a replacement.
  const ours = { op: 'add', path: '/spec/runtimeClassName', value: RUNTIME_CLASS } as const;
  return allowed(review, { verb: 'canary' }, patched([{ op: 'add', path, value: nonce }, ours]));
}

function patched(patch: readonly PatchOperation[]): object {
  return { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
}

function isPodCreation({ operation, resource, subResource }: Review): boolean {
  return (
    operation === 'CREATE' &&
    !resource.group &&
    resource.version === 'v1' &&
    resource.resource === 'pods' &&
    !subResource
  );
}

function requestOf(review: Review, pod: Pod): AdmissionRequest {
  const gated = pod.gates.includes(RESTORE_GATE);
  return {
    // The object's own namespace may still be empty; the request's is the one it is created in.
    namespace: review.namespace || pod.namespace,
    name: pod.name || review.name || null,
    owner: pod.owner,
    completionIndex: pod.completionIndex,
    labels: pod.labels,
    priorityClassName: pod.priorityClassName,
    dryRun: review.dryRun ?? false,
    gated,
    plainFor: gated || pod.runtimeClassName === RUNTIME_CLASS ? null : pod.ticket,
    object: review.object as object,
  };
}

/** Why a pod cannot be gated or restored, whatever was saved for it; null when nothing stands against it. */
function obstacleTo(pod: Pod): 'OtherRuntimeClass' | 'AlreadyPlaced' | null {
  // It would not run through our wrapper, and swapping a sandboxed runtime for ours is not for us to do.
  if (pod.runtimeClassName !== null && pod.runtimeClassName !== RUNTIME_CLASS) return 'OtherRuntimeClass';
  // kube-apiserver refuses gates on pods that name their node: we would break the pod.
  return pod.nodeName === null ? null : 'AlreadyPlaced';
}

function patchOf(pod: Pod, hasGates: boolean): readonly PatchOperation[] {
  const gate = { name: RESTORE_GATE };
  const operations: PatchOperation[] = [
    hasGates
      ? { op: 'add', path: '/spec/schedulingGates/-', value: gate }
      : { op: 'add', path: '/spec/schedulingGates', value: [gate] },
  ];
  if (pod.runtimeClassName === null)
    operations.push({ op: 'add', path: '/spec/runtimeClassName', value: RUNTIME_CLASS });
  return operations;
}

function allowed({ uid }: Review, fields: Answer['fields'], more: object = {}): Answer {
  return reviewAnswer(uid, { allowed: true, ...more }, { verb: VERB, ...fields });
}
