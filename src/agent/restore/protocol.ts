/** The words of the wrapper `reprieve-runc` and the agent: what is asked, answered and left behind in the run folder. */

/** The wrapper is about to create a sandbox or a container of a pod that continues a saved one. */
export interface RestoreRequest {
  readonly kind: 'sandbox' | 'container';
  readonly podUid: string;
  /** Empty for a sandbox. */
  readonly containerName: string;
  readonly containerId: string;
  /** Absolute path of its OCI bundle. */
  readonly bundle: string;
  /** From 0: how often restoring this container has failed before. */
  readonly attempt: number;
  /** What the runtime said when it failed last; null at the first attempt. */
  readonly failure: string | null;
}

export type Answer =
  /** Go on as usual: a sandbox whose pod is decided, or a container that starts cold. */
  | { readonly kind: 'pass' }
  /** Files are in place: restore from these folders. */
  | { readonly kind: 'restore'; readonly imagePath: string; readonly workPath: string }
  /** End with this message. */
  | { readonly kind: 'refuse'; readonly message: string };

/** How a container came up: restored, cold because the agent said so, or cold because it said nothing. */
export type ContainerResult = 'restored' | 'cold' | 'passed';
