/** Where things are on a node; under `--root` when it is not the running one. */
export const NODE_PATHS = {
  wrapper: '/usr/local/bin/reprieve-runc',
  containerdConfig: '/etc/containerd/config.toml',
  dropInFolder: '/etc/containerd/conf.d',
  dropIn: '/etc/containerd/conf.d/reprieve.toml',
  criuConfig: '/etc/criu/runc.conf',
  state: '/var/lib/reprieve',
  /** A folder for each container that runs; containerd notes there which binary it is run with. */
  bundles: '/run/containerd/io.containerd.runtime.v2.task/k8s.io',
  /** What was installed, for taking it back. */
  record: '/var/lib/reprieve/node-install.json',
} as const;

/** As the wrapper looks for it. */
export const RUNTIMES = ['/usr/sbin/runc', '/usr/bin/runc', '/usr/local/sbin/runc', '/usr/bin/crun'] as const;
