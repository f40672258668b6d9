import { RUNTIME_CLASS } from '../domain/labels.ts';
import { ADMISSION_POLICIES } from './admission-policies.ts';
import { AGENT_AUTHORITY, AGENT_SIGNER } from './certificates/agent-request.ts';
import { crdName } from './crd/definition.ts';
import { RESOURCES, type ResourceType } from './resources.ts';

/** One thing that a process of ours does to the API server, and so a right it needs. */
export interface AccessRight {
  /** Empty for the core group. */
  readonly group: string;
  /** Plural; with a subresource `pods/status`. */
  readonly resource: string;
  readonly verbs: readonly Verb[];
  /** Everywhere, or only in the namespace of Reprieve itself. */
  readonly scope: 'cluster' | 'own namespace';
  /** Only objects of these names; absent: all. It cannot restrict `create`, nor a `list` or `watch` without a field selector. */
  readonly resourceNames?: readonly string[];
  readonly why: string;
}

/** `approve` and `sign` are asked of whoever approves or signs a request for a certificate; no request has them as its verb. */
type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'approve' | 'sign';

/** Names that the configuration sets, and that rights are restricted to. */
export interface AccessNames {
  /** The Lease; null where one process leads without an election. */
  readonly lease: string | null;
  /** The Secret of the serving certificate that Reprieve issues; null where its files come from elsewhere. */
  readonly servingSecret: string | null;
  /** The MutatingWebhookConfiguration that is given its authority; null: none. */
  readonly webhookConfiguration: string | null;
  /** The ValidatingWebhookConfiguration of the guard, likewise. */
  readonly guardConfiguration: string | null;
  /** The admission policies, and their bindings; none where the configuration does without. */
  readonly admissionPolicies: readonly string[];
}

/** What deploy/ is written for: the defaults of the configuration. */
export const DEPLOYED_NAMES: AccessNames = {
  lease: 'reprieve',
  servingSecret: 'reprieve-serving',
  webhookConfiguration: 'reprieve',
  guardConfiguration: 'reprieve-guard',
  admissionPolicies: ADMISSION_POLICIES.map(({ name }) => name),
};

/**
 * Every right `reprieve serve` needs: deploy/rbac.yaml is generated from it, and the preflight asks for it. The audit log
 * of test/cluster/rbac.test.ts shows that nothing is missing, and nothing in vain.
 */
export function accessRights(names: AccessNames): readonly AccessRight[] {
  const { pods, nodes, namespaces, events, podDisruptionBudgets, customResourceDefinitions } = RESOURCES;
  const { volumeClaims, volumes, storageClasses, csiNodes, certificateRequests } = RESOURCES;
  const { reprievePolicies, podCheckpoints, reprieves, leases, secrets, mutatingWebhooks, runtimeClasses } = RESOURCES;
  const { replicaSets, replicationControllers, statefulSets, jobs } = RESOURCES;
  const everywhere: readonly AccessRight[] = [
    cluster(pods, ['get', 'list', 'watch'], 'the index; the latest version before each write to a pod'),
    cluster(pods, ['create', 'patch', 'delete'], 'bare pods come back; gates and the leader label; eviction'),
    cluster(
      part(pods, 'status'),
      ['patch'],
      'nominatedNodeName of preemptors, DisruptionTarget of victims, Restored of gated pods',
    ),
    cluster(nodes, ['list', 'watch'], 'the index'),
    cluster(namespaces, ['list', 'watch'], 'the index: namespaceSelector of policies'),
    {
      ...cluster(runtimeClasses, ['list', 'watch'], 'whether pods may name our RuntimeClass'),
      resourceNames: [RUNTIME_CLASS],
    },
    cluster(podDisruptionBudgets, ['list', 'watch'], 'the index: whom evictions would hurt'),
    cluster(RESOURCES.services, ['list', 'watch'], 'the index: which pods get traffic'),
    cluster(volumeClaims, ['list', 'watch'], 'the index: which nodes reach the volumes of a pod that comes back'),
    cluster(volumes, ['list', 'watch'], 'the index: as for claims'),
    cluster(storageClasses, ['list', 'watch'], 'the index: as for claims, of volumes that do not exist yet'),
    cluster(csiNodes, ['list', 'watch'], 'the index: how many volumes a node can attach'),
    cluster(events, ['create', 'patch'], 'telling what happens to a pod, and how often'),
    ...[replicaSets, replicationControllers, statefulSets, jobs].map((kind) =>
      cluster(kind, ['get'], 'whether a displaced pod is still wanted'),
    ),
    cluster(reprievePolicies, ['list', 'watch'], 'the index: who is protected'),
    cluster(part(reprievePolicies, 'status'), ['patch'], 'whom a policy protects now, and whether it works'),
    cluster(podCheckpoints, ['get', 'list', 'watch', 'create', 'delete'], 'requests to the nodes, and their results'),
    cluster(
      podCheckpoints,
      ['patch'],
      'releasing pods that need not be held; removing the finalizer of an agent that is silent, or gone with its node',
    ),
    cluster(reprieves, ['get', 'list', 'watch', 'create', 'delete'], 'tickets of displaced pods'),
    cluster(
      reprieves,
      ['patch'],
      'a higher preemptor takes over a ticket; a decision by hand is removed once acted on',
    ),
    cluster(part(reprieves, 'status'), ['patch'], 'phases and claims of tickets'),
    cluster(certificateRequests, ['list', 'watch'], 'agents ask for certificates'),
    cluster(part(certificateRequests, 'approval'), ['patch'], 'for the node that the token of the agent names'),
    cluster(part(certificateRequests, 'status'), ['patch'], 'the certificate'),
    {
      ...cluster({ group: certificateRequests.group, plural: 'signers' }, ['approve', 'sign'], 'the same'),
      resourceNames: [AGENT_SIGNER],
    },
    {
      ...cluster(customResourceDefinitions, ['get'], 'refusing to start with older ones'),
      resourceNames: [reprievePolicies, podCheckpoints, reprieves].map(crdName),
    },
  ];
  const { admissionPolicies, admissionPolicyBindings } = RESOURCES;
  const policies = names.admissionPolicies.length === 0 ? [] : [admissionPolicies, admissionPolicyBindings];
  return [
    ...everywhere,
    ...policies.map((kind) => ({
      ...cluster(kind, ['get'], 'refusing to start where anybody may forge records'),
      resourceNames: names.admissionPolicies,
    })),
    ...whereNamed(names.webhookConfiguration, (name) => [
      {
        ...cluster(mutatingWebhooks, ['get', 'patch'], 'giving it the authority of our certificate'),
        resourceNames: [name],
      },
    ]),
    ...whereNamed(names.guardConfiguration, (name) => [
      {
        ...cluster(RESOURCES.validatingWebhooks, ['get', 'patch'], 'giving it the authority of our certificate'),
        resourceNames: [name],
      },
    ]),
    ...whereNamed(names.lease, (name) => [
      { ...own(leases, ['get'], 'leader election'), resourceNames: [name] },
      own(
        leases,
        ['create', 'update', 'delete'],
        'leader election; each replica has a Lease of its own, by which it says which tickets its webhook knows',
      ),
    ]),
    own(leases, ['list', 'watch'], 'which agents and replicas are alive; who leads'),
    own(secrets, ['create'], 'what is kept in the Secrets below; create cannot be restricted to a name'),
    {
      ...own(secrets, ['get', 'patch'], 'the authority of agents; the serving certificate, where we issue it'),
      resourceNames: [AGENT_AUTHORITY, ...(names.servingSecret === null ? [] : [names.servingSecret])],
    },
  ];
}

/** Every right `reprieve agent` needs: deploy/rbac-agent.yaml is generated from it, and the agent asks for it at its start. */
export function agentRights(): readonly AccessRight[] {
  const { pods, nodes, namespaces, events, reprievePolicies, podCheckpoints, reprieves } = RESOURCES;
  const { customResourceDefinitions, leases, certificateRequests } = RESOURCES;
  return [
    cluster(pods, ['get', 'list', 'watch'], 'the pods of its node; the latest version before each write to a pod'),
    cluster(part(pods, 'status'), ['patch'], 'the conditions Frozen, Restored and Checkpointable'),
    cluster(nodes, ['get', 'patch'], 'what its node can do; where to fetch from other nodes'),
    cluster(podCheckpoints, ['get', 'list', 'watch'], 'orders to its node; what a restored pod continues'),
    cluster(podCheckpoints, ['patch'], 'its finalizer'),
    cluster(part(podCheckpoints, 'status'), ['patch'], 'what came of an order'),
    cluster(reprieves, ['get'], 'the ticket that a restored pod names'),
    cluster(reprievePolicies, ['list', 'watch'], 'whose processes to look at beforehand'),
    cluster(namespaces, ['list', 'watch'], 'namespaceSelector of policies'),
    cluster(events, ['create', 'patch'], 'telling why a pod cannot be saved'),
    own(leases, ['create', 'patch'], 'saying that it is alive'),
    cluster(certificateRequests, ['create', 'get'], 'its certificate towards other agents'),
    {
      ...cluster(customResourceDefinitions, ['get'], 'refusing to start with older ones'),
      resourceNames: [reprievePolicies, podCheckpoints, reprieves].map(crdName),
    },
  ];
}

/**
 * What users may do with our kinds who may view a namespace: deploy/rbac-users.yaml is generated from it. Aggregated into the
 * role `view`, which `edit` and `admin` contain. Reading only.
 */
export function viewRights(): readonly AccessRight[] {
  const { reprievePolicies, podCheckpoints, reprieves } = RESOURCES;
  const verbs = ['get', 'list', 'watch'] as const;
  return [
    cluster(reprieves, verbs, 'where a displaced pod stands in the queue, and why'),
    cluster(podCheckpoints, verbs, 'what was saved of a pod, and when'),
    cluster(reprievePolicies, verbs, 'what protects a pod; only for users who may view the whole cluster'),
  ];
}

function whereNamed(name: string | null, rights: (name: string) => readonly AccessRight[]): readonly AccessRight[] {
  return name === null ? [] : rights(name);
}

type Named = Pick<ResourceType, 'group' | 'plural'>;

function cluster(type: Named, verbs: readonly Verb[], why: string): AccessRight {
  return { group: type.group, resource: type.plural, verbs, scope: 'cluster', why };
}

function own(type: Named, verbs: readonly Verb[], why: string): AccessRight {
  return { group: type.group, resource: type.plural, verbs, scope: 'own namespace', why };
}

function part({ group, plural }: Named, subresource: 'status' | 'approval'): Named {
  return { group, plural: `${plural}/${subresource}` };
}
