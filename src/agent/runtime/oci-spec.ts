/** What the agent reads of a bundle's config.json, which the runtime wrote: the parts that exist are of these shapes. */
export interface OciSpec {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly process?: OciProcess;
  readonly root?: { readonly path?: string; readonly readonly?: boolean };
  readonly mounts?: readonly OciMount[];
  readonly linux?: OciLinux;
}

interface OciProcess {
  readonly terminal?: boolean;
  readonly rlimits?: readonly { readonly type: string; readonly hard: number; readonly soft: number }[];
  readonly oomScoreAdj?: number;
  readonly user?: { readonly uid?: number; readonly gid?: number; readonly additionalGids?: readonly number[] };
  /** Per set (bounding, effective, …) the capabilities in it. */
  readonly capabilities?: Readonly<Record<string, readonly string[]>>;
  readonly noNewPrivileges?: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
}

export interface OciMount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

interface OciMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

interface OciLinux {
  /** `/a/b`, or `slice:prefix:name` under systemd. */
  readonly cgroupsPath?: string;
  /** With a path: joins that one instead of making its own. */
  readonly namespaces?: readonly { readonly type: string; readonly path?: string }[];
  readonly devices?: readonly {
    readonly path: string;
    readonly type: string;
    readonly major?: number;
    readonly minor?: number;
  }[];
  readonly uidMappings?: readonly OciMapping[];
  readonly gidMappings?: readonly OciMapping[];
  readonly seccomp?: unknown;
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
}
