// Notes over HTTP: write, read, list and watch them with curl.
import { App, IopaError, reply } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { router } from '@iopa/router'

const notes = new Map<string, string>()

const app = new App().use(router()).use(http({ port: Number(process.env['HTTP_PORT'] ?? 8080) }))

app.get('/notes', () => [...notes.keys()])

app.get('/notes/:name', ({ params }) => notes.get(params.name))

app.put('/notes/:name', async context => {
  const { text } = await context.json<{ text?: unknown }>()
  if (typeof text !== 'string') throw new IopaError(422, 'bad-note', 'Send { "text": "..." }.')
  const status = notes.has(context.params.name) ? 204 : 201
  notes.set(context.params.name, text)
  context.notify('/notes')
  return reply(status)
})

app.delete('/notes/:name', context => {
  if (!notes.delete(context.params.name)) throw new IopaError(404, 'no-note', 'There is no such note.')
  context.notify('/notes')
})

process.once('SIGINT', () => app.close())
const [listener] = await app.listen()
const { href } = listener!.url
console.log(`${href}

Write   curl -X PUT ${href}notes/milk -H 'content-type: application/json' -d '{"text":"buy some"}'
Read    curl ${href}notes/milk
Watch   curl -N ${href}notes -H 'accept: text/event-stream'`)
