// A contender of a suite of functions: runs a case for some seconds when asked, with what the module that it is given builds.
import { pathToFileURL } from 'node:url'
import { microSuites } from './suites.mjs'

const BATCH = 10_000

const [file, options] = process.argv.slice(2)
const { suite } = JSON.parse(options)
const { build } = await import(pathToFileURL(file).href)
const ours = new Map(Object.entries(microSuites[suite].cases).map(([title, make]) => [title, Object.values(make(build))[0]]))

process.on('message', async ({ title, seconds }) => {
  const began = performance.now()
  const before = process.cpuUsage()
  let done = 0
  while (performance.now() - began < seconds * 1000) {
    await ours.get(title)(BATCH)
    done += BATCH
  }
  const { user, system } = process.cpuUsage(before)
  process.send({ cpu: (user + system) / done, rate: (done * 1000) / (performance.now() - began) })
})
process.on('disconnect', () => process.exit())
process.send('ready')
