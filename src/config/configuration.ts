import { parseDuration } from '../domain/duration.ts';
import { quantityToInteger } from '../domain/quantity.ts';
import type { CostModel } from '../domain/victim-cost.ts';
import type { EngineSettings } from '../engine/core/steps.ts';
import type { LogLevel } from '../observe/log.ts';
import { API_VERSION, configurationSchema, KIND, type ConfigurationFile } from './schema.ts';

/** Files of the certificate that the HTTPS server shows. */
export interface CertificateFiles {
  readonly source: 'files';
  readonly certFile: string;
  readonly keyFile: string;
}

/** How Reprieve issues that certificate itself. */
export interface CertificateIssue {
  readonly source: 'issue';
  readonly secretName: string;
  /** Null: those of the Service and of this machine. */
  readonly names: readonly string[] | null;
  readonly webhookConfiguration: string | null;
  readonly guardConfiguration: string | null;
  readonly validityMs: number;
}

/** Who may call what needs a client certificate. */
export interface ClientRules {
  /** Authority of client certificates; null: nobody needs one. */
  readonly clientCaFile: string | null;
  /** Common names of the clients that may call the extender; empty: any that the authority signed. */
  readonly allowedClientNames: readonly string[];
}

export interface TlsConfiguration extends ClientRules {
  readonly certificate: CertificateFiles | CertificateIssue;
}

/** The configuration as the program uses it: complete, durations in milliseconds, sizes in bytes. */
export interface ReprieveConfiguration {
  readonly server: {
    readonly address: string;
    readonly port: number;
    readonly insecure: boolean;
    readonly tls: TlsConfiguration | null;
  };
  readonly extender: {
    readonly onUnsynced: 'Hold' | 'PassThrough';
    readonly ignoredResources: readonly string[];
    readonly httpTimeoutMs: number;
    readonly cost: CostModel;
  };
  readonly saving: {
    readonly defaultMaxDelayMs: number;
    readonly retryNodeAfterMs: number;
    readonly bindGraceMs: number;
  };
  readonly restore: {
    readonly maxConcurrentPerNode: number;
    readonly maxDisplacementsPerHour: number;
    readonly maxGateMs: number;
    readonly starvationReservationMs: number;
    readonly claimGraceMs: number;
    readonly ticketRetentionMs: number;
  };
  readonly kubernetes: {
    readonly kubeconfig: string | null;
    readonly context: string | null;
    readonly namespace: string | null;
    readonly admissionPolicies: 'Required' | 'Ignored';
    readonly startupTimeoutMs: number;
  };
  readonly leaderElection: {
    readonly enabled: boolean;
    readonly leaseName: string;
    readonly leaseDurationMs: number;
    readonly renewDeadlineMs: number;
    readonly retryPeriodMs: number;
  };
  readonly agent: AgentConfiguration;
  readonly log: { readonly level: LogLevel };
}

/** The node agent's part. */
export interface AgentConfiguration {
  /** Null: from the environment. */
  readonly nodeName: string | null;
  readonly stateDir: string;
  readonly runDir: string;
  readonly kubeletDir: string;
  /** Its file; one that is not there means its defaults. */
  readonly kubeletConfig: string;
  readonly runtime: {
    readonly command: string;
    readonly root: string;
    readonly bundles: string;
    readonly containerdAddress: string;
  };
  readonly maxConcurrentDumps: number;
  readonly reserveBytes: number;
  readonly keepUnknownMs: number;
  /** Of the states on the disk of one node. */
  readonly quota: Readonly<Record<'node' | 'namespace', StateLimits>>;
  readonly peer: PeerConfiguration | null;
}

export interface StateLimits {
  /** Null: no limit. */
  readonly bytes: number | null;
  readonly states: number;
}

/** How agents reach each other. */
export interface PeerConfiguration {
  readonly address: string;
  readonly port: number;
}

/** The configuration of a process that was given no file. */
export function defaultConfiguration(): ReprieveConfiguration {
  return resolved(configurationSchema.parse({ apiVersion: API_VERSION, kind: KIND }));
}

/** The part that steers the reconciler. */
export function engineSettingsOf({ saving, restore }: ReprieveConfiguration): EngineSettings {
  return {
    maxConcurrentRestoresPerNode: restore.maxConcurrentPerNode,
    maxDisplacementsPerHour: restore.maxDisplacementsPerHour,
    maxGateMs: restore.maxGateMs,
    starvationMs: restore.starvationReservationMs,
    ticketRetentionMs: restore.ticketRetentionMs,
    claimGraceMs: restore.claimGraceMs,
    bindGraceMs: saving.bindGraceMs,
    retryNodeAfterMs: saving.retryNodeAfterMs,
    defaultMaxDelayMs: saving.defaultMaxDelayMs,
  };
}

/** The value of a file that passed the schema. */
export function resolved(file: ConfigurationFile): ReprieveConfiguration {
  const { server, extender, saving, restore, kubernetes, leaderElection, agent, log } = file;
  const { cost } = extender;
  return {
    server: { ...server, tls: server.tls && tlsOf(server.tls) },
    extender: {
      onUnsynced: extender.onUnsynced,
      ignoredResources: extender.ignoredResources,
      httpTimeoutMs: ms(extender.httpTimeout),
      cost: {
        coldStartMs: ms(cost.coldStart),
        freezeMs: ms(cost.freeze),
        dumpBytesPerSecond: quantityToInteger(cost.dumpBytesPerSecond),
        restoreBytesPerSecond: quantityToInteger(cost.restoreBytesPerSecond),
        defaultStateBytes: quantityToInteger(cost.defaultStateBytes),
        displacementFactor: cost.displacementFactor,
      },
    },
    saving: {
      defaultMaxDelayMs: ms(saving.defaultMaxDelay),
      retryNodeAfterMs: ms(saving.retryNodeAfter),
      bindGraceMs: ms(saving.bindGrace),
    },
    restore: {
      maxConcurrentPerNode: restore.maxConcurrentPerNode,
      maxDisplacementsPerHour: restore.maxDisplacementsPerHour,
      maxGateMs: ms(restore.maxGate),
      starvationReservationMs: ms(restore.starvationReservation),
      claimGraceMs: ms(restore.claimGrace),
      ticketRetentionMs: ms(restore.ticketRetention),
    },
    kubernetes: {
      kubeconfig: kubernetes.kubeconfig,
      context: kubernetes.context,
      namespace: kubernetes.namespace,
      admissionPolicies: kubernetes.admissionPolicies,
      startupTimeoutMs: ms(kubernetes.startupTimeout),
    },
    leaderElection: {
      enabled: leaderElection.enabled,
      leaseName: leaderElection.leaseName,
      leaseDurationMs: ms(leaderElection.leaseDuration),
      renewDeadlineMs: ms(leaderElection.renewDeadline),
      retryPeriodMs: ms(leaderElection.retryPeriod),
    },
    agent: agentOf(agent),
    log,
  };
}

function agentOf({ reserve, keepUnknown, quota, ...agent }: ConfigurationFile['agent']): AgentConfiguration {
  return {
    ...agent,
    reserveBytes: quantityToInteger(reserve),
    keepUnknownMs: ms(keepUnknown),
    quota: { node: limitsOf(quota.node), namespace: limitsOf(quota.namespace) },
  };
}

function limitsOf({ bytes, states }: ConfigurationFile['agent']['quota']['node']): StateLimits {
  return { bytes: bytes === null ? null : quantityToInteger(bytes), states };
}

function tlsOf(tls: NonNullable<ConfigurationFile['server']['tls']>): TlsConfiguration {
  const { certFile, keyFile, issue, ...clients } = tls;
  if (issue === null)
    return { certificate: { source: 'files', certFile: certFile ?? '', keyFile: keyFile ?? '' }, ...clients };
  const { validity, ...issued } = issue;
  return { certificate: { source: 'issue', ...issued, validityMs: ms(validity) }, ...clients };
}

function ms(duration: string): number {
  return parseDuration(duration) ?? 0; // the schema has refused what is not one
}
