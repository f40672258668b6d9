import { describe, expect, it } from 'vitest';
import type { AppError } from '../observe/error-codes.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { accessRights, DEPLOYED_NAMES } from './access.ts';
import { REVISION_ANNOTATION } from './crd/definition.ts';
import { CRD_REVISION } from './crd/revision.ts';
import { preflight } from './preflight.ts';
import { TransportError, type KubeRequest, type KubeResponse, type KubeTransport } from './transport.ts';

/** Self-signed, valid on 1 January 2024 alone. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBwjCCAWmgAwIBAgIUQb9uxYVYd9Y5VOp6aBSczC41MGQwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQcmVwcmlldmUtdGVzdC1jYTAeFw0yNDAxMDEwMDAwMDBaFw0y
NDAxMDIwMDAwMDBaMCUxFzAVBgNVBAoMDnN5c3RlbTptYXN0ZXJzMQowCAYDVQQD
DAF4MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMvY7sOA6Glrz6WkAumAG4Zu5
Yo1r3h4d/wVHZID+01a7JmyplsRNJWcJny8m4AdG5F1OgQiE6ACGsutILS2eKaOB
gDB+MAwGA1UdEwEB/wQCMAAwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMC
MA8GA1UdEQQIMAaHBH8AAAEwHQYDVR0OBBYEFMVjH8ZnIhsGBKhg8LHBF7WON1zB
MB8GA1UdIwQYMBaAFKTLh8OABcMF+GSTOOwlAim/Kf6JMAoGCCqGSM49BAMCA0cA
MEQCIGUajGd48m6CRuTJdhpK+TIQTL2nE6tTe3GqztI9qKtwAiA9G4ewna+dBTx5
vmYfPNo6HSFgBv9KVpeGvOKH2Kx6lQ==
-----END CERTIFICATE-----
`;
const SECOND = 1000;
const NOON_MS = Date.UTC(2024, 0, 1, 12);
const ADDRESS = 'https://api.example:6443';
const GROUP_PATH = '/apis/reprieve.dev/v1alpha1';
const CRD_PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/';
const ADMISSION_PATH = /^\/apis\/admissionregistration\.k8s\.io\/v1\/(validatingadmissionpolic\w+)\/(.*)$/;
const REVIEW_PATH = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

interface Attributes {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verb: string;
  readonly name?: string;
  readonly namespace?: string;
}

/** A server with nothing wrong, whose answers a test replaces. */
class Server implements KubeTransport {
  readonly clock = new VirtualClock({ startMs: NOON_MS });
  readonly requests: KubeRequest[] = [];
  readonly reviewed: Attributes[] = [];
  /** Of the server. */
  skewMs = 0;
  roundTripMs = 0;
  largestInFlight = 0;
  #inFlight = 0;
  /** What is answered instead of the usual; null: the usual. Throws where there is no answer. */
  answer: (request: KubeRequest) => KubeResponse | null = () => null;
  isAllowed: (attributes: Attributes) => boolean = () => true;

  async request(request: KubeRequest): Promise<KubeResponse> {
    this.requests.push(request);
    this.largestInFlight = Math.max(this.largestInFlight, ++this.#inFlight);
    try {
      await new Promise<void>((resolve, reject) => {
        request.signal?.addEventListener('abort', () => reject(request.signal?.reason as Error));
        this.clock.setTimer(this.roundTripMs / 2, resolve);
      });
      const answer = this.answer(request) ?? this.#usual(request);
      const dated = Math.floor((this.clock.now() + this.skewMs) / SECOND) * SECOND;
      await new Promise<void>((resolve) => this.clock.setTimer(this.roundTripMs / 2, resolve));
      return { ...answer, headers: { date: new Date(dated).toUTCString(), ...answer.headers } };
    } finally {
      this.#inFlight--;
    }
  }

  watch(): Promise<never> {
    throw new Error('nothing is watched before the start');
  }

  #usual({ path, body }: KubeRequest): KubeResponse {
    if (path === '/version') return ok({ major: '1' });
    if (path === GROUP_PATH)
      return ok({
        resources: ['reprievepolicies', 'podcheckpoints', 'podcheckpoints/status', 'reprieves'].map((name) => ({
          name,
        })),
      });
    const [, kind, name = ''] = ADMISSION_PATH.exec(path) ?? [];
    if (kind !== undefined) return ok({ metadata: { name }, spec: { policyName: name, validationActions: ['Deny'] } });
    if (path.startsWith(CRD_PATH)) return crd(path.slice(CRD_PATH.length), String(CRD_REVISION));
    const { spec } = body as { readonly spec: { readonly resourceAttributes: Attributes } };
    this.reviewed.push(spec.resourceAttributes);
    return { ...ok({ status: { allowed: this.isAllowed(spec.resourceAttributes) } }), status: 201 };
  }
}

const ok = (body: object): KubeResponse => ({ status: 200, headers: {}, body });
const refusal = (status: number, message: string, details?: object): KubeResponse => ({
  status,
  headers: {},
  body: { kind: 'Status', message, ...(details && { details }) },
});
const crd = (name: string, revision: string | null): KubeResponse =>
  ok({ metadata: { name, annotations: revision === null ? {} : { [REVISION_ANNOTATION]: revision } } });
const failing = (message: string, code: string): never => {
  throw new TransportError('GET /version: failed', { cause: Object.assign(new Error(message), { code }) });
};

interface Outcome {
  readonly error: AppError | null;
  readonly afterMs: number;
}

async function outcome(server: Server, options: { readonly cert?: string } = {}): Promise<Outcome> {
  const { clock } = server;
  const startMs = clock.now();
  let ended: Outcome | null = null;
  const end = (error: AppError | null): void => {
    ended = { error, afterMs: clock.now() - startMs };
  };
  void preflight({
    transport: server,
    access: { server: ADDRESS, cert: options.cert === undefined ? null : Buffer.from(options.cert) },
    clock,
    patienceMs: 10 * SECOND,
    random: () => 0.5,
    namespace: 'reprieve-system',
    rights: accessRights(DEPLOYED_NAMES),
    admissionPolicies: DEPLOYED_NAMES.admissionPolicies,
  }).then(() => end(null), end);
  await clock.runUntil(startMs + 3_600 * SECOND, () => ended !== null);
  return ended as unknown as Outcome;
}

describe('preflight', () => {
  it('finds nothing where nothing is wrong, and asks for each right in the scope it is needed in', async () => {
    const server = new Server();
    expect(await outcome(server, { cert: CERTIFICATE })).toMatchObject({ error: null });
    expect(server.reviewed).toContainEqual({ group: '', resource: 'pods', subresource: 'status', verb: 'patch' });
    const inNamespace = { group: 'coordination.k8s.io', resource: 'leases', namespace: 'reprieve-system' };
    expect(server.reviewed).toContainEqual({ ...inNamespace, verb: 'create' });
    expect(server.reviewed).toContainEqual({ ...inNamespace, verb: 'update' });
    expect(server.reviewed).toContainEqual({ ...inNamespace, verb: 'get', name: 'reprieve' });
    expect(server.reviewed.filter(({ group }) => group === 'apiextensions.k8s.io').map(({ name }) => name)).toEqual([
      'reprievepolicies.reprieve.dev',
      'podcheckpoints.reprieve.dev',
      'reprieves.reprieve.dev',
    ]);
  });

  for (const [sentence, kind, answer] of [
    ['is missing', 'validatingadmissionpolicies', refusal(404, 'not found', { name: 'reprieve-leases' })],
    [
      'is bound by nothing',
      'validatingadmissionpolicybindings',
      refusal(404, 'not found', { name: 'reprieve-leases' }),
    ],
    [
      'only warns',
      'validatingadmissionpolicybindings',
      ok({ metadata: {}, spec: { policyName: 'reprieve-leases', validationActions: ['Warn'] } }),
    ],
  ] as const) {
    it(`refuses to start where an admission policy ${sentence}`, async () => {
      const server = new Server();
      server.answer = ({ path }) => (path.endsWith(`/${kind}/reprieve-leases`) ? answer : null);
      const { error } = await outcome(server);
      expect(error?.message).toContain('not there, or not bound: reprieve-leases; run: kubectl apply -f');
    });
  }

  it('asks for rights eight at a time', async () => {
    const server = new Server();
    server.roundTripMs = 20;
    await outcome(server);
    expect(server.largestInFlight).toBe(8);
  });

  const findings: Record<
    string,
    {
      readonly given: (server: Server) => void | Promise<void>;
      readonly cert?: string;
      readonly want: string | null;
      readonly code?: string;
    }
  > = {
    'a client certificate that has expired': {
      given: ({ clock }) => clock.advance(86_400 * SECOND),
      cert: CERTIFICATE,
      code: 'ClientCertificateOutdated',
      want: 'the client certificate of the kubeconfig expired at 2024-01-02T00:00:00Z (it is 2024-01-02T12:00:00Z here); renew it, or set the clock of this machine',
    },
    'a server that takes us for nobody': {
      given: (server) => {
        server.answer = () => refusal(401, 'Unauthorized');
      },
      code: 'ApiCredentialsRefused',
      want: `the API server ${ADDRESS} refuses our credentials: GET /version: Unauthorized; renew the user in the kubeconfig, or the token of the service account`,
    },
    'a server that takes us for anybody': {
      given: (server) => {
        server.answer = ({ path }) =>
          path === REVIEW_PATH ? refusal(403, 'User "system:anonymous" cannot create') : null;
      },
      code: 'ApiCredentialsRefused',
      want: `the API server ${ADDRESS} refuses our credentials: POST ${REVIEW_PATH}: User "system:anonymous" cannot create; renew the user in the kubeconfig, or the token of the service account`,
    },
    'a server whose certificate is of an unknown authority': {
      given: (server) => {
        const advice = '; if the root CA is installed locally, try running Node.js with --use-system-ca';
        server.answer = () =>
          failing(`unable to verify the first certificate${advice}`, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
      },
      code: 'ApiServerNotTrusted',
      want: `cannot trust the API server ${ADDRESS}: unable to verify the first certificate; check certificate-authority and server in the kubeconfig, or renew its certificate`,
    },
    'a server of another name': {
      given: (server) => {
        server.answer = () =>
          failing("Host: api.example. is not in the cert's altnames", 'ERR_TLS_CERT_ALTNAME_INVALID');
      },
      code: 'ApiServerNotTrusted',
      want: `cannot trust the API server ${ADDRESS}: Host: api.example. is not in the cert's altnames; check certificate-authority and server in the kubeconfig, or renew its certificate`,
    },
    'a clock that is ahead': {
      given: (server) => {
        server.skewMs = -40 * SECOND;
      },
      code: 'ClockSkewed',
      want: `the clock of this machine is 39 s ahead of that of the API server ${ADDRESS}; synchronise both (NTP)`,
    },
    'a clock that is behind': {
      given: (server) => {
        server.skewMs = 40 * SECOND;
      },
      code: 'ClockSkewed',
      want: `the clock of this machine is 40 s behind that of the API server ${ADDRESS}; synchronise both (NTP)`,
    },
    'a slow answer, which says nothing about clocks': {
      given: (server) => {
        server.roundTripMs = 8 * SECOND;
        server.skewMs = 12 * SECOND;
      },
      want: null,
    },
    'CRDs that were never applied': {
      given: (server) => {
        server.answer = ({ path }) =>
          path.startsWith(CRD_PATH) ? refusal(404, 'not found', { name: path.slice(CRD_PATH.length) }) : null;
      },
      code: 'CrdsMissing',
      want: 'the API server does not serve reprievepolicies.reprieve.dev, podcheckpoints.reprieve.dev, reprieves.reprieve.dev; run: kubectl apply -k deploy',
    },
    'CRDs that are older': {
      given: (server) => {
        server.answer = ({ path }) =>
          path === `${CRD_PATH}reprieves.reprieve.dev`
            ? crd('reprieves.reprieve.dev', String(CRD_REVISION - 1))
            : path === `${CRD_PATH}podcheckpoints.reprieve.dev`
              ? crd('podcheckpoints.reprieve.dev', null)
              : null;
      },
      code: 'CrdsOutdated',
      want: 'older than this version of Reprieve: podcheckpoints.reprieve.dev, reprieves.reprieve.dev; run: kubectl apply -f deploy/crds',
    },
    'CRDs that are being deleted': {
      given: (server) => {
        server.answer = ({ path }) =>
          path === `${CRD_PATH}podcheckpoints.reprieve.dev`
            ? ok({ metadata: { name: 'podcheckpoints.reprieve.dev', deletionTimestamp: '2024-01-01T00:00:00Z' } })
            : null;
      },
      code: 'CrdsTerminating',
      want: 'being deleted: podcheckpoints.reprieve.dev; run: reprieve uninstall, wait until they are gone, then run: kubectl apply -k deploy',
    },
    'CRDs that are newer': {
      given: (server) => {
        server.answer = ({ path }) =>
          path.startsWith(CRD_PATH) ? crd(path.slice(CRD_PATH.length), String(CRD_REVISION + 1)) : null;
      },
      want: null,
    },
    'rights that are missing, each once': {
      given: (server) => {
        server.isAllowed = ({ resource, subresource, verb }) =>
          !(verb === 'patch' && subresource === 'status') && !(resource === 'leases' && verb !== 'get');
      },
      code: 'RbacMissing',
      want: `9 right(s) missing; run: kubectl apply -f deploy/rbac.yaml
  patch pods/status
  patch reprievepolicies.reprieve.dev/status
  patch reprieves.reprieve.dev/status
  patch certificatesigningrequests.certificates.k8s.io/status
  create leases.coordination.k8s.io in namespace reprieve-system
  update leases.coordination.k8s.io in namespace reprieve-system
  delete leases.coordination.k8s.io in namespace reprieve-system
  list leases.coordination.k8s.io in namespace reprieve-system
  watch leases.coordination.k8s.io in namespace reprieve-system`,
    },
    'no right to see the CRDs that are missing': {
      given: (server) => {
        server.answer = ({ path }) => (path.startsWith(CRD_PATH) ? refusal(403, 'forbidden') : null);
        server.isAllowed = ({ group, name }) => group !== 'apiextensions.k8s.io' || name !== 'reprieves.reprieve.dev';
      },
      code: 'RbacMissing',
      want: `1 right(s) missing; run: kubectl apply -f deploy/rbac.yaml
  get customresourcedefinitions.apiextensions.k8s.io "reprieves.reprieve.dev"`,
    },
    'an answer that makes no sense': {
      given: (server) => {
        server.answer = ({ path }) => (path === REVIEW_PATH ? refusal(404, 'not served here') : null);
      },
      code: 'ApiServerUnreachable',
      want: `no usable answer from the API server ${ADDRESS}: asking for our rights: not served here; check that it runs, and that the kubeconfig names its address`,
    },
  };

  for (const [name, { given, cert, want, code }] of Object.entries(findings)) {
    it(`${want === null ? 'passes over' : 'tells'} ${name}, without waiting`, async () => {
      const server = new Server();
      await given(server);
      const { error, afterMs } = await outcome(server, cert === undefined ? {} : { cert });
      expect(error?.message ?? null).toBe(want);
      expect(error?.code).toBe(code);
      if (want !== null) expect(afterMs).toBeLessThan(SECOND);
    });
  }

  it('tells a client certificate that is not valid yet', async () => {
    const server = new Server();
    const early = new VirtualClock({ startMs: Date.UTC(2023, 11, 31) });
    const { error } = await outcome(Object.assign(server, { clock: early }), { cert: CERTIFICATE });
    expect(error?.message).toContain('is not valid before 2024-01-01T00:00:00Z (it is 2023-12-31T00:00:00Z here)');
    expect(server.requests).toEqual([]);
  });
});

describe('what passes by itself', () => {
  const passing: Record<string, (request: KubeRequest) => KubeResponse | null> = {
    'a refused connection': () => failing('connect ECONNREFUSED', 'ECONNREFUSED'),
    'a name not found': () => failing('getaddrinfo ENOTFOUND', 'ENOTFOUND'),
    overload: () => refusal(429, 'too many requests'),
    'an etcd that elects': () => refusal(500, 'etcdserver: leader changed'),
    'CRDs not served yet': ({ path }) => (path === GROUP_PATH ? refusal(404, 'not found') : null),
    'one CRD not served yet': ({ path }) =>
      path === GROUP_PATH ? ok({ resources: [{ name: 'reprieves' }, { name: 'podcheckpoints' }] }) : null,
    'CRDs not known yet to a server that starts': ({ path }) =>
      path.startsWith(CRD_PATH) ? refusal(404, 'page not found') : null,
  };

  for (const [name, answer] of Object.entries(passing)) {
    it(`${name}: is waited for`, async () => {
      const server = new Server();
      server.answer = (request) => (server.clock.now() < NOON_MS + 5 * SECOND ? answer(request) : null);
      const { error, afterMs } = await outcome(server);
      expect(error).toBeNull();
      expect(afterMs).toBeGreaterThanOrEqual(5 * SECOND);
    });
  }

  it('does not, after the time for it: the last cause is told', async () => {
    const server = new Server();
    server.answer = () => {
      const refused = [new Error('connect ECONNREFUSED ::1:6443'), new Error('connect ECONNREFUSED 127.0.0.1:6443')];
      throw new TransportError('GET /version: AggregateError', { cause: new AggregateError(refused) });
    };
    const { error, afterMs } = await outcome(server);
    expect(error?.message).toBe(
      `no usable answer from the API server ${ADDRESS}: connect ECONNREFUSED ::1:6443; check that it runs, and that the kubeconfig names its address`,
    );
    expect(afterMs).toBe(10 * SECOND);
  });

  it('does not, where nothing is ever answered', async () => {
    const server = new Server();
    server.roundTripMs = 3_600 * SECOND;
    const { error, afterMs } = await outcome(server);
    expect(error?.message).toContain('no answer within 10 s');
    expect(afterMs).toBe(10 * SECOND);
  });

  it('does not, where CRDs are never served', async () => {
    const server = new Server();
    server.answer = ({ path }) => (path === GROUP_PATH ? ok({ resources: [{ name: 'reprieves' }] }) : null);
    const { error, afterMs } = await outcome(server);
    expect(error?.message).toContain('does not serve reprievepolicies.reprieve.dev, podcheckpoints.reprieve.dev; run');
    expect(afterMs).toBe(10 * SECOND);
  });
});
