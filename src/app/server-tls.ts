import type { CertificateIssue, TlsConfiguration } from '../config/configuration.ts';
import { ownNamespace } from '../config/namespace.ts';
import type { ServerTls } from '../http/server.ts';
import { fileTlsSource, issuedTlsSource } from '../http/tls-source.ts';
import { CertificateKeeper } from '../kube/certificates/serving-certificate.ts';
import { KubeClient } from '../kube/client.ts';
import type { KubeTransport } from '../kube/transport.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../ports/clock.ts';

export interface ServerTlsOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly log: Log;
  /** `kubernetes.namespace` of the configuration. */
  readonly namespace: string | null;
}

/** The HTTPS side of the server, as it is configured; null: plain HTTP. */
export async function serverTls(tls: TlsConfiguration | null, options: ServerTlsOptions): Promise<ServerTls | null> {
  if (tls === null) return null;
  const { certificate, ...clients } = tls;
  const source =
    certificate.source === 'files'
      ? fileTlsSource(certificate, clients, () => options.clock.now())
      : issuedTlsSource(await keeperOf(certificate, options), clients);
  return { ...clients, source };
}

async function keeperOf(
  { secretName, names, webhookConfiguration, guardConfiguration, validityMs }: CertificateIssue,
  { transport, clock, log, namespace: configured }: ServerTlsOptions,
): Promise<CertificateKeeper> {
  const namespace = await ownNamespace(configured);
  return new CertificateKeeper({
    client: new KubeClient(transport),
    clock,
    namespace,
    secretName,
    webhookConfiguration,
    guardConfiguration,
    names: names ?? defaultNames(namespace),
    validityMs,
    onNotice: (notice) => {
      const level = notice.kind === 'issued' || notice.kind === 'published' ? 'info' : 'warn';
      log[level](notice, 'keeping the serving certificate');
    },
  });
}

/** Of the Services in deploy/services.yaml, and for a kube-scheduler on the same machine. */
function defaultNames(namespace: string): string[] {
  const services = [`reprieve.${namespace}.svc`, `reprieve-extender.${namespace}.svc`];
  return [...services.flatMap((service) => [service, `${service}.cluster.local`]), 'localhost', '127.0.0.1', '::1'];
}
