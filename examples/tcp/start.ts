// A level that anybody may read, set and watch over TCP, as lines of JSON; netcat is client enough.
import { App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'

let level = 0

const app = new App().use(router()).use(tcp({ port: Number(process.env['TCP_PORT'] ?? 7000) }))

app.get('/level', () => ({ level }))

app.put('/level', async context => {
  const body = await context.json<{ level?: unknown }>()
  if (typeof body?.level !== 'number') throw new IopaError(422, 'bad-level', 'Send { "level": <number> }.')
  level = body.level
})

process.once('SIGINT', () => app.close())
const [listener] = await app.listen()
const { port, href } = listener!.url
console.log(`${href}

Watch   (echo '{"iopa.Method":"GET","iopa.Path":"/level","iopa.Observe":true,"iopa.Seq":1}'; cat) | nc 127.0.0.1 ${port}
Read    echo '{"iopa.Method":"GET","iopa.Path":"/level"}' | nc -N 127.0.0.1 ${port}
Set     echo '{"iopa.Method":"PUT","iopa.Path":"/level","iopa.Body":{"level":7}}' | nc -N 127.0.0.1 ${port}`)
