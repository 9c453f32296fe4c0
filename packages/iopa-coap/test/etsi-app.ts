import { App, IopaError, reply } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { type Routes, router } from '@iopa/router'
import type { Clock, DatagramNetwork, Listener } from '@iopa/transport'

/** Text that is longer than a block of 1,024 bytes, and different in every line. */
export const LARGE: string = Array.from({ length: 60 }, (_, i) => `line ${String(i).padStart(3, '0')} of a representation that takes blocks\n`).join(
  ''
)

/** The server of the ETSI cases: an ordinary App with the resources that the test description asks for. */
export interface EtsiServer extends AsyncDisposable {
  readonly app: App & Routes
  readonly listener: Listener
  readonly port: number
  readonly url: string
  /** How often each handler has run, by method and path. */
  readonly calls: Map<string, number>
  /** What uploads have arrived, by path. */
  readonly bodies: Map<string, string>
  /** The observed value; setting it notifies. */
  setObserved(value: string, type?: string): void
  close(): Promise<void>
}

export interface EtsiOptions extends CoapOptions {
  readonly clock?: Clock
  readonly channel?: DatagramNetwork
  /** Milliseconds until /separate answers. */
  readonly separateAfter?: number
  /** Bytes of a request's body. */
  readonly body?: number
}

const etagOf = (value: string): string => `"${value}"`

/** Starts the server on a port of its own. */
export async function startEtsi(options: EtsiOptions = {}): Promise<EtsiServer> {
  const { separateAfter = 400, body = 16_384, ...transport } = options
  const calls = new Map<string, number>()
  const bodies = new Map<string, string>()
  const wait = (ms: number): Promise<void> => new Promise(resolve => (options.clock ?? globalThis).setTimeout(() => resolve(), ms))

  let validate = 'v1'
  let created: string | undefined
  let observed: { value: string; type: string } | undefined = { value: 'obs 0', type: 'text/plain' }
  let pumping = 0

  const app = new App({ logger: false, ...(options.clock && { clock: options.clock }) })
    .use((context, next) => {
      const key = `${context.method} ${context.path}`
      calls.set(key, (calls.get(key) ?? 0) + 1)
      return next()
    })
    .use(router())
    .use(coap({ port: 0, limits: { body }, ...transport }))

  const upload =
    (answer: () => unknown) =>
    async (context: { readonly path: string; text(): Promise<string> }): Promise<unknown> => {
      bodies.set(context.path, await context.text())
      return answer()
    }

  app.get('/test', { title: 'Default test resource' }, () => 'test')
  app.put('/test', () => reply(204))
  app.post('/test', () => reply(201, undefined, { location: '/location1/location2/location3' }))
  app.delete('/test', () => reply(204))

  /** In two steps: where the process stood still for the first, the acknowledgement that is overdue goes out before the second. */
  const separately = async (): Promise<void> => {
    await wait(separateAfter / 2)
    await wait(separateAfter / 2)
  }
  app.get('/separate', async () => {
    await separately()
    return 'separate'
  })
  app.post('/separate', async () => {
    await separately()
    return reply(204)
  })
  app.get('/seg1/seg2/seg3', () => 'three segments')
  app.get('/query', ({ query }) => Array.from(query, ([name, value]) => `${name}=${value}`).join(' '))
  app.post('/location-query', () => reply(201, undefined, { location: '/location-query?first=1&second=2' }))

  app.get('/multi-format', ({ headers }) => {
    const accept = headers.get('accept') ?? 'text/plain'
    if (accept.startsWith('text/plain')) return 'plain'
    if (accept.startsWith('application/xml')) return reply(200, '<plain/>', { 'content-type': 'application/xml' })
    throw new IopaError(406, 'not-acceptable', 'There is text/plain and application/xml')
  })

  app.get('/validate', ({ headers }) =>
    headers.get('if-none-match')?.includes(etagOf(validate))
      ? reply(304, undefined, { etag: etagOf(validate) })
      : reply(200, `body ${validate}`, { etag: etagOf(validate) })
  )
  app.put('/validate', async context => {
    const match = context.headers.getAll('if-match').join(', ')
    if (match && match !== '*' && !match.includes(etagOf(validate))) throw new IopaError(412, 'precondition-failed')
    validate = await context.text()
    return reply(204)
  })

  app.get('/create1', () => created ?? reply(404))
  app.put('/create1', async context => {
    if (context.headers.get('if-none-match') === '*' && created !== undefined) throw new IopaError(412, 'precondition-failed')
    const status = created === undefined ? 201 : 204
    created = await context.text()
    return reply(status)
  })

  app.get('/large', () => LARGE)
  app.get('/large-update', () => bodies.get('/large-update') ?? LARGE)
  app.put(
    '/large-update',
    upload(() => reply(204))
  )
  app.post(
    '/large-create',
    upload(() => reply(201, undefined, { location: '/large-create/1' }))
  )
  app.post(
    '/large-post',
    upload(() => reply(200, LARGE))
  )

  app.get('/obs', () => (observed ? reply(200, observed.value, { 'content-type': observed.type }) : reply(404)))
  app.put('/obs', async context => {
    observed = { value: await context.text(), type: context.type || 'text/plain' }
    return reply(204)
  })
  app.delete('/obs', () => {
    observed = undefined
    return reply(204)
  })
  app.get('/obs-non', () => observed?.value ?? reply(404))
  app.get('/obs-large', () => (observed ? `${observed.value}\n${LARGE}` : reply(404)))
  app.get('/obs-pumping', () => (pumping++ % 2 ? `${LARGE}${observed?.value}` : (observed?.value ?? reply(404))))

  app.get('/link1', { rt: 'Type1', if: 'If1', sz: 21 }, () => 'link 1')
  app.get('/link2', { rt: 'Type2 Type3', if: 'If2' }, () => 'link 2')
  app.get('/link3', { rt: 'Type1 Type3', if: 'foo', title: 'Link test resource' }, () => 'link 3')
  app.get('/path', { ct: 40 }, () => reply(200, '</path/sub1>,</path/sub2>,</path/sub3>', { 'content-type': 'application/link-format' }))
  app.get('/path/:sub', ({ params }) => `sub ${params.sub}`)

  app.get('/fails', () => {
    throw new Error('secret of the inside')
  })
  app.get('/json', () => ({ on: true }))
  app.put('/json', async context => context.json())
  app.on('FETCH', '/etch', async context => `fetched ${await context.text()}`)
  app.patch('/etch', async context => reply(200, `patched ${await context.text()}`))
  app.on('iPATCH', '/etch', async context => reply(200, `ipatched ${await context.text()}`))
  app.get('/slash/', () => 'with slash')
  app.get('/slash', () => 'without slash')
  app.get('/max-age', () => reply(200, 'fresh', { 'cache-control': 'max-age=30' }))
  app.get('/busy', () => reply(503, undefined, { 'retry-after': '7' }))

  const [listener] = await app.listen()
  const port = Number(listener!.url.port)
  const close = (): Promise<void> => app.close({ timeout: 1000 })
  return {
    app,
    listener: listener!,
    port,
    url: `coap://127.0.0.1:${port}`,
    calls,
    bodies,
    setObserved(value, type = 'text/plain') {
      observed = { value, type }
      for (const path of ['/obs', '/obs-non', '/obs-large', '/obs-pumping']) app.notify(path)
    },
    close,
    [Symbol.asyncDispose]: close
  }
}
