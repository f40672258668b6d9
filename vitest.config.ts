import { defineConfig } from 'vitest/config';

/** `npm test`: everything that needs no server of its own. Cluster and node suites have their own commands. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/cluster/**', 'test/node/**'],
    setupFiles: ['test/support/property-seed.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
  },
});
