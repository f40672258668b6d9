import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Where a generated file is, what it should hold, and which command makes it so. */
export interface GeneratedFile {
  readonly path: string;
  readonly wanted: string;
  /** How messages name the file. */
  readonly name: string;
  /** What it is generated from. */
  readonly source: string;
  readonly generator: string;
}

/** Writes the file; with `check` only compares, says what to run on standard error, and makes the process exit with 1. */
export function generate({ path, wanted, name, source, generator }: GeneratedFile, check: boolean): void {
  if (!check) {
    writeFileSync(path, wanted);
  } else if (!existsSync(path) || readFileSync(path, 'utf8') !== wanted) {
    process.stderr.write(`${name} differs from ${source}; run: node ${generator}\n`);
    process.exitCode = 1;
  }
}
