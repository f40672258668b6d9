/**
 * Writes `config/reprieve-configuration.schema.json` and `config/reprieve.yaml` from the schema beside this file; with
 * `--check` it only compares, and exits with 1 on a difference.
 *
 *     node src/config/generate.ts [--check]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { jsonSchema } from './keys.ts';
import { sampleYaml } from './sample.ts';

/** The generated files: name in `config`, and text. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const style = { printWidth: 120, singleQuote: true };
  return new Map([
    ['reprieve-configuration.schema.json', await format(JSON.stringify(jsonSchema()), { ...style, parser: 'json' })],
    ['reprieve.yaml', await format(sampleYaml(), { ...style, parser: 'yaml' })],
  ]);
}

async function main(check: boolean): Promise<void> {
  const folder = join(import.meta.dirname, '../../config');
  for (const [name, wanted] of await generatedFiles()) {
    const file = join(folder, name);
    if (!check) {
      writeFileSync(file, wanted);
    } else if (readOrEmpty(file) !== wanted) {
      process.stderr.write(`config/${name} differs from src/config/schema.ts; run: node src/config/generate.ts\n`);
      process.exitCode = 1;
    }
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

if (import.meta.main) await main(process.argv.includes('--check'));
