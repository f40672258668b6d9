/**
 * Who may write which record, and what the accounts of Reprieve may change of other objects: `deploy/admission-policies.yaml` is
 * generated from this table, and `reprieve serve` looks at its start whether the API server has them.
 *
 * RBAC says which kinds an account may write. It cannot say that an agent is to write about its own node only, nor which fields are
 * meant. The API server knows the node of an agent by its token, which is bound to a pod of that node.
 *
 * An operator is whoever may create a ReprievePolicy: that decides over the pods of every namespace already.
 */
import {
  AGENT_ACCOUNT,
  AGENT_FINALIZER,
  COMPONENT,
  DEFAULT_NAMESPACE,
  RESTORE_GATE,
  TICKET_ANNOTATION,
  TOKEN_NODE_KEY,
} from '../domain/labels.ts';
import { AGENT_SIGNER } from './certificates/agent-request.ts';
import { API_GROUP, RESOURCES, type ResourceType } from './resources.ts';

export interface AdmissionPolicy {
  readonly name: string;
  readonly type: ResourceType;
  readonly subresource?: 'status';
  readonly operations: readonly ('CREATE' | 'UPDATE')[];
  /** Requests of other users are none of its business; absent: of all. */
  readonly user?: 'agent' | 'server';
  /** Only in the namespace of Reprieve itself. */
  readonly ownNamespace?: boolean;
  readonly rules: readonly AdmissionRule[];
}

interface AdmissionRule {
  /** CEL; with the variables of {@link ADMISSION_VARIABLES}. */
  readonly expression: string;
  /** What the request violates, for its author. */
  readonly message: string;
}

const SERVER = `system:serviceaccount:${DEFAULT_NAMESPACE}:${COMPONENT}`;
const AGENT = `system:serviceaccount:${DEFAULT_NAMESPACE}:${AGENT_ACCOUNT}`;

/** CEL that is true for requests of that account. */
export const ADMISSION_USERS = {
  server: `request.userInfo.username == '${SERVER}'`,
  agent: `request.userInfo.username == '${AGENT}'`,
} as const;

/** Evaluated only where a rule names them. */
export const ADMISSION_VARIABLES: readonly { readonly name: string; readonly expression: string }[] = [
  { name: 'isServer', expression: ADMISSION_USERS.server },
  { name: 'isAgent', expression: ADMISSION_USERS.agent },
  {
    name: 'isOperator',
    expression: `authorizer.group('${API_GROUP}').resource('${RESOURCES.reprievePolicies.plural}').check('create').allowed()`,
  },
  {
    // Empty for a token that is bound to no node: such an agent may write nothing.
    name: 'node',
    expression: `has(request.userInfo.extra) && '${TOKEN_NODE_KEY}' in request.userInfo.extra ? request.userInfo.extra['${TOKEN_NODE_KEY}'][0] : ''`,
  },
];

/** `object` and `oldObject` agree in this field, or lack it both. */
function same(...path: readonly string[]): string {
  return path
    .map((field) => {
      const [now, before] = [`object.${field}`, `oldObject.${field}`];
      return `has(${now}) == has(${before}) && (!has(${now}) || ${now} == ${before})`;
    })
    .map((one) => `(${one})`)
    .join(' && ');
}

/** Of a map, only keys of Reprieve were added, changed or removed. */
function onlyOurKeys(...maps: readonly string[]): string {
  return maps
    .flatMap((map) =>
      [
        ['object', 'oldObject'],
        ['oldObject', 'object'],
      ].map(([one, other]) => {
        const [here, there] = [`${one}.${map}`, `${other}.${map}`];
        const kept = `has(${there}) && key in ${there} && ${there}[key] == ${here}[key]`;
        return `(!has(${here}) || ${here}.all(key, key.startsWith('${API_GROUP}/') || ${kept}))`;
      }),
    )
    .join(' && ');
}

/** Conditions of other types are as before. */
function onlyConditions(...types: readonly string[]): string {
  const others = (of: string): string =>
    `(has(${of}.status.conditions) ? ${of}.status.conditions.filter(c, !(c.type in [${types.map((type) => `'${type}'`).join(', ')}])) : [])`;
  return `${others('object')} == ${others('oldObject')}`;
}

/** A pod is marked as disrupted only because its restore failed; a mark that it had stays or goes. */
function onlyFailedRestores(): string {
  const marks = (of: string): string =>
    `(has(${of}.status.conditions) ? ${of}.status.conditions.filter(c, c.type == 'DisruptionTarget' && (!has(c.reason) || c.reason != 'RestoreFailed')) : [])`;
  return `${marks('object')}.all(c, ${marks('oldObject')}.exists(d, d == c))`;
}

/** What kubelets say of a pod, beside its conditions: Services and controllers go by it. */
const KUBELET_FIELDS = [
  'phase',
  'reason',
  'message',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'startTime',
  'observedGeneration',
  'initContainerStatuses',
  'containerStatuses',
  'ephemeralContainerStatuses',
  'resourceClaimStatuses',
].map((field) => `status.${field}`);

const OUR_CONDITIONS = ['Frozen', 'Restored', 'Checkpointable'].map((type) => `${API_GROUP}/${type}`);
const { reprieves, podCheckpoints, nodes, pods, events, leases, certificateRequests } = RESOURCES;
const MADE_ON = "(has(object.spec.node) ? object.spec.node : has(object.spec.nodeName) ? object.spec.nodeName : '')";
const METADATA = 'only labels and annotations of reprieve.dev may be changed';

export const ADMISSION_POLICIES: readonly AdmissionPolicy[] = [
  {
    name: 'reprieve-tickets',
    type: reprieves,
    operations: ['CREATE', 'UPDATE'],
    rules: [
      {
        expression:
          "variables.isServer || (request.operation == 'UPDATE' && object.spec == oldObject.spec) || variables.isOperator",
        message: 'only reprieve serve makes Reprieves, and changes what they say; others may annotate them',
      },
    ],
  },
  {
    name: 'reprieve-ticket-status',
    type: reprieves,
    subresource: 'status',
    operations: ['UPDATE'],
    rules: [
      {
        expression: 'variables.isServer || variables.isOperator',
        message: 'only reprieve serve says where a Reprieve stands',
      },
    ],
  },
  {
    name: 'reprieve-checkpoints',
    type: podCheckpoints,
    operations: ['CREATE', 'UPDATE'],
    rules: [
      {
        expression:
          "variables.isServer || variables.isAgent || (object.spec.reason == 'Manual' && !has(object.spec.owner)) || (request.operation == 'UPDATE' && object.spec == oldObject.spec) || variables.isOperator",
        message:
          'users make PodCheckpoints with reason Manual and without an owner; all others are made by reprieve serve',
      },
      {
        expression: `!variables.isAgent || (request.operation == 'UPDATE' && object.spec == oldObject.spec && ${MADE_ON} == variables.node)`,
        message: `an agent changes nothing but the finalizer ${AGENT_FINALIZER} of the PodCheckpoints of its own node`,
      },
    ],
  },
  {
    name: 'reprieve-checkpoint-status',
    type: podCheckpoints,
    subresource: 'status',
    operations: ['UPDATE'],
    rules: [
      {
        expression: `(variables.isAgent && ${MADE_ON} == variables.node) || variables.isOperator`,
        message: 'only the agent of its node says what came of a PodCheckpoint',
      },
      {
        expression: `!(has(oldObject.status) && has(oldObject.status.manifestDigest)) || (has(object.status) && ${same('status.location', 'status.manifestDigest', 'status.takenAt', 'status.compatibility')}) || variables.isOperator`,
        message: 'where a verified state lies, and its digest, are final',
      },
    ],
  },
  {
    name: 'reprieve-agent-nodes',
    type: nodes,
    operations: ['UPDATE'],
    user: 'agent',
    rules: [
      {
        expression: 'object.metadata.name == variables.node',
        message: 'an agent changes the Node object of its own node only',
      },
      {
        expression: `object.spec == oldObject.spec && ${same('metadata.finalizers', 'metadata.ownerReferences')} && ${onlyOurKeys('metadata.labels', 'metadata.annotations')}`,
        message: METADATA,
      },
    ],
  },
  {
    name: 'reprieve-agent-pods',
    type: pods,
    subresource: 'status',
    operations: ['UPDATE'],
    user: 'agent',
    rules: [
      {
        expression: "variables.node != '' && has(object.spec.nodeName) && object.spec.nodeName == variables.node",
        message: 'an agent writes about pods of its own node only',
      },
      {
        expression: `${onlyConditions(...OUR_CONDITIONS, 'DisruptionTarget')} && ${onlyFailedRestores()} && ${same(...KUBELET_FIELDS, 'status.nominatedNodeName')}`,
        message: 'an agent writes conditions of reprieve.dev only, and that a restore failed',
      },
      { expression: onlyOurKeys('metadata.labels', 'metadata.annotations'), message: METADATA },
    ],
  },
  {
    name: 'reprieve-agent-events',
    type: events,
    operations: ['CREATE', 'UPDATE'],
    user: 'agent',
    rules: [
      {
        expression: `variables.node != '' && [object, oldObject == null ? object : oldObject].all(event, has(event.reportingInstance) && event.reportingInstance == ('agent-' + variables.node).substring(0, [6 + size(variables.node), 128].min()))`,
        message: 'an agent writes Events in the name of its own node only',
      },
      {
        expression: `object.involvedObject.kind == 'Pod' && object.reportingComponent == '${COMPONENT}' && has(object.source) && object.source.component == '${COMPONENT}'`,
        message: 'an agent writes Events about pods, and as Reprieve',
      },
    ],
  },
  {
    name: 'reprieve-agent-certificates',
    type: certificateRequests,
    operations: ['CREATE'],
    user: 'agent',
    rules: [
      {
        expression: `variables.node != '' && object.spec.signerName == '${AGENT_SIGNER}'`,
        message: `an agent asks for certificates of ${AGENT_SIGNER} only`,
      },
    ],
  },
  {
    name: 'reprieve-leases',
    type: leases,
    operations: ['CREATE', 'UPDATE'],
    ownNamespace: true,
    rules: [
      {
        expression: `variables.isServer ? !object.metadata.name.startsWith('${COMPONENT}-agent-') : variables.isAgent ? variables.node != '' && object.metadata.name == '${COMPONENT}-agent-' + variables.node : variables.isOperator`,
        message:
          'each Lease is written by the process that it is about: the election and webhooks by reprieve serve, an agent by itself',
      },
    ],
  },
  {
    name: 'reprieve-server-pods',
    type: pods,
    operations: ['CREATE', 'UPDATE'],
    user: 'server',
    rules: [
      {
        expression: `request.operation == 'UPDATE' || (has(request.dryRun) && request.dryRun) || (has(object.spec.schedulingGates) && object.spec.schedulingGates.exists(gate, gate.name == '${RESTORE_GATE}')) || (has(object.metadata.annotations) && '${TICKET_ANNOTATION}' in object.metadata.annotations)`,
        message: 'reprieve serve creates pods for tickets only, behind its gate',
      },
      {
        expression: `request.operation == 'CREATE' || (${same('spec.containers', 'spec.initContainers', 'spec.tolerations', 'spec.activeDeadlineSeconds', 'spec.nodeSelector', 'metadata.finalizers', 'metadata.ownerReferences')})`,
        message: 'reprieve serve changes gates and the affinity of a pod, and no other field',
      },
      {
        expression: `request.operation == 'CREATE' || (${onlyOurKeys('metadata.labels', 'metadata.annotations')})`,
        message: METADATA,
      },
    ],
  },
  {
    name: 'reprieve-server-pod-status',
    type: pods,
    subresource: 'status',
    operations: ['UPDATE'],
    user: 'server',
    rules: [
      {
        expression: `${onlyConditions('DisruptionTarget', `${API_GROUP}/Restored`)} && ${same(...KUBELET_FIELDS)}`,
        message: 'reprieve serve writes DisruptionTarget, reprieve.dev/Restored and the nominated node only',
      },
      { expression: onlyOurKeys('metadata.labels', 'metadata.annotations'), message: METADATA },
    ],
  },
];
