// One contender: starts the module that it is given, and tells its cpu time in microseconds when asked.
import { pathToFileURL } from 'node:url'

const [file, options] = process.argv.slice(2)
const { start } = await import(pathToFileURL(file).href)
await start(JSON.parse(options))
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send(user + system)
})
process.on('disconnect', () => process.exit())
process.send('ready')
