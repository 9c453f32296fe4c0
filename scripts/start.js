// npm start: installs, builds and runs examples/home, on nothing but Node and npm.
import { pnpm, steps } from './pnpm.js'

await steps([
  () => pnpm(['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only']),
  () => pnpm(['--silent', 'run', 'build']),
  () => pnpm(['--silent', '--filter', '@iopa/example-home', 'start'])
])
