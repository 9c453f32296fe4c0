// npm run example <name>: installs, builds and runs one example.
import { existsSync, readdirSync } from 'node:fs'
import { pnpm, steps } from './pnpm.js'

const name = process.argv[2] ?? ''
const names = readdirSync(new URL('../examples/', import.meta.url)).filter(folder =>
  existsSync(new URL(`../examples/${folder}/package.json`, import.meta.url))
)
if (!names.includes(name)) {
  console.error(`npm run example <${names.join('|')}>`)
  process.exit(2)
}

await steps([
  () => pnpm(['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only']),
  () => pnpm(['--silent', 'run', 'build']),
  () => pnpm(['--silent', '--filter', `./examples/${name}`, 'start'])
])
