import { cpus } from 'node:os';
import { IMAGES } from './images.ts';

/** What tells one node from the others. */
export interface NodeIdentity {
  /** As `node1`; also its host name. */
  readonly name: string;
  /** From 1: its address and its pods' subnet follow from it. */
  readonly number: number;
  /** The root of its pods' cgroups, without the first slash. */
  readonly cgroup: string;
}

export function nodeAddress(number: number): string {
  return `10.77.0.${10 + number}`;
}

/** What a node has to give, however many more the machine has: it decides who must be preempted. */
const CPUS = 2;

export const KUBELET_HEALTH_PORT = 10248;
export const KUBERNETES_FOLDER = '/etc/kubernetes';
const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

/** Paths inside the node -> contents, for those that do not depend on the control plane. */
export function nodeFiles(identity: NodeIdentity): Readonly<Record<string, string>> {
  return {
    '/etc/hostname': `${identity.name}\n`,
    '/etc/hosts': `127.0.0.1 localhost\n${nodeAddress(identity.number)} ${identity.name}\n`,
    '/etc/containerd/config.toml': CONTAINERD,
    '/etc/cni/net.d/10-pods.conflist': JSON.stringify(podNetwork(identity)),
    '/etc/kubernetes/kubelet.yaml': JSON.stringify(kubeletConfiguration(identity)),
    ...reprieveHandler(),
  };
}

/** The layout that packages of containerd 2.1 use, folders included: the agent's defaults expect no other. */
const CONTAINERD = `version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${IMAGES.pause}"
[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE nobody may lower a score, and no container would start.
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "/etc/cni/net.d"
`;

/** The handler of the RuntimeClass `reprieve`, with the ordinary runtime behind it: a node before anything is installed on it. */
function reprieveHandler(): Readonly<Record<string, string>> {
  return {
    '/etc/containerd/conf.d/reprieve.toml': `version = 3
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.reprieve]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["reprieve.dev/*"]
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.reprieve.options]
    BinaryName = "/usr/local/bin/reprieve-runc"
`,
    '/usr/local/bin/reprieve-runc': '#!/bin/sh\nexec runc "$@"\n',
  };
}

/** A bridge for each node, all in the one network of the run, whose kernel routes between them. */
function podNetwork({ number }: NodeIdentity): object {
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: bridgeOf(number),
        isGateway: true,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: `10.77.${10 + number}.0/24` }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'loopback' },
    ],
  };
}

export function bridgeOf(number: number): string {
  return `pods${number}`;
}

function kubeletConfiguration({ number, cgroup }: NodeIdentity): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: nodeAddress(number),
    healthzBindAddress: nodeAddress(number),
    healthzPort: KUBELET_HEALTH_PORT,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${KUBERNETES_FOLDER}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${KUBERNETES_FOLDER}/node.crt`,
    tlsPrivateKeyFile: `${KUBERNETES_FOLDER}/node.key`,
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    // Refused by default since 1.35 where the machine still has v1.
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    makeIPTablesUtilChains: false,
    resolvConf: '/dev/null',
    // The disk is that of the machine: how full it is must neither evict pods nor remove images that no registry has.
    evictionHard: { 'memory.available': '100Mi' },
    imageGCHighThresholdPercent: 100,
    maxPods: 50,
    systemReserved: { cpu: String(Math.max(0, cpus().length - CPUS)) },
  };
}
