import type { ConditionEntry } from './condition-entry.ts';

/** Conditions of a ReprievePolicy. */
export const POLICY_CONDITIONS = {
  Restorable: {
    writer: 'Reprieve',
    statuses: {
      True: 'kube-apiserver calls the webhook, so the replacement of a displaced pod is gated and restored.',
      False: 'Pods of controllers are evicted unsaved: their replacements would start cold. Bare pods are still saved.',
    },
    reasons: {
      WebhookCalled: { status: 'True', meaning: 'The webhook answered the last canary, a pod created as a dry run.' },
      WebhookNotCalled: {
        status: 'False',
        meaning:
          'kube-apiserver created the canary without an answer of the webhook: no webhook configuration, no `server.tls`, a Service without endpoints, a certificate of another authority, or selectors that leave out namespace `reprieve-canary`.',
      },
      NotYetKnown: {
        status: 'False',
        meaning: 'No canary was answered: kube-apiserver refused it or did not answer; the message says how.',
      },
      NoRuntimeClass: {
        status: 'False',
        meaning:
          'RuntimeClass `reprieve` does not exist, so kube-apiserver refuses pods that name it. Pods are evicted unsaved, except bare ones whose policy says `restore.onFailure: Hold`.',
      },
      NamespaceNotReviewed: {
        status: 'False',
        meaning:
          'The webhook answers the canary, but a replacement in the named namespaces was created without a review: often selectors of the webhook configuration.',
      },
      OutOfScope: {
        status: 'False',
        meaning:
          'The selectors of the webhook configuration leave out pods of controllers that the policy rules, in the named namespaces; they are evicted unsaved.',
      },
      JobWouldFail: {
        status: 'False',
        meaning:
          'The named Jobs count an eviction as a failure and would fail by it for good. Their pods are displaced only where nothing else is cheaper; what is saved of them is kept for `ticketRetention`.',
      },
      SuccessorUnknown: {
        status: 'False',
        meaning:
          'Controllers of the named kinds generate the names of their pods, so nothing tells which pod continues which; `restore.identityLabels` may name labels that do.',
      },
    },
  },
} as const satisfies Readonly<Record<string, ConditionEntry>>;
