// Serves under a small heap: PUT /bytes, /text and /json hold their bodies until GET /go, which says what came of them. Prints its port.
import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'

let go
const held = new Promise(resolve => {
  go = resolve
})
const app = new App({ logger: false, limits: { inFlight: 2000, requestTimeout: 60_000 } })
  .use(http({ port: 0, limits: { connections: 2000 } }))
  .use(async context => {
    if (context.path === '/go') {
      go()
      return 'gone'
    }
    if (context.path === '/alive') return 'alive'
    const value = await context[context.path.slice(1)]()
    await held
    return String(value.length)
  })
const [listener] = await app.listen()
process.send(listener.url.port)
