// The traced side: one app with a router and the listeners that a scenario names. Its parent starts and stops the recording.
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'

// Without the statistics that a broker publishes by a timer.
const transports = { http, coap, mqtt: options => mqtt({ ...options, statistics: false }), tcp }
let state = 'off'

const app = new App({ logger: false }).use(router())
app.get('/state', () => state)
app.put('/state', async context => {
  state = await context.text()
})
const names = process.argv.slice(2)
for (const name of names) app.use(transports[name]({ port: 0 }))
const listeners = await app.listen()

const commands = {
  start: () => iopaTrace.start(),
  stop: () => iopaTrace.stop(),
  notify: () => {
    state = state === 'on' ? 'off' : 'on'
    app.notify('/state')
  }
}
process.on('message', command => process.send({ answer: commands[command]() ?? null }))
process.on('disconnect', () => process.exit())
process.send({ ports: Object.fromEntries(names.map((name, at) => [name, Number(listeners[at].url.port)])) })
