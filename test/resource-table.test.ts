// One declaration over five protocols, and inside the process: what comes of each kind of request is the same everywhere.
import { App, type Context, IopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import { cbor } from '@iopa/cbor'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { at, isProblem, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

const light = resource('/lights/{id}', {
  title: 'A light',
  params: z.object({ id: z.string().max(32) }),
  state: z.object({ on: z.boolean(), level: z.number().min(0).max(100).default(0) }),
  methods: { get: {}, put: {}, patch: {}, delete: { errors: { 'light-busy': { status: 409 } } } }
})

// Who is not known may read, and change nothing.
const keeper: MiddlewareFunction = Object.assign(
  (context: Context, next: () => unknown) => {
    if (context.method !== 'GET' && context.path.startsWith('/lights/locked')) throw new IopaError(401, 'unauthorized', 'Log in first.')
    return next()
  },
  { neutral: true }
)

type Row = Record<string, unknown>

const lights = new Map<string, { on: boolean; level: number }>()
const app = new App({ logger: false, codecs: [cbor()] })
  .use(keeper)
  .use(router())
  .use(resources())
  .use(http({ port: 0 }))
  .use(coap({ port: 0 }))
  .use(mqtt({ port: 0 }))
  .use(tcp({ port: 0 }))
  .use(udp({ port: 0 }))
app.serve(light, {
  get: ({ params }) => lights.get(params.id),
  put: ({ params, input }) => {
    lights.set(params.id, input)
    return input
  },
  delete: ({ params }) => {
    if (params.id === 'busy') throw new IopaError(409, 'light-busy', 'The light is dimming.')
    lights.delete(params.id)
  }
})

const urls: URL[] = []
beforeAll(async () => {
  urls.push(...(await app.listen()).map(({ url }) => url))
})
afterAll(() => app.close())

/** What an error says on every protocol: CoAP and MQTT have the first fault as text, and no code. */
const outcomeOf = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    return await work()
  } catch (error) {
    const { status, detail } = error as IopaError
    return { status, says: /^\S+/.exec(detail)?.[0] ?? '' }
  }
}

const rowOf = async (target: Parameters<typeof at>[0], id: string): Promise<Row> => {
  const client = at(target, light, { id })
  const valid = await outcomeOf(() => client.put({ on: true }))
  const read = await outcomeOf(() => client.get())
  const invalid = await outcomeOf(() => client.put({ on: 1, level: 700 } as never))
  const unauthorised = await outcomeOf(() => at(target, light, { id: 'locked' }).put({ on: true }))
  const tooLong = await outcomeOf(() => at(target, light, { id: 'x'.repeat(33) }).get())
  const missing = await outcomeOf(() => at(target, light, { id: 'none' }).get())
  const declared = await outcomeOf(() => at(target, light, { id: 'busy' }).delete())
  const { etag = '' } = await client.read()
  const patched = await outcomeOf(() => client.patch({ level: 7 }, { ifMatch: etag }))
  const conditional = await outcomeOf(() => client.patch({ level: 8 }, { ifMatch: etag }))
  const jsonPatched = await outcomeOf(() => client.patch([{ op: 'replace', path: '/level', value: 9 }]))
  const refused = await outcomeOf(() => client.patch({ on: null }))
  const observed = await outcomeOf(async () => {
    const levels: number[] = []
    for await (const { level } of client.observe({ timeout: 5000 })) {
      levels.push(level)
      if (levels.length === 2) break
      lights.set(id, { on: true, level: 10 })
      app.notify(`/lights/${id}`)
    }
    return levels
  })
  const inCbor = at(target, light, { id }, { type: 'application/cbor' })
  const cborPut = await outcomeOf(() => inCbor.put({ on: true, level: 11 }))
  const cborRead = await outcomeOf(() => inCbor.get())
  const cborInvalid = await outcomeOf(() => inCbor.put({ on: 1 } as never))
  const deleted = await outcomeOf(() => client.delete())
  const gone = await outcomeOf(() => client.get())
  return {
    valid,
    read,
    invalid,
    unauthorised,
    tooLong,
    missing,
    declared,
    patched,
    conditional,
    jsonPatched,
    refused,
    observed,
    cborPut,
    cborRead,
    cborInvalid,
    deleted,
    gone
  }
}

const EXPECTED: Row = {
  valid: { on: true, level: 0 },
  read: { on: true, level: 0 },
  invalid: { status: 422, says: '/on:' },
  unauthorised: { status: 401, says: 'Log' },
  tooLong: { status: 422, says: 'params' },
  missing: { status: 404, says: 'There' },
  declared: { status: 409, says: 'The' },
  patched: { on: true, level: 7 },
  conditional: { status: 412, says: 'The' },
  jsonPatched: { on: true, level: 9 },
  refused: { status: 422, says: '/on:' },
  observed: [9, 10],
  cborPut: { on: true, level: 11 },
  cborRead: { on: true, level: 11 },
  cborInvalid: { status: 422, says: '/on:' },
  deleted: undefined,
  gone: { status: 404, says: 'There' }
}

test('every protocol gives the same outcome for the same request', async () => {
  const rows: Record<string, Row> = { process: await rowOf(app, 'process') }
  for (const url of urls) {
    const client = await app.connect(url)
    rows[url.protocol] = await rowOf(client, url.protocol.slice(0, -1))
    await client.close()
  }
  // UDP has no way to say that an observer has left.
  const own: Record<string, Row> = { 'udp:': { observed: { status: 501, says: expect.any(String) } } }
  expect(rows).toEqual(Object.fromEntries(['process', ...urls.map(({ protocol }) => protocol)].map(name => [name, { ...EXPECTED, ...own[name] }])))
  expect(Object.keys(rows).sort()).toEqual(['coap:', 'http:', 'mqtt:', 'process', 'tcp:', 'udp:'])
})

test('problems carry their code and all faults where the protocol carries problems', async () => {
  const codes: Record<string, unknown> = {}
  for (const url of urls) {
    const client = await app.connect(url)
    const invalid = await at(client, light, { id: 'hall' })
      .put({ on: 1, level: 700 } as never)
      .catch(error => error)
    codes[url.protocol] = isProblem(light, invalid) ? [invalid.code, invalid.extensions?.errors?.map(({ pointer }) => pointer)] : invalid.code
    await client.close()
  }
  const whole = ['invalid-input', ['/on', '/level']]
  expect(codes).toMatchObject({ 'http:': whole, 'tcp:': whole, 'udp:': whole })
})
