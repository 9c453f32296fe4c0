import { App, defineMiddleware, IopaError, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { memory } from '@iopa/testing'
import { udp } from '@iopa/udp'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const factories: Readonly<Record<string, (options?: never) => Transport>> = { http, coap, mqtt, tcp, udp, memory }

describe.each(Object.entries(factories))('%s()', (name, factory) => {
  test('is refused by use() if it was not called, with the line of the call', () => {
    expect(() => new App(quiet).use(factory as never)).toThrow(new RegExp(`as in ${name}\\(\\)\\. \\(.*transport-setup\\.test\\.ts:\\d+\\)`))
  })

  test('refuses unknown options and limits by name, with the line of the call', async () => {
    expect(() => factory({ prot: 1 } as never)).toThrow(
      new RegExp(`${name}\\(\\) has no option 'prot'; it has .*\\(.*transport-setup\\.test\\.ts:\\d+\\)`)
    )
    const app = new App(quiet).use(factory({ limits: { bdy: 1 } } as never))
    await expect(app.listen()).rejects.toThrow(/no limit 'bdy'/)
    await app.close()
  })

  test('refuses unknown TLS options', () => {
    if (name === 'udp' || name === 'memory') return
    expect(() => factory({ tls: { certificate: 'x' } } as never)).toThrow(/'tls' of .* has no option 'certificate'/)
  })
})

const user = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context, next) => {
  if (context.headers.get('authorization') === undefined) throw new IopaError(401, 'who-is-it', 'Say who you are.')
  context.user = { id: 'ann' }
  return next()
})

test('CoAP discovery lists no routes behind a guard of a path', async () => {
  const admin = new App(quiet).use(router())
  admin.get('/users', () => 'users')
  const app = new App(quiet).use(router()).use(coap({ port: 0 }))
  app.get('/open', () => 'open')
  app.mount('/admin', user).mount('/admin', admin)
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  const links = await (await client.get('/.well-known/core')).text()
  expect([links.includes('/open'), links.includes('admin')]).toEqual([true, false])
  expect((await client.get('/admin/users')).status).toBe(401)
  await app.close()
})

test('listen() refuses a public address if a mount comes before the guard', async () => {
  const app = new App(quiet)
    .mount('/public', () => 'public')
    .use(user)
    .use(tcp({ host: '0.0.0.0', port: 0 }))
  await expect(app.listen()).rejects.toThrow(/nothing authenticates before mount\('\/public'\).*allowUnauthenticated: true/)
  await app.close()
})

test('an MQTT message to a path with other methods is refused, also behind several routers, and is not relayed', async () => {
  const inner = new App(quiet).use(router())
  inner.get('/x', () => 'state')
  const app = new App(quiet)
    .mount('/m', inner)
    .use(router())
    .use(mqtt({ port: 0 }))
  app.delete('/m/x', () => undefined)
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  await expect(client.put('/m/x', 'new').then(answer => answer.status)).resolves.toBe(405)
  expect(await (await client.get('/m/x')).text()).toBe('state')
  await app.close()
})

test('a fetch request after close() gets 503', async () => {
  let runs = 0
  const app = new App(quiet).use(() => `${++runs}`)
  const handler = toFetchHandler(app)
  expect((await handler(new Request('http://localhost/'))).status).toBe(200)
  await app.close()
  const response = await handler(new Request('http://localhost/'))
  expect([response.status, ((await response.json()) as { code: string }).code, runs]).toEqual([503, 'shutdown', 1])
})
