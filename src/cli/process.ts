import { messageOf } from '../domain/message-of.ts';
import type { ReprieveConfiguration } from '../config/configuration.ts';
import { loadKubeConfig, type ClusterAccess } from '../kube/kube-config.ts';
import { AppError } from '../observe/error-codes.ts';
import type { Log } from '../observe/log.ts';

/** Where the API server is, as the configuration or the environment says. Rejects with `KubeconfigUnusable`. */
export function clusterAccess({ kubernetes }: ReprieveConfiguration): Promise<ClusterAccess> {
  const { kubeconfig, context } = kubernetes;
  return loadKubeConfig({
    ...(kubeconfig !== null && { path: kubeconfig }),
    ...(context !== null && { context }),
  }).catch((error: unknown) => {
    throw new AppError('KubeconfigUnusable', { cause: messageOf(error) }, error);
  });
}

/** Writes why a command failed, and returns its exit code. */
export function reportFailure(error: unknown): number {
  // What an operator can mend is one clear message; anything else is a defect, and its stack is what we need.
  process.stderr.write(
    error instanceof AppError ? `reprieve: ${error.message}\n` : `${String((error as Error).stack)}\n`,
  );
  return 1;
}

/**
 * Keeps a process running after an error that nobody handles. For the agent alone: pods that it has frozen depend on its timers,
 * and each of its requests ends or is retried by itself, so a defect in one does not harm the others. A process that ended instead
 * would leave these pods frozen until its supervisor has started another one, which may take minutes (CrashLoopBackOff).
 */
export function surviveErrors(log: Pick<Log, 'error'>): void {
  const survive = (error: unknown): void => log.error({ err: error }, 'unhandled error; the agent keeps running');
  process.on('uncaughtException', survive);
  process.on('unhandledRejection', survive);
}

/** Resolves with the first signal that asks the process to end. */
export function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

/** Calls `then` when the reader of standard output has gone (`| head`), which is no failure. */
export function whenNobodyReads(then: () => void): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    then();
  });
}
