/**
 * Writes `config/reprieve-configuration.schema.json` and `config/reprieve.yaml` from the schema beside this file; with
 * `--check` it only compares, and exits with 1 on a difference.
 *
 *     node src/config/generate.ts [--check]
 */
import { join } from 'node:path';
import { format } from 'prettier';
import { generate } from './generated-file.ts';
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
    const path = join(folder, name);
    const generator = 'src/config/generate.ts';
    generate({ path, wanted, name: `config/${name}`, source: 'src/config/schema.ts', generator }, check);
  }
}

if (import.meta.main) await main(process.argv.includes('--check'));
