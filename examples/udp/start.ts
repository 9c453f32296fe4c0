// Readings of sensors: each comes as one datagram of JSON, and the latest can be asked for.
import { App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { udp } from '@iopa/udp'

interface Reading {
  readonly value: number
  readonly unit: string
}
const readings = new Map<string, Reading>()

const app = new App().use(router()).use(udp({ port: Number(process.env['UDP_PORT'] ?? 7001) }))

app.get('/sensors/:id', ({ params }) => readings.get(params.id))

app.put('/sensors/:id', async context => {
  const { value, unit } = await context.json<Partial<Reading>>()
  if (typeof value !== 'number' || typeof unit !== 'string') throw new IopaError(422, 'bad-reading', 'Send { "value": <number>, "unit": <string> }.')
  readings.set(context.params.id, { value, unit })
})

process.once('SIGINT', () => app.close())
const [listener] = await app.listen()
const { port, href } = listener!.url
console.log(`${href}

Send    echo '{"iopa.Method":"PUT","iopa.Path":"/sensors/attic","iopa.Body":{"value":21.5,"unit":"C"}}' | nc -u -w1 127.0.0.1 ${port}
Ask     echo '{"iopa.Method":"GET","iopa.Path":"/sensors/attic"}' | nc -u -w1 127.0.0.1 ${port}`)
