export type Version = readonly [major: number, minor: number, patch: number];

/** The first version number in what a program says of itself; null when there is none. */
export function versionIn(text: string): Version | null {
  const match = /(?<![\d.])(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match === null ? null : [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

export function isAtLeast(version: Version, least: Version): boolean {
  for (const [at, part] of least.entries()) {
    const own = version[at] as number;
    if (own !== part) return own > part;
  }
  return true;
}
