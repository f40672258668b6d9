import type { Refusal } from '../ports/cluster-writer.ts';
import { KubeApiError } from './api-error.ts';

/** What the messages of kube-apiserver and its admission plugins say, in order; the HTTP status alone does not tell. */
const BY_MESSAGE: readonly (readonly [RegExp, Refusal['reason']])[] = [
  [/request is too large|entity too large|larger than max|exceeds the maximum|limit is \d+ bytes/i, 'TooLarge'],
  [/exceeded quota|failed quota|insufficient quota/, 'Quota'],
  [/violates PodSecurity/, 'PodSecurity'],
  [/RuntimeClass|runtimeClass/, 'RuntimeClass'],
  [/admission webhook .*denied|denied the request|ValidatingAdmissionPolicy/, 'Admission'],
];

/** Long messages, of a 422 with the whole object in it for example, say the cause first. */
const MAX_MESSAGE = 1024;

/** Why the API server refused a write that it will refuse again; null where the same write may succeed soon. */
export function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof KubeApiError)) return null;
  const { status, message } = error;
  const named = BY_MESSAGE.find(([pattern]) => pattern.test(message))?.[1];
  const said = message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}...` : message;
  if (named === 'TooLarge' && (status === 413 || status === 422 || status >= 500))
    return { reason: named, message: said };
  if (status === 413) return { reason: 'TooLarge', message: said };
  if (status === 422) return { reason: 'Invalid', message: said };
  // Webhooks choose the status of their refusal.
  if (status === 403) return { reason: named ?? 'Forbidden', message: said };
  return status < 500 && status !== 429 && status !== 409 && named === 'Admission'
    ? { reason: named, message: said }
    : null;
}
