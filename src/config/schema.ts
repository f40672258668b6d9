import { z } from 'zod';
import { parseDuration } from '../domain/duration.ts';
import { DEFAULT_COST_MODEL } from '../domain/victim-cost.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../engine/core/steps.ts';
import { LOG_LEVELS } from '../observe/log.ts';
import { bytes, choice, duration, integer, nameOrAddress, objectName, optionalText, text } from './fields.ts';

export const API_VERSION = 'config.reprieve.dev/v1alpha1';
export const KIND = 'ReprieveConfiguration';

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
  guardConfiguration: objectName().nullable().default('reprieve-guard').meta({
    description: 'ValidatingWebhookConfiguration of the guard, likewise; null: none.',
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

/** What a program on another machine cannot reach. */
const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|::1)$/;

const serverFields = z.strictObject({
  address: text(
    'Address to listen on. An address that is not the loopback needs tls.clientCaFile, or insecure: a client that can call the extender verbs can have pods displaced.',
  ).default('127.0.0.1'),
  insecure: z
    .boolean({ error: () => 'true or false' })
    .default(false)
    .meta({
      description:
        'True: the extender verbs and /debug/state are answered to every client that reaches an address off the loopback. Logged as a warning at each start.',
    }),
  port: integer(9443, 0, 65_535, 'Port to listen on; 0: any free one.'),
  tls: tls.nullable().default(null).meta({
    description:
      'HTTPS, with a certificate from files or of its own. Null: plain HTTP, and no webhook, because kube-apiserver calls HTTPS only.',
  }),
});
const server = serverFields.superRefine(({ address, insecure, tls: secured }, context) => {
  if (LOOPBACK.test(address) || insecure || secured?.clientCaFile) return;
  const message = 'an address of the loopback; or tls.clientCaFile, or insecure: true';
  context.addIssue({ code: 'custom', path: ['address'], input: address, message });
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
  ignoredResources: z
    .array(text('The name of an extended resource.'), { error: () => 'a list of names' })
    .default([])
    .meta({
      description:
        'Extended resources that kube-scheduler does not count, because its configuration says so: ignoredResources and ignoredResourceGroups of NodeResourcesFit, managedResources with ignoredByScheduler. `example.com/*` is a whole group. A resource that no node lists is not counted anyway.',
    }),
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
  maxDisplacementsPerHour: integer(
    DEFAULT_ENGINE_SETTINGS.maxDisplacementsPerHour,
    1,
    60,
    'How often the same work is displaced within an hour. At equal priority other victims are taken then, and the pod is not admitted before an hour has passed since the first of these displacements, or maxGate since it was created.',
  ),
  maxGate: duration(
    DEFAULT_ENGINE_SETTINGS.maxGateMs,
    'After this the gate of a pod is removed without capacity for it, so that autoscalers see the pod. Unless its policy says `onFailure: Hold`, any node may then run the pod, which starts cold where its state does not fit.',
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
  admissionPolicies: z
    .enum(['Required', 'Ignored'], { error: () => 'Required or Ignored' })
    .default('Required')
    .meta({
      description:
        'Whether `reprieve serve` starts only where the API server has deploy/admission-policies.yaml. Without these policies, users with the right to write Reprieves or PodCheckpoints in a namespace can have pods of that namespace evicted, frozen or created, and an agent can write about other nodes.',
    }),
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

function limits(whose: string, states: number) {
  return z
    .strictObject({
      bytes: bytes(1, '')
        .unwrap()
        .nullable()
        .default(null)
        .meta({
          description: `Bytes of all states ${whose}. Null: as much as the disk holds beyond the reserve.`,
          title: 'quantity',
        }),
      states: integer(states, 1, 1_000_000, `Number of states ${whose}.`),
    })
    .prefault({});
}

const peer = z.strictObject({
  address: text('Address to listen on.').default('0.0.0.0'),
  port: integer(9444, 1, 65_535, 'Port to listen on; the same on every node.'),
});

const agent = z.strictObject({
  nodeName: optionalText('Name of the Node object of this machine. Null: $NODE_NAME, else the host name.'),
  stateDir: folder(
    '/var/lib/reprieve',
    'Saved pods lie here, memory included: a folder of root alone, on the disk that dumps are written to.',
  ),
  runDir: folder('/run/reprieve', 'Where the agent and reprieve-runc meet; the same as in the wrapper.'),
  kubeletDir: folder('/var/lib/kubelet', 'Root folder of the kubelet: volumes of pods lie there.'),
  kubeletConfig: folder(
    '/var/lib/kubelet/config.yaml',
    'File of the kubelet (--config): a dump leaves more of its disk free than evictionHard says. Where it is missing, the defaults of the kubelet count.',
  ),
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
  quota: z
    .strictObject({
      node: limits('on one node', 1000),
      namespace: limits('of one namespace on one node', 500),
    })
    .prefault({})
    .meta({
      description:
        'What saved pods may take of a node. A pod that would exceed it is not saved: its PodCheckpoint fails with QuotaExceeded.',
    }),
  keepUnknown: duration(
    24 * 3_600_000,
    'How long a saved pod is kept on the disk whose PodCheckpoint is gone without a deletion that the agent saw, as after a restore of etcd.',
    0,
  ),
  peer: peer.nullable().default(null).meta({
    description:
      'Other agents fetch saved pods from this one, over mutual TLS; `reprieve serve` gives each agent a certificate for its node. Null: a pod is restored only on the node that holds its state.',
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
