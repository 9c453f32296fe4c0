// A contender of a suite of functions in a process of its own, since the calls of one would shape the code that runs the other: it runs a case for
// some seconds, or some times, with what the module that it is given builds.
import { pathToFileURL } from 'node:url'
import { microSuites } from './suites.mjs'

const BATCH = 10_000

const [file, options] = process.argv.slice(2)
const { suite, contender } = JSON.parse(options)
const { build } = await import(pathToFileURL(file).href)
const runs = new Map()
for (const [title, make] of Object.entries(microSuites[suite].cases)) {
  const made = await make(build)
  runs.set(title, contender === undefined ? Object.values(made)[0] : made[contender])
}

/** Nanoseconds of one run, of `count` in a row. */
const timed = async (run, count) => {
  const began = process.hrtime.bigint()
  await run(count)
  return Number(process.hrtime.bigint() - began) / count
}

/** Runs for some seconds; cpu time of one run in microseconds, and runs per second. */
const repeated = async (run, seconds) => {
  const began = performance.now()
  const before = process.cpuUsage()
  let done = 0
  while (performance.now() - began < seconds * 1000) {
    await run(BATCH)
    done += BATCH
  }
  const { user, system } = process.cpuUsage(before)
  return { cpu: (user + system) / done, rate: (done * 1000) / (performance.now() - began) }
}

process.on('message', async ({ title, seconds, count }) => {
  const run = runs.get(title)
  process.send(count === undefined ? await repeated(run, seconds) : await timed(run, count))
})
process.on('disconnect', () => process.exit())
process.send('ready')
