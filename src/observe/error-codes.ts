/** What an error code means to the outside: the HTTP status it travels with, and whether the same call may succeed later. */
export interface ErrorCodeEntry {
  /** Null for errors that never leave through HTTP: they end or prevent the start of the process. */
  readonly status: number | null;
  readonly retryable: boolean;
  /** `{name}` stands for a field of the error. */
  readonly message: string;
  readonly meaning: string;
}

/** Every error code, once. Codes are never reused for something else: people search for them. */
export const ERROR_CODES = {
  MalformedBody: {
    status: 400,
    retryable: false,
    message: '{field}: expected {expected}, found {found}',
    meaning: 'The body is not what the path takes. Contents are not repeated in the answer.',
  },
  ClientCertificateRequired: {
    status: 401,
    retryable: false,
    message: 'this path needs a client certificate signed by the configured authority',
    meaning: 'The caller showed no client certificate, or one of another authority (`server.tls.clientCaFile`).',
  },
  ClientNotAllowed: {
    status: 403,
    retryable: false,
    message: 'the common name of the client certificate is not among the allowed ones',
    meaning: 'The certificate is genuine, but its common name is not in `server.tls.allowedClientNames`.',
  },
  NotFound: {
    status: 404,
    retryable: false,
    message: 'no such path; Reprieve answers {paths}',
    meaning: 'Often a `urlPrefix` in kube-scheduler’s configuration that does not end in `/v1`.',
  },
  MethodNotAllowed: {
    status: 405,
    retryable: false,
    message: 'this path takes {method} only',
    meaning: 'Extender verbs and the webhook take POST, all else GET.',
  },
  ClientGone: {
    status: 499,
    retryable: true,
    message: 'the caller went away before its body had arrived',
    meaning:
      'Never sent, only logged and counted: the connection was cut within a body. Often a timeout of the caller (`httpTimeout`).',
  },
  BodyTooLarge: {
    status: 413,
    retryable: false,
    message: 'the body is larger than {limit} bytes',
    meaning:
      'Set `nodeCacheCapable: true` in kube-scheduler’s configuration: bodies then hold names instead of objects.',
  },
  Internal: {
    status: 500,
    retryable: true,
    message: 'internal error; the log has its cause',
    meaning: 'A defect of Reprieve. kube-scheduler preempts no pod (`ignorable: false`) and asks again.',
  },
  Overloaded: {
    status: 503,
    retryable: true,
    message: 'more than {limit} calls are under way',
    meaning:
      'More verbs at once than a kube-scheduler asks. It takes this for a failed attempt, preempts no pod and asks again.',
  },
  CallTooLate: {
    status: 503,
    retryable: true,
    message: 'the body took longer to arrive than the {timeoutMs} ms that callers wait',
    meaning:
      'Nothing was decided: kube-scheduler no longer waits for the answer (`extender.httpTimeout`), and asks again.',
  },
  NotReady: {
    status: 503,
    retryable: true,
    message: 'not ready: {reasons}',
    meaning: 'Answer of `/readyz` until the index is complete; see the reasons.',
  },
  AddressInUse: {
    status: null,
    retryable: true,
    message: 'cannot listen on {address}: another process does; stop it, or set server.port',
    meaning: 'The port is taken (EADDRINUSE).',
  },
  AddressForbidden: {
    status: null,
    retryable: false,
    message: 'cannot listen on {address}: not permitted; set server.port to 1024 or higher',
    meaning: 'The process may not bind that port (EACCES).',
  },
  AddressUnavailable: {
    status: null,
    retryable: false,
    message: 'cannot listen on {address}: this machine has no such address; set server.address',
    meaning: 'The address belongs to no interface of this machine, or its name is unknown (EADDRNOTAVAIL, ENOTFOUND).',
  },
  ListenFailed: {
    status: null,
    retryable: true,
    message: 'cannot listen on {address}: {cause}',
    meaning: 'The operating system refused, for the named cause.',
  },
  TlsFilesInvalid: {
    status: null,
    retryable: true,
    message: 'cannot serve TLS: {cause}; check server.tls',
    meaning: 'A certificate, key or authority file is missing, unreadable, or they do not belong together.',
  },
  CertificateUnavailable: {
    status: null,
    retryable: true,
    message:
      'cannot get the serving certificate: {cause}; check the API server and the rights of deploy/rbac.yaml, or give server.tls.certFile and keyFile',
    meaning:
      'With `server.tls.issue`: the Secret could not be read or written, or the webhooks could not be given its authority. At the start this was tried for a minute; later the former certificate is served on.',
  },
  ConfigurationInvalid: {
    status: null,
    retryable: false,
    message: '{path}: {count} problem(s)\n{problems}',
    meaning: 'The configuration file is not valid. Every problem is listed, one a line.',
  },
  KubeconfigUnusable: {
    status: null,
    retryable: false,
    message: 'cannot find the API server: {cause}; set kubernetes.kubeconfig, or $KUBECONFIG',
    meaning: 'No kubeconfig was found, it cannot be read, or its context names no cluster that is reached over HTTPS.',
  },
  ClientCertificateOutdated: {
    status: null,
    retryable: false,
    message: 'the client certificate of the kubeconfig {problem}; renew it, or set the clock of this machine',
    meaning: 'The API server would refuse it. An expired one is often that of an administrator’s kubeconfig.',
  },
  ApiServerUnreachable: {
    status: null,
    retryable: true,
    message:
      'no usable answer from the API server {address}: {cause}; check that it runs, and that the kubeconfig names its address',
    meaning: 'It refused, was not found, did not answer or answered with errors for `kubernetes.startupTimeout`.',
  },
  ApiServerNotTrusted: {
    status: null,
    retryable: false,
    message:
      'cannot trust the API server {address}: {cause}; check certificate-authority and server in the kubeconfig, or renew its certificate',
    meaning: 'Its certificate is of another authority, expired, or of another name. Nothing was sent to it.',
  },
  ApiCredentialsRefused: {
    status: null,
    retryable: false,
    message:
      'the API server {address} refuses our credentials: {cause}; renew the user in the kubeconfig, or the token of the service account',
    meaning: 'It answered 401, or treated the request as anonymous.',
  },
  ClockSkewed: {
    status: null,
    retryable: true,
    message:
      'the clock of this machine is {seconds} s {direction} that of the API server {address}; synchronise both (NTP)',
    meaning:
      'More than 10 s. Deadlines of displacements and checkpoints are absolute times that the leader writes: saving would get too little time, or pods would stay frozen too long.',
  },
  CrdsMissing: {
    status: null,
    retryable: true,
    message: 'the API server does not serve {missing}; run: kubectl apply -k deploy',
    meaning: 'The records of Reprieve have no place: their CRDs were never applied, or are not established.',
  },
  CrdsTerminating: {
    status: null,
    retryable: true,
    message:
      'being deleted: {terminating}; run: reprieve uninstall, wait until they are gone, then run: kubectl apply -k deploy',
    meaning:
      'The CRDs are being deleted. The API server still serves them, accepts no new object, and waits for the agents to remove their finalizer from each PodCheckpoint. `reprieve uninstall` releases those whose agent does not answer.',
  },
  CrdsOutdated: {
    status: null,
    retryable: true,
    message: 'older than this version of Reprieve: {outdated}; run: kubectl apply -f deploy/crds',
    meaning:
      'The API server would drop fields that this version writes. Newer CRDs are fine. Their revision is the annotation `reprieve.dev/crd-revision`.',
  },
  AdmissionPoliciesMissing: {
    status: null,
    retryable: true,
    message:
      'not there, or not bound: {missing}; run: kubectl apply -f deploy/admission-policies.yaml, or set kubernetes.admissionPolicies: Ignored',
    meaning:
      'Without these ValidatingAdmissionPolicies the API server takes records of Reprieve from everybody whom RBAC lets write them.',
  },
  RbacMissing: {
    status: null,
    retryable: true,
    message: '{count} right(s) missing; run: kubectl apply -f deploy/rbac.yaml\n{rights}',
    meaning:
      'The user of Reprieve may not do what it has to. Every missing right is listed, one a line. deploy/rbac.yaml grants them to its service account; another user, namespace or Lease needs the same.',
  },
  ServingCertificateOutdated: {
    status: null,
    retryable: true,
    message:
      'the serving certificate {file} {problem}; renew it (server.tls.certFile), or set the clock of this machine',
    meaning: 'kube-scheduler and kube-apiserver would refuse it, the latter without a word: the webhook fails open.',
  },
  StillLed: {
    status: null,
    retryable: true,
    message: '{holder} leads (Lease {lease}) and would undo this; stop every reprieve serve, then run it again',
    meaning:
      '`reprieve uninstall` holds the Lease while it works, so that no replica evicts or gates a pod meanwhile. A replica renews it.',
  },
  LeaseUnavailable: {
    status: null,
    retryable: true,
    message: 'cannot take the Lease {lease}: {cause}; run it with the rights of a cluster administrator',
    meaning: '`reprieve uninstall` could not write the Lease, so a replica may lead. Nothing was changed.',
  },
  RootRequired: {
    status: null,
    retryable: false,
    message: '{command} must run as root: it freezes and saves processes of others',
    meaning: 'It runs as an ordinary user, or in a container that is not privileged.',
  },
  WrapperSettingInvalid: {
    status: null,
    retryable: false,
    message: 'the runtime wrapper cannot take {name}={value}; use a path of letters, digits and . _ - + @ : /',
    meaning: 'It becomes a word of the shell script that stands in for the OCI runtime.',
  },
  ContainerdConfigInvalid: {
    status: null,
    retryable: false,
    message: 'cannot read the configuration of containerd, {path}: {cause}',
    meaning: 'It is no TOML, or something in it is not what containerd takes. Nothing was changed.',
  },
  ContainerdConfigOutdated: {
    status: null,
    retryable: false,
    message:
      'the configuration of containerd, {path}, is of version 1; run: containerd config migrate, and put what it prints in its place',
    meaning: 'It names no `version`, or 1. The runtime handler of Reprieve needs 2 or later. Nothing was changed.',
  },
  RuntimeNotFound: {
    status: null,
    retryable: false,
    message: 'no OCI runtime at {paths}; install runc, or name it with --runtime',
    meaning: 'The wrapper hands every container to it, so it is not installed without one. Nothing was changed.',
  },
  NodeFileUnusable: {
    status: null,
    retryable: false,
    message: 'cannot change {path}: {cause}; run it as root, on the node itself',
    meaning: 'A file of the node could not be read or written. What was done before it remains; run it again.',
  },
  ConfigurationUnreadable: {
    status: null,
    retryable: false,
    message: 'cannot read the configuration {path}: {cause}',
    meaning: 'The file given with `--config` is missing or unreadable.',
  },
} as const satisfies Readonly<Record<string, ErrorCodeEntry>>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error with a code from {@link ERROR_CODES}; its message is the template of that code, filled in from `fields`. */
export class AppError extends Error {
  override readonly name: string = 'AppError';
  readonly code: ErrorCode;
  readonly fields: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, fields: Readonly<Record<string, string | number>> = {}, cause?: unknown) {
    super(filled(ERROR_CODES[code].message, fields), cause === undefined ? undefined : { cause });
    this.code = code;
    this.fields = fields;
  }
}

/** HTTP status of a code; 500 for one that was never meant to travel. */
export function statusOf(code: ErrorCode): number {
  return ERROR_CODES[code].status ?? 500;
}

function filled(template: string, fields: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(fields[name] ?? whole));
}
