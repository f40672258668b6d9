import type { Pod } from '../domain/pod.ts';
import type { ExtenderCallbacks } from '../engine/preemption/callbacks.ts';
import { errorAnswer, jsonAnswer, type Answer } from './answer.ts';
import { readExtenderArgs } from './wire/extender-args.ts';
import { filterResult } from './wire/filter-result.ts';
import { hostPriorityList } from './wire/host-priority-list.ts';
import { readPreemptionArgs } from './wire/preemption-args.ts';
import { preemptionResult } from './wire/preemption-result.ts';

export const EXTENDER_VERBS = ['filter', 'prioritize', 'preempt'] as const;
export type ExtenderVerb = (typeof EXTENDER_VERBS)[number];

type SchedulerCallbacks = Pick<ExtenderCallbacks, ExtenderVerb>;

/**
 * Answers one extender call: parse, ask the engine, write. Never throws: a body that cannot be read is a 400, a defect of
 * ours a 500. Free of any server, so that express, the wire tests and the embedded kube-scheduler share it.
 *
 * @example
 * const { status, body } = handleExtender(engine, 'preempt', '{"Pod":{...},"NodeNameToMetaVictims":{...}}');
 */
export function handleExtender(callbacks: SchedulerCallbacks, verb: ExtenderVerb, rawBody: string | Buffer): Answer {
  try {
    return HANDLERS[verb](callbacks, rawBody);
  } catch (error) {
    return errorAnswer(error, { verb });
  }
}

const HANDLERS: Readonly<Record<ExtenderVerb, (callbacks: SchedulerCallbacks, rawBody: string | Buffer) => Answer>> = {
  filter(callbacks, rawBody) {
    const args = readExtenderArgs(rawBody);
    const { body, refused } = filterResult(args, callbacks.filter(args.request));
    return jsonAnswer(body, { ...about('filter', args.request.pod), nodes: args.nodeCount, refused });
  },

  prioritize(callbacks, rawBody) {
    const { request, nodeCount } = readExtenderArgs(rawBody);
    const verdict = callbacks.prioritize(request);
    const fields = {
      ...about('prioritize', request.pod),
      nodes: nodeCount,
      preferred: verdict.scores.size,
    };
    return jsonAnswer(hostPriorityList(request, verdict), fields);
  },

  preempt(callbacks, rawBody) {
    const args = readPreemptionArgs(rawBody);
    const { request } = args;
    const verdict = callbacks.preempt(request);
    const { reason, node, displacementId, saving } = verdict;
    return jsonAnswer(preemptionResult(verdict, args), {
      ...about('preempt', request.preemptor),
      offered: request.candidates.length,
      reason,
      node,
      displacement: displacementId,
      saving,
      answered: verdict.candidates.length,
    });
  },
};

function about(verb: ExtenderVerb, pod: Pod): { readonly verb: string; readonly pod: string; readonly podUid: string } {
  return { verb, pod: `${pod.namespace}/${pod.name}`, podUid: pod.uid };
}
