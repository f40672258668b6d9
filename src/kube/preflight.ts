import { AppError } from '../observe/error-codes.ts';
import type { AccessRight } from './access.ts';
import { apiErrorOf, isNotFound } from './api-error.ts';
import { validityProblem } from './certificate.ts';
import { crdName, REVISION_ANNOTATION } from './crd/definition.ts';
import { CRD_REVISION } from './crd/revision.ts';
import type { ClusterAccess } from './kube-config.ts';
import { askPatiently, credentialsRefused, type PatienceOptions, type PatientAnswer } from './patient-request.ts';
import { API_GROUP, API_VERSION, pathOf, RESOURCES } from './resources.ts';
import type { KubeObject, KubeRequest, KubeResponse } from './transport.ts';

/** Records hold times of day. This process and the agents count by the clock of the API server; people compare with that of the machine. */
const MAX_SKEW_MS = 10_000;
/** A `Date` header has whole seconds, rounded down. */
const DATE_RESOLUTION_MS = 1000;
const REVIEWS_AT_A_TIME = 8;
const OWN_RESOURCES = [RESOURCES.reprievePolicies, RESOURCES.podCheckpoints, RESOURCES.reprieves] as const;

export interface PreflightOptions extends Omit<PatienceOptions, 'address'> {
  readonly access: Pick<ClusterAccess, 'server' | 'cert'>;
  /** Of Reprieve itself. */
  readonly namespace: string;
  readonly rights: readonly AccessRight[];
  /** Names of policies without which it does not start. */
  readonly admissionPolicies?: readonly string[];
}

type Context = PreflightOptions & PatienceOptions;

/**
 * Looks for everything that would make Reprieve run and do nothing, before it runs. Rejects with an `AppError` that says what
 * is wrong and what to do about it; the order is that in which one mistake would hide the next.
 */
export async function preflight(options: PreflightOptions): Promise<void> {
  const context = { ...options, address: options.access.server };
  checkClientCertificate(context);
  checkClock(await askPatiently({ method: 'GET', path: '/version' }, context), context);
  // Who may not even read the CRDs is told about all missing rights, that one among them.
  if (await mayReadCrds(context)) await checkServed(context);
  await checkRights(context);
  await checkPolicies(context);
}

function checkClientCertificate({ access, clock }: Context): void {
  const problem = access.cert === null ? null : validityProblem(access.cert, clock.now());
  if (problem !== null) throw new AppError('ClientCertificateOutdated', { problem });
}

/** The answer was dated some time between question and answer: the difference that is certain counts. */
function checkClock({ response, askedMs, answeredMs }: PatientAnswer, { address }: Context): void {
  const datedMs = Date.parse(response.headers['date'] ?? '');
  if (Number.isNaN(datedMs)) return;
  const behindMs = datedMs - answeredMs;
  const aheadMs = askedMs - (datedMs + DATE_RESOLUTION_MS);
  const skewMs = Math.max(behindMs, aheadMs);
  if (skewMs <= MAX_SKEW_MS) return;
  const direction = behindMs > aheadMs ? 'behind' : 'ahead of';
  throw new AppError('ClockSkewed', { address, direction, seconds: Math.round(skewMs / 1000) });
}

/** Checks that each of our CRDs exists, stays, and is new enough; false where reading one is forbidden. */
async function mayReadCrds(context: Context): Promise<boolean> {
  const missing: string[] = [];
  const terminating: string[] = [];
  const outdated: string[] = [];
  for (const name of OWN_RESOURCES.map(crdName)) {
    const path = pathOf(RESOURCES.customResourceDefinitions, null, name);
    const { response } = await askPatiently({ method: 'GET', path }, context, isAboutObject);
    if (response.status === 403) return false;
    if (response.status === 404) missing.push(name);
    else if (response.status !== 200) throw unexpected(`reading ${name}`, response, context);
    else if ((response.body as KubeObject).metadata.deletionTimestamp !== undefined) terminating.push(name);
    else if (revisionOf(response.body as KubeObject) < CRD_REVISION) outdated.push(name);
  }
  if (missing.length > 0) throw new AppError('CrdsMissing', { missing: missing.join(', ') });
  if (terminating.length > 0) throw new AppError('CrdsTerminating', { terminating: terminating.join(', ') });
  if (outdated.length > 0) throw new AppError('CrdsOutdated', { outdated: outdated.join(', ') });
  return true;
}

/** A 404 without a name says that the server, while it starts, does not serve the path yet. */
function isAboutObject(response: KubeResponse): boolean {
  return response.status !== 404 || isNotFound(apiErrorOf('', response));
}

/** CRDs without a revision are those of before there were any. */
function revisionOf({ metadata }: KubeObject): number {
  return Number(metadata.annotations?.[REVISION_ANNOTATION] ?? 0) || 0;
}

/** A CRD that exists is not served yet for a moment: after it was created, and after the start of an API server. */
async function checkServed(context: Context): Promise<void> {
  const request: KubeRequest = { method: 'GET', path: `/apis/${API_GROUP}/${API_VERSION}` };
  const { response } = await askPatiently(request, context, (answer) => unserved(answer).length === 0);
  const missing = unserved(response);
  if (missing.length > 0) throw new AppError('CrdsMissing', { missing: missing.join(', ') });
}

function unserved({ status, body }: KubeResponse): string[] {
  const { resources = [] } =
    status === 200 ? (body as { readonly resources?: readonly { readonly name: string }[] }) : {};
  return OWN_RESOURCES.filter(({ plural }) => !resources.some(({ name }) => name === plural)).map(crdName);
}

/** Each policy exists, and a binding has it deny what it is against: without that anybody who may write a record may forge one. */
async function checkPolicies(context: Context): Promise<void> {
  const missing: string[] = [];
  for (const name of context.admissionPolicies ?? []) {
    const bodies: KubeObject[] = [];
    for (const kind of [RESOURCES.admissionPolicies, RESOURCES.admissionPolicyBindings]) {
      const path = pathOf(kind, null, name);
      const { response } = await askPatiently({ method: 'GET', path }, context, isAboutObject);
      if (response.status === 200) bodies.push(response.body as KubeObject);
      else if (response.status !== 404) throw unexpected(`reading ${name}`, response, context);
    }
    const [policy, binding] = bodies;
    const bound = binding?.['spec'] as { readonly policyName?: string; readonly validationActions?: readonly string[] };
    const denies = bound?.policyName === name && bound.validationActions?.includes('Deny');
    if (policy === undefined || !denies) missing.push(name);
  }
  if (missing.length > 0) throw new AppError('AdmissionPoliciesMissing', { missing: missing.join(', ') });
}

async function checkRights(context: Context): Promise<void> {
  const questions = context.rights.flatMap((right) =>
    right.verbs.flatMap((verb) => (right.resourceNames ?? [null]).map((name) => ({ right, verb, name }))),
  );
  const isAllowed = await mapped(questions, (question) => isGranted(question, context));
  const missing = questions.filter((_, index) => !isAllowed[index]);
  if (missing.length === 0) return;
  const rights = missing.map((question) => `  ${described(question, context.namespace)}`).join('\n');
  throw new AppError('RbacMissing', { count: missing.length, rights });
}

interface Question {
  readonly right: AccessRight;
  readonly verb: string;
  readonly name: string | null;
}

/** Asked of the server, so that whatever authorizes there has its say. */
async function isGranted({ right, verb, name }: Question, context: Context): Promise<boolean> {
  const [resource, subresource] = right.resource.split('/');
  const request: KubeRequest = {
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: {
        resourceAttributes: {
          group: right.group,
          resource,
          verb,
          ...(subresource !== undefined && { subresource }),
          ...(name !== null && { name }),
          ...(right.scope === 'own namespace' && { namespace: context.namespace }),
        },
      },
    },
  };
  const { response } = await askPatiently(request, context);
  // Every authenticated user may ask this about himself.
  if (response.status === 403) throw credentialsRefused(context.address, request, response);
  if (response.status !== 201) throw unexpected('asking for our rights', response, context);
  return (response.body as { readonly status?: { readonly allowed?: boolean } }).status?.allowed === true;
}

/** As kubectl spells it: `patch pods/status`, `get leases.coordination.k8s.io "reprieve" in namespace reprieve-system`. */
function described({ right, verb, name }: Question, namespace: string): string {
  const [resource, subresource] = right.resource.split('/');
  const qualified = right.group === '' ? resource : `${resource}.${right.group}`;
  const what = subresource === undefined ? qualified : `${qualified}/${subresource}`;
  const which = name === null ? '' : ` "${name}"`;
  return `${verb} ${what}${which}${right.scope === 'own namespace' ? ` in namespace ${namespace}` : ''}`;
}

/** The results in the order of the items, a few at a time. Rejects when all that was under way has ended, with the first failure. */
async function mapped<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await run(items[index] as T);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: REVIEWS_AT_A_TIME }, worker));
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return results;
}

function unexpected(doing: string, response: KubeResponse, { address }: Context): AppError {
  return new AppError('ApiServerUnreachable', { address, cause: apiErrorOf(doing, response).message });
}
