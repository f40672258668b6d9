import { z } from 'zod';
import type { PodUid } from '../domain/ids.ts';
import type { ExtenderCallbacks } from '../engine/preemption/callbacks.ts';
import type { GuardRequest } from '../engine/guard/guard-request.ts';
import { errorAnswer, type Answer } from './answer.ts';
import { reviewAnswer, reviewSchema } from './review.ts';
import { absent, readBody } from './wire/json-body.ts';

/**
 * The webhook for deletions of pods (deploy/guard.yaml): a pod that is to be saved first is refused with 429 and `retryAfterSeconds`,
 * which kube-apiserver hands on as the header Retry-After, and clients of Kubernetes wait for it inside of the same call.
 *
 * Fails open: a review that cannot be read is an error, and with `failurePolicy: Ignore` the pod goes.
 */
export function handleGuard(callbacks: Pick<ExtenderCallbacks, 'guard'>, rawBody: string | Buffer): Answer {
  let review: Review;
  try {
    review = readBody(deletionSchema, rawBody).request;
  } catch (error) {
    return errorAnswer(error, { verb: VERB });
  }
  const { uid } = review;
  const request = requestOf(review);
  if (request === null) return reviewAnswer(uid, { allowed: true }, { verb: VERB, reason: 'NotAPodDeletion' });
  const verdict = callbacks.guard(request);
  const fields = {
    verb: VERB,
    pod: `${request.namespace}/${request.name}`,
    requester: request.requester,
    reason: verdict.reason,
    refused: !verdict.allowed,
  };
  if (verdict.allowed) return reviewAnswer(uid, { allowed: true }, fields);
  const { message, retryAfterSeconds } = verdict;
  const status = {
    code: 429,
    reason: 'TooManyRequests',
    message: `reprieve: ${message}`,
    details: { retryAfterSeconds },
  };
  return reviewAnswer(uid, { allowed: false, status }, fields);
}

const VERB = 'guard-deletion';

const conditionSchema = z.object({ type: z.string(), status: absent(z.string()), reason: absent(z.string()) });

const deletionSchema = reviewSchema({
  resource: z.object({ group: absent(z.string()), resource: z.string() }),
  subResource: absent(z.string()),
  dryRun: absent(z.boolean()),
  userInfo: absent(z.object({ username: absent(z.string()) })),
  options: absent(z.object({ gracePeriodSeconds: absent(z.number()) })),
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

type Review = z.output<typeof deletionSchema>['request'];

/** Null for what is no deletion of a pod. */
function requestOf(review: Review): GuardRequest | null {
  const { operation, resource, subResource, oldObject, options, userInfo, dryRun } = review;
  const metadata = oldObject?.metadata;
  if (operation !== 'DELETE' || resource.group || resource.resource !== 'pods' || subResource) return null;
  if (!metadata?.uid) return null;
  const mark = oldObject?.status?.conditions?.find(
    ({ type, status }) => type === 'DisruptionTarget' && status === 'True',
  );
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid as PodUid,
    requester: (userInfo?.username ?? '').slice(0, 253) || 'unknown',
    why: (mark?.reason ?? '').slice(0, 128),
    isEnding: Boolean(metadata.deletionTimestamp) || options?.gracePeriodSeconds === 0,
    dryRun: dryRun ?? false,
  };
}
