import { defineConfig } from 'vitest/config'

// Tests run on sources; TEST_DIST=1 drops the condition, and the same tests run on what is published.
const conditions = process.env['TEST_DIST'] ? ['module', 'node'] : ['@iopa/source', 'module', 'node']

export default defineConfig({
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts', 'examples/*/test/**/*.test.ts'],
    // Only what hangs reaches these: on a machine that is busy a test may take ten times as long.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests wait more than they compute: three workers on two cores.
    maxWorkers: 3,
    // The files of a worker share its modules, which hold no state: loading them for each file anew was a third of the time.
    isolate: false,
    coverage: { provider: 'v8', include: ['packages/*/src/**'], reporter: ['text-summary', 'html'], thresholds: { lines: 98, branches: 93 } }
  }
})
