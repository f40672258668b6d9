import { join } from 'node:path';
import { clusterAddress } from './address.ts';
import type { Certificate, Pki } from './pki.ts';
import type { Ports } from './ports.ts';

/** What the flags of the programs are made from. */
export interface Site {
  /** Data, logs and configuration of one control plane. */
  readonly dir: string;
  readonly ports: Ports;
  readonly pki: Pki;
  readonly apiServer: Certificate;
  /** What the API server shows to kubelets. */
  readonly kubeletClient: Certificate;
  readonly serviceAccounts: Certificate;
  readonly kubeconfigs: { readonly scheduler: string; readonly controllerManager: string };
}

/** Where etcd keeps its data. */
export function etcdFolder({ dir }: Site): string {
  return join(dir, 'etcd');
}

export function etcdFlags(site: Site): string[] {
  const { ports } = site;
  const client = `http://127.0.0.1:${ports.etcdClient}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  return [
    `--data-dir=${etcdFolder(site)}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // The data need not survive the machine, and fsync would make a slow disk part of what is measured.
    '--unsafe-no-fsync',
  ];
}

export function apiServerFlags({ dir, ports, pki, apiServer, kubeletClient, serviceAccounts }: Site): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcdClient}`,
    `--advertise-address=${clusterAddress}`,
    '--bind-address=0.0.0.0',
    `--secure-port=${ports.apiServer}`,
    `--cert-dir=${join(dir, 'apiserver')}`,
    `--tls-cert-file=${apiServer.certPath}`,
    `--tls-private-key-file=${apiServer.keyPath}`,
    `--client-ca-file=${pki.ca.certPath}`,
    `--kubelet-client-certificate=${kubeletClient.certPath}`,
    `--kubelet-client-key=${kubeletClient.keyPath}`,
    `--kubelet-certificate-authority=${pki.ca.certPath}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--service-account-key-file=${serviceAccounts.certPath}`,
    `--service-account-signing-key-file=${serviceAccounts.keyPath}`,
    '--service-account-issuer=https://localhost',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--authorization-mode=Node,RBAC',
    '--allow-privileged=true',
    // Nobody here reaches the service `kubernetes` through its address, and a restart need not wait for the old lease.
    '--endpoint-reconciler-type=none',
    // Ends the watches of its clients when told to stop; without it, it waits for them to go by themselves.
    '--shutdown-watch-termination-grace-period=5s',
    '--profiling=false',
  ];
}

export function controllerManagerFlags({ ports, pki, serviceAccounts, kubeconfigs }: Site): string[] {
  return [
    ...clientFlags(kubeconfigs.controllerManager, ports.controllerManager),
    `--service-account-private-key-file=${serviceAccounts.keyPath}`,
    `--root-ca-file=${pki.ca.certPath}`,
    '--use-service-account-credentials=true',
    '--leader-elect=false',
    // It makes an account and a token for each of its controllers; the default rate makes that last 5 s.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    // A simulated node says Ready once and may never renew its Lease; the default would mark it lost after 50 s.
    '--node-monitor-grace-period=1h',
  ];
}

/** Level 4 logs each decision of a scheduling cycle, extenders' refusals included. */
export function schedulerFlags({ ports, kubeconfigs }: Site, configPath: string): string[] {
  const [, ...authentication] = clientFlags(kubeconfigs.scheduler, ports.scheduler);
  return [`--config=${configPath}`, ...authentication, '-v=4'];
}

/** The last three let whoever may read metrics in the cluster read them from the program too. */
function clientFlags(kubeconfig: string, port: number): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
  ];
}
