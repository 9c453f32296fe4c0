// pnpm bench [suite...]: ours beside its peers, in one run, on what `pnpm build` has made. ROUNDS and SECONDS change the length.
import { compareRuns, compareServers } from './harness.mjs'
import { microSuites, serverSuites } from './suites.mjs'

const asked = process.argv.slice(2)
const names = [...Object.keys(serverSuites), ...Object.keys(microSuites)]
const unknown = asked.filter(name => !names.includes(name))
if (unknown.length > 0) {
  console.error(`pnpm bench [${names.join('|')}]`)
  process.exit(2)
}

for (const name of asked.length > 0 ? asked : names) {
  if (name in serverSuites) await compareServers(name, serverSuites[name])
  else await compareRuns(name, microSuites[name])
}
process.exit(0)
