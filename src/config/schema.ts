import { isIP } from 'node:net';
import { z } from 'zod';
import { formatDuration, parseDuration } from '../domain/duration.ts';
import { formatBytes, quantityToInteger } from '../domain/quantity.ts';
import { DEFAULT_COST_MODEL } from '../domain/victim-cost.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../engine/steps.ts';
import { LOG_LEVELS } from '../observe/log.ts';

export const API_VERSION = 'config.reprieve.dev/v1alpha1';
export const KIND = 'ReprieveConfiguration';

/** The grammar of `parseDuration`, for editors that read the JSON schema. */
const DURATION = /^(0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)$/;
/** A label that looks like a number at the end would be an address that is none. */
const DNS_NAME = /^(\*\.)?([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)*[a-z]([-a-z0-9]*[a-z0-9])?$/i;
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const QUANTITY = /^\d+(\.\d+)?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/;

// The message of every check is what is expected there: the loader says what was found and where.

/** A year. A deadline must stay a date that can be written. */
const MAX_DURATION_MS = 8760 * 3_600_000;

function duration(defaultMs: number, description: string, minMs = 1) {
  const range = `from ${formatDuration(minMs)} to ${formatDuration(MAX_DURATION_MS)}`;
  const expected = { error: () => `a duration ${range}, as 30s or 1h30m` };
  return z
    .string(expected)
    .regex(DURATION, expected)
    .refine((text) => isWithin(parseDuration(text), minMs), expected)
    .default(formatDuration(defaultMs))
    .meta({ description, title: 'duration' });
}

function isWithin(durationMs: number | null, minMs: number): boolean {
  return durationMs !== null && durationMs >= minMs && durationMs <= MAX_DURATION_MS;
}

function bytes(defaultBytes: number, description: string) {
  const expected = { error: () => 'a number of bytes greater than 0, as 500Mi or 1G' };
  const quantity = z
    .string(expected)
    .regex(QUANTITY, expected)
    .refine((text) => QUANTITY.test(text) && quantityToInteger(text) > 0, expected);
  return z
    .union([quantity, z.int(expected).min(1, expected)], expected)
    .default(formatBytes(defaultBytes))
    .meta({ description, title: 'quantity' });
}

function integer(defaultValue: number, min: number, max: number, description: string) {
  const expected = { error: () => `a whole number from ${min} to ${max}` };
  return z.int(expected).min(min, expected).max(max, expected).default(defaultValue).meta({ description });
}

function text(description: string) {
  const expected = { error: () => 'a text that is not empty' };
  return z.string(expected).min(1, expected).meta({ description });
}

function optionalText(description: string) {
  const expected = { error: () => 'a text that is not empty, or null' };
  return z.string(expected).min(1, expected).nullable().default(null).meta({ description });
}

function objectName() {
  const expected = { error: () => 'the name of an object, as reprieve' };
  return z.string(expected).max(253, expected).regex(OBJECT_NAME, expected);
}

function nameOrAddress() {
  const expected = { error: () => 'a DNS name or an IP address' };
  return z
    .string(expected)
    .max(253, expected)
    .refine((given) => DNS_NAME.test(given) || (isIP(given) !== 0 && !given.includes('%')), expected)
    .meta({ description: 'A DNS name or an IP address.' });
}

function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  defaultValue: T[number],
  description: string,
) {
  return z
    .enum(values, { error: () => `one of ${values.join(', ')}` })
    .default(defaultValue as never)
    .meta({ description });
}

const issue = z.strictObject({
  secretName: objectName().default('reprieve-serving').meta({
    description:
      'Secret in kubernetes.namespace that holds the certificate, its authority and their keys; created where it is missing.',
  }),
  names: z
    .array(nameOrAddress(), { error: () => 'a list of DNS names and IP addresses' })
    .min(1, { error: () => 'at least one DNS name or IP address, or null' })
    .nullable()
    .default(null)
    .meta({
      description:
        'By which callers reach the server. Null: those of the Services reprieve and reprieve-extender in its namespace, localhost, 127.0.0.1 and ::1.',
    }),
  webhookConfiguration: objectName().nullable().default('reprieve').meta({
    description: 'MutatingWebhookConfiguration whose webhooks are given the authority (caBundle); null: none.',
  }),
  validity: duration(
    2160 * 3_600_000,
    'How long a certificate is valid; it is renewed after two thirds of that.',
    3_600_000,
  ),
});

const tls = z
  .strictObject({
    certFile: optionalText(
      'Certificate that the server shows, with its intermediates (PEM). Taken over within a minute when it changes.',
    ),
    keyFile: optionalText('Its private key (PEM).'),
    issue: issue.nullable().default(null).meta({
      description:
        'In place of the two files: Reprieve issues its certificate itself, renews it, and gives its authority to the webhook. {} takes the defaults.',
    }),
    clientCaFile: optionalText(
      'Authority of client certificates (PEM). Set: the extender verbs and /debug/state are answered only to clients with a certificate of it. The webhook, probes and metrics stay open: kube-apiserver and the kubelet show no certificate by default.',
    ),
    allowedClientNames: z
      .array(text('A name.'), { error: () => 'a list of names' })
      .default([])
      .meta({ description: 'Common names of the clients that may call those; empty: any that the authority signed.' }),
  })
  .superRefine(({ certFile, keyFile, issue: issued }, context) => {
    const isOne = issued === null ? certFile !== null && keyFile !== null : certFile === null && keyFile === null;
    if (!isOne) context.addIssue({ code: 'custom', message: 'either certFile and keyFile, or issue' });
  });

const server = z.strictObject({
  address: text(
    'Address to listen on. Without TLS anybody who reaches it can have pods displaced: keep it on the loopback beside kube-scheduler, or set tls.',
  ).default('127.0.0.1'),
  port: integer(9443, 0, 65_535, 'Port to listen on; 0: any free one.'),
  tls: tls.nullable().default(null).meta({
    description:
      'HTTPS, with a certificate from files or of its own. Null: plain HTTP, and no webhook, because kube-apiserver calls HTTPS only.',
  }),
});

const cost = z.strictObject({
  coldStart: duration(
    DEFAULT_COST_MODEL.coldStartMs,
    'From the start of a container until it works again, without a checkpoint.',
    0,
  ),
  freeze: duration(DEFAULT_COST_MODEL.freezeMs, 'Time to freeze a pod.', 0),
  dumpBytesPerSecond: bytes(
    DEFAULT_COST_MODEL.dumpBytesPerSecond,
    'Speed of a dump, on nodes that have not measured their own.',
  ),
  restoreBytesPerSecond: bytes(DEFAULT_COST_MODEL.restoreBytesPerSecond, 'Speed of a restore.'),
  defaultStateBytes: bytes(
    DEFAULT_COST_MODEL.defaultStateBytes,
    'Size of a pod’s state, where neither a checkpoint nor a memory request tells.',
  ),
  displacementFactor: z
    .number({ error: () => 'a number of at least 0' })
    .min(0, { error: () => 'a number of at least 0' })
    .default(DEFAULT_COST_MODEL.displacementFactor)
    .meta({
      description:
        'Each earlier displacement adds this share to the cost of a pod, so that the same one is not chosen over and over.',
    }),
});

const extender = z.strictObject({
  onUnsynced: choice(
    ['Hold', 'PassThrough'],
    'Hold',
    'Answer to preempt while the index is incomplete. Hold: no pod is preempted yet. PassThrough: as without Reprieve, victims unsaved.',
  ),
  httpTimeout: duration(
    2_000,
    'The longest httpTimeout of the extender entries in kube-scheduler’s configuration: for a call that took longer to arrive nothing is decided.',
  ),
  cost: cost
    .prefault({})
    .meta({ description: 'What hardware and workloads cost; decides between saving and evicting.' }),
});

const saving = z.strictObject({
  defaultMaxDelay: duration(
    DEFAULT_ENGINE_SETTINGS.defaultMaxDelayMs,
    'How much longer than without Reprieve a preemptor may wait, where no policy states it.',
  ),
  retryNodeAfter: duration(
    DEFAULT_ENGINE_SETTINGS.retryNodeAfterMs,
    'A node where saving failed is not chosen again for the same preemptor for this long. Twice as long each time, up to 16 times, while one of its victims stands there under a policy that refuses to let it go unsaved.',
  ),
  bindGrace: duration(
    DEFAULT_ENGINE_SETTINGS.bindGraceMs,
    'A preemptor whose victims are gone is expected to be bound within this; then kube-scheduler is woken for it.',
  ),
});

const restore = z.strictObject({
  maxConcurrentPerNode: integer(
    DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode,
    1,
    1000,
    'Pods that may be restored on one node at the same time.',
  ),
  maxGate: duration(
    DEFAULT_ENGINE_SETTINGS.maxGateMs,
    'After this the gate of a pod is removed without capacity for it, so that autoscalers see the pod.',
  ),
  starvationReservation: duration(
    DEFAULT_ENGINE_SETTINGS.starvationMs,
    'After this the head of the queue gets a node that is kept free of backfill.',
  ),
  claimGrace: duration(
    DEFAULT_ENGINE_SETTINGS.claimGraceMs,
    'How long a gated pod waits for a ticket that may still become claimable.',
  ),
  ticketRetention: duration(
    DEFAULT_ENGINE_SETTINGS.ticketRetentionMs,
    'How long a ticket is kept after it ended. If its pod was not restored, its state is kept as long; the state of a restored pod is removed at once.',
  ),
});

const kubernetes = z.strictObject({
  kubeconfig: optionalText(
    'Kubeconfig file. Null: $KUBECONFIG, else the service account of this pod, else ~/.kube/config.',
  ),
  context: optionalText('Context in it; null: its current one.'),
  namespace: optionalText(
    'Namespace of what belongs to Reprieve itself. Null: $POD_NAMESPACE, else that of this pod’s service account, else reprieve-system.',
  ),
  startupTimeout: duration(
    10_000,
    'How long to wait at the start for an API server that cannot be reached; then the process ends.',
  ),
});

const SECOND_MS = 1000;

const leaderElection = z
  .strictObject({
    enabled: z
      .boolean({ error: () => 'true or false' })
      .default(true)
      .meta({ description: 'False only where there is one process and never two, as in a test.' }),
    leaseName: text('Name of the Lease, in the namespace of Reprieve.').default('reprieve'),
    leaseDuration: duration(
      15_000,
      'A follower takes over after it saw no renewal for this long. Rounded up to seconds.',
      SECOND_MS,
    ),
    renewDeadline: duration(
      10_000,
      'A leader that could not renew for this long decides and writes nothing more.',
      SECOND_MS / 2,
    ),
    retryPeriod: duration(2_000, 'Pause between renewals, and between the attempts of a follower.', SECOND_MS / 10),
  })
  .superRefine(({ leaseDuration, renewDeadline, retryPeriod }, context) => {
    const tooLong = (key: string, input: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [key], input, message });
    const renewMs = parseDuration(renewDeadline) ?? 0;
    if (renewMs >= (parseDuration(leaseDuration) ?? 0))
      tooLong('renewDeadline', renewDeadline, `a duration shorter than leaseDuration (${leaseDuration})`);
    if ((parseDuration(retryPeriod) ?? 0) * 2 > renewMs)
      tooLong('retryPeriod', retryPeriod, `at most half of renewDeadline (${renewDeadline})`);
  });

function folder(defaultPath: string, description: string) {
  const expected = { error: () => 'an absolute path' };
  return z
    .string(expected)
    .regex(/^\/[^\0]*$/, expected)
    .default(defaultPath)
    .meta({ description });
}

const peer = z
  .strictObject({
    address: text('Address to listen on.').default('0.0.0.0'),
    port: integer(9444, 1, 65_535, 'Port to listen on; the same on every node.'),
    certFile: optionalText(
      'Certificate of this agent (PEM), good for servers and clients, with the address of the node among its names.',
    ),
    keyFile: optionalText('Its private key (PEM).'),
    caFile: optionalText('Authority that signed the certificates of all agents (PEM).'),
    allowedNames: z
      .array(text('A name.'), { error: () => 'a list of names' })
      .default(['reprieve-agent'])
      .meta({ description: 'Common names of the agents that may fetch; empty: any that the authority signed.' }),
  })
  .superRefine(({ certFile, keyFile, caFile }, context) => {
    if (certFile === null || keyFile === null || caFile === null)
      context.addIssue({ code: 'custom', message: 'certFile, keyFile and caFile' });
  });

const agent = z.strictObject({
  nodeName: optionalText('Name of the Node object of this machine. Null: $NODE_NAME, else the host name.'),
  stateDir: folder(
    '/var/lib/reprieve',
    'Saved pods lie here, memory included: a folder of root alone, on the disk that dumps are written to.',
  ),
  runDir: folder('/run/reprieve', 'Where the agent and reprieve-runc meet; the same as in the wrapper.'),
  kubeletDir: folder('/var/lib/kubelet', 'Root folder of the kubelet: volumes of pods lie there.'),
  runtime: z
    .strictObject({
      command: text('The OCI runtime, runc or one with its command line: a name to find in $PATH, or a path.').default(
        'runc',
      ),
      root: folder('/run/containerd/runc/k8s.io', 'Its --root.'),
      bundles: folder(
        '/run/containerd/io.containerd.runtime.v2.task/k8s.io',
        'Folder with one OCI bundle for each container, named by its id.',
      ),
      containerdAddress: folder(
        '/run/containerd/containerd.sock',
        'Socket of containerd, asked (by ctr) which image a container runs; CRI-O tells that by itself.',
      ),
    })
    .prefault({})
    .meta({ description: 'How containers of pods are run on this node; the defaults are those of containerd.' }),
  maxConcurrentDumps: integer(
    2,
    1,
    64,
    'Pods that are written to the disk at the same time; others run until it is their turn.',
  ),
  reserve: bytes(1024 ** 3, 'Free space that a dump must leave on the disk of stateDir.'),
  keepUnknown: duration(
    24 * 3_600_000,
    'How long a saved pod is kept on the disk whose PodCheckpoint is gone without a deletion that the agent saw, as after a restore of etcd.',
    0,
  ),
  peer: peer.nullable().default(null).meta({
    description:
      'Other agents fetch saved pods from this one, over mutual TLS. Null: a pod is restored only on the node that holds its state.',
  }),
});

/** The configuration file as it is written, with its defaults. {@link resolved} makes the value the program uses. */
export const configurationSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION, { error: () => API_VERSION }),
  kind: z.literal(KIND, { error: () => KIND }),
  server: server.prefault({}).meta({ description: 'Where Reprieve answers kube-scheduler, the webhook and probes.' }),
  extender: extender.prefault({}).meta({ description: 'How preempt is answered.' }),
  saving: saving.prefault({}).meta({ description: 'How victims are saved.' }),
  restore: restore.prefault({}).meta({ description: 'How displaced pods come back.' }),
  kubernetes: kubernetes.prefault({}).meta({ description: 'The API server.' }),
  leaderElection: leaderElection
    .prefault({})
    .meta({ description: 'Which of several replicas decides and writes (a Lease, as other Kubernetes controllers).' }),
  agent: agent.prefault({}).meta({ description: 'The node agent, `reprieve agent`; nothing else reads this.' }),
  log: z
    .strictObject({ level: choice(LOG_LEVELS, 'info', 'Least severe line that is written.') })
    .prefault({})
    .meta({ description: 'JSON lines on standard output.' }),
});

export type ConfigurationFile = z.output<typeof configurationSchema>;
