import { z } from 'zod';
import type { PodUid } from '../domain/ids.ts';
import type { ExtenderCallbacks } from '../engine/preemption/callbacks.ts';
import type { GuardRequest } from '../engine/guard/guard-request.ts';
import { errorAnswer, type Answer } from './answer.ts';
import { reviewAnswer, reviewSchema } from './review.ts';
import { absent, readBody } from './wire/json-body.ts';

/**
 * The webhook for deletions and evictions of pods (deploy/guard.yaml): a pod that is to be saved first is refused with 429 and `retryAfterSeconds`,
 * which kube-apiserver hands on as the header Retry-After, and clients of Kubernetes wait for it inside of the same call.
 *
 * Fails open: a review that cannot be read is an error, and with `failurePolicy: Ignore` the pod goes.
 */
export function handleGuard(callbacks: Pick<ExtenderCallbacks, 'guard'>, rawBody: string | Buffer): Answer {
  let review: Review;
  try {
    review = readBody(guardSchema, rawBody).request;
  } catch (error) {
    return errorAnswer(error, { verb: VERB });
  }
  const { uid } = review;
  const request = requestOf(review);
  if (request === null) return reviewAnswer(uid, { allowed: true }, { verb: VERB, reason: 'NotAskedFor' });
  const verdict = callbacks.guard(request);
  const fields = {
    verb: VERB,
    pod: `${request.namespace}/${request.name}`,
    requester: request.requester,
    reason: verdict.reason,
    refused: !verdict.allowed,
  };
  if (verdict.allowed) return reviewAnswer(uid, { allowed: true }, fields);
  const { retryAfterSeconds } = verdict;
  const message = `reprieve: ${verdict.message}`;
  const status =
    retryAfterSeconds === null
      ? { code: 404, reason: 'NotFound', message }
      : { code: 429, reason: 'TooManyRequests', message, details: { retryAfterSeconds } };
  return reviewAnswer(uid, { allowed: false, status }, fields);
}

const VERB = 'guard';

const conditionSchema = z.object({ type: z.string(), status: absent(z.string()), reason: absent(z.string()) });

const optionsSchema = z.object({
  gracePeriodSeconds: absent(z.number()),
  preconditions: absent(z.object({ uid: absent(z.string()) })),
  dryRun: absent(z.array(z.string())),
});

const guardSchema = reviewSchema({
  resource: z.object({ group: absent(z.string()), resource: z.string() }),
  subResource: absent(z.string()),
  name: absent(z.string()),
  namespace: absent(z.string()),
  dryRun: absent(z.boolean()),
  userInfo: absent(z.object({ username: absent(z.string()) })),
  options: absent(optionsSchema),
  /** Of an eviction; null for a deletion. */
  object: absent(z.object({ deleteOptions: absent(optionsSchema) })),
  oldObject: absent(
    z.object({
      metadata: z.object({
        namespace: absent(z.string()),
        name: absent(z.string()),
        uid: absent(z.string()),
        deletionTimestamp: absent(z.string()),
      }),
      status: absent(z.object({ conditions: absent(z.array(conditionSchema)) })),
    }),
  ),
});

type Review = z.output<typeof guardSchema>['request'];

/** Null for what is neither the deletion nor the eviction of a pod. */
function requestOf(review: Review): GuardRequest | null {
  const { operation, resource, subResource } = review;
  if (resource.group || resource.resource !== 'pods') return null;
  if (operation === 'DELETE' && !subResource) return deletionOf(review);
  return operation === 'CREATE' && subResource === 'eviction' ? evictionOf(review) : null;
}

function deletionOf(review: Review): GuardRequest | null {
  const { oldObject, options } = review;
  const metadata = oldObject?.metadata;
  if (!metadata?.uid) return null;
  const mark = oldObject?.status?.conditions?.find(
    ({ type, status }) => type === 'DisruptionTarget' && status === 'True',
  );
  return {
    by: 'Deletion',
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid as PodUid,
    requester: requesterOf(review),
    why: (mark?.reason ?? '').slice(0, 128),
    isEnding: Boolean(metadata.deletionTimestamp) || options?.gracePeriodSeconds === 0,
    dryRun: review.dryRun ?? false,
  };
}

/** kube-apiserver shows the Eviction, and not its pod; the condition it writes itself, after admission. */
function evictionOf(review: Review): GuardRequest | null {
  const { name, namespace, object, dryRun } = review;
  if (!name || !namespace) return null;
  const options = object?.deleteOptions;
  return {
    by: 'Eviction',
    namespace,
    name,
    uid: (options?.preconditions?.uid as PodUid | undefined) ?? null,
    requester: requesterOf(review),
    why: 'EvictionByEvictionAPI',
    isEnding: options?.gracePeriodSeconds === 0,
    dryRun: dryRun === true || (options?.dryRun ?? []).length > 0,
  };
}

function requesterOf({ userInfo }: Review): string {
  return (userInfo?.username ?? '').slice(0, 253) || 'unknown';
}
