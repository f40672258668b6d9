import { z } from 'zod';
import { jsonAnswer, type Answer } from './answer.ts';

/** What every AdmissionReview of kube-apiserver holds, with what else a webhook reads of `request`. */
export function reviewSchema<Fields extends z.ZodRawShape>(request: Fields) {
  return z.object({
    apiVersion: z.literal('admission.k8s.io/v1'),
    kind: z.literal('AdmissionReview'),
    request: z.object({ uid: z.string().min(1), operation: z.string(), ...request }),
  });
}

/** The answer to a review; `response` without the UID of the review. */
export function reviewAnswer(uid: string, response: object, fields: Answer['fields']): Answer {
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...response } };
  return jsonAnswer(JSON.stringify(review), fields);
}
