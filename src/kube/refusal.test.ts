import { expect, it } from 'vitest';
import { KubeApiError } from './api-error.ts';
import { refusalOf } from './refusal.ts';

const REFUSED: Readonly<Record<string, readonly [status: number, message: string, reason: string]>> = {
  'a full quota': [
    403,
    'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    'Quota',
  ],
  'a quota that demands requests': [403, 'pods "a" is forbidden: failed quota: q: must specify cpu for: main', 'Quota'],
  PodSecurity: [
    403,
    'pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation',
    'PodSecurity',
  ],
  'a missing RuntimeClass': [
    403,
    'pods "a" is forbidden: pod rejected: RuntimeClass "reprieve" not found',
    'RuntimeClass',
  ],
  'a webhook': [403, 'admission webhook "x.example.com" denied the request: no', 'Admission'],
  'a webhook with a status of its own': [400, 'admission webhook "x.example.com" denied the request: no', 'Admission'],
  'a policy': [
    403,
    "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    'Admission',
  ],
  'a missing right': [403, 'pods is forbidden: User "x" cannot create resource "pods"', 'Forbidden'],
  'a wrong object': [
    422,
    'Reprieve "a" is invalid: spec.tolerations: Too many: 65: must have at most 64 items',
    'Invalid',
  ],
  'etcd that takes no such size': [500, 'etcdserver: request is too large', 'TooLarge'],
  'gRPC that takes no such size': [500, 'rpc error: trying to send message larger than max (2 vs. 1)', 'TooLarge'],
  'a body that is too large': [413, 'Request entity too large: limit is 3145728', 'TooLarge'],
};
for (const [what, [status, message, reason]] of Object.entries(REFUSED)) {
  it(`takes ${what} for final`, () => {
    expect(refusalOf(new KubeApiError(status, '', message))).toEqual({ reason, message });
  });
}

const PASSING: Readonly<Record<string, unknown>> = {
  'a conflict': new KubeApiError(409, 'Conflict', 'Operation cannot be fulfilled on resourcequotas "q"'),
  'a server that is busy': new KubeApiError(429, 'TooManyRequests', 'too many requests'),
  'a server that is away': new KubeApiError(503, 'ServiceUnavailable', 'apiserver is shutting down'),
  'a webhook that is away': new KubeApiError(500, 'InternalError', 'failed calling webhook "x.example.com": refused'),
  'a lost connection': new Error('socket hang up'),
};
for (const [what, error] of Object.entries(PASSING)) {
  it(`does not take ${what} for final`, () => expect(refusalOf(error)).toBeNull());
}
