// pnpm version-packages: `changeset version`, after making a major version of what depends on a package that gets one.
//
// A dependent of a new major version may hand its types on, and two copies of the core in one app do not know each other's. Changesets lifts
// dependents by a patch only.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const ADDED = 'majors-of-dependents.md'

const manifests = readdirSync('packages').map(folder => JSON.parse(readFileSync(join('packages', folder, 'package.json'), 'utf8')))

const majors = new Set()
for (const file of readdirSync('.changeset').filter(name => name.endsWith('.md') && name !== 'README.md')) {
  const [, head = ''] = readFileSync(join('.changeset', file), 'utf8').split(/^---$/m)
  for (const [, name] of head.matchAll(/^['"]?([@\w/-]+)['"]?: major$/gm)) majors.add(name)
}
const named = new Set(majors)
// The set grows while it is walked: dependents of dependents too.
for (const major of majors) {
  for (const { name, dependencies = {}, peerDependencies = {} } of manifests) if (major in { ...dependencies, ...peerDependencies }) majors.add(name)
}
const added = [...majors].filter(name => !named.has(name)).sort()
if (added.length > 0) {
  const head = added.map(name => `'${name}': major\n`).join('')
  writeFileSync(join('.changeset', ADDED), `---\n${head}---\n\nDepends on a new major version: ${[...named].sort().join(', ')}.\n`)
}

const changeset = createRequire(import.meta.url).resolve('@changesets/cli/bin.js')
const { status } = spawnSync(process.execPath, [changeset, 'version'], { stdio: 'inherit' })
process.exit(status ?? 1)
