// CoAP on UDP and over DTLS, for any identity. Tells its CPU time in microseconds and its memory in bytes when asked.
import { setImmediate as turn } from 'node:timers/promises'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'

const [key, connections] = process.argv.slice(2)
const secured = dtls({ psk: () => Buffer.from(key) })
const app = new App({ logger: false, limits: { connections: Number(connections) } })
app.use(router()).use(coap({ port: 0, host: '127.0.0.1', udp: true, dtls: secured }))
app.get('/time', () => new Date().toISOString())
const [listener] = await app.listen()

const usage = async () => {
  const { user, system } = process.cpuUsage()
  // What ended with the last requests is collected in a few turns.
  for (let pass = 0; pass < 3; pass++) {
    globalThis.gc()
    await turn()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { cpu: user + system, memory: heapUsed + external, rss }
}
process.on('message', async () => process.send(await usage()))
process.on('disconnect', () => process.exit())
process.send({ urls: listener.urls.map(({ href }) => href) })
