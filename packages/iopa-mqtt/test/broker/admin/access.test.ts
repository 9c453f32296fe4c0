import { get } from 'node:http'
import { App, defineMiddleware, IopaError } from '@iopa/appbuilder'
import { documents } from '@iopa/documents'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { mqtt } from '../../../src/mqtt.ts'
import { closeLabs, lab, type Read } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** Users by name; only root may use the administration. */
const guard = defineMiddleware({ name: 'guard', provides: ['server.User'] }, (context, next) => {
  const name = context['mqtt.UserName'] ?? context.headers.get('x-user')
  if (name !== undefined && name !== null) context['server.User'] = { id: String(name) }
  const user = context['server.User']
  if (user === undefined) throw new IopaError(401, 'no-user', 'who are you')
  if (context.requestedPath.startsWith('/mqtt') && user.id !== 'root') throw new IopaError(403, 'not-root', 'for root')
  return next()
})

const guarded = (app: App): void => void app.use(guard).use(router())

describe('the administration of a broker', () => {
  test('is listed in documents for those alone who may use it', async () => {
    const app = new App({ logger: false })
      .use(router())
      .use(documents({ title: 'Home', version: '1.0.0', protect: true }))
      .use(http({ port: 0, hosts: ['*'] }))
      .use(mqtt({ port: 0, admin: '/mqtt' }))
    const [listener] = await app.listen()
    const port = String(listener?.url.port)
    const document = (host: string): Promise<string> =>
      new Promise((resolve, reject) => {
        get({ port, path: '/openapi.json', headers: { host } }, async answer => resolve(Buffer.concat(await answer.toArray()).toString())).on(
          'error',
          reject
        )
      })
    const [stranger, own] = [await document('evil.example'), await document(`127.0.0.1:${port}`)]
    expect([stranger.includes('"openapi"'), stranger.includes('/mqtt/'), own.includes('/mqtt/sessions')]).toEqual([true, false, true])
    await app.close({ timeout: 0 })
  })

  test('without authentication is not for a page whose own name resolves to this machine', async () => {
    const app = new App({ logger: false })
      .use(router())
      .use(http({ port: 0, hosts: ['*'] }))
      .use(mqtt({ port: 0, admin: '/mqtt' }))
    const [listener] = await app.listen()
    const port = String(listener?.url.port)
    const asked = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get({ port, path: '/mqtt/sessions', headers: { host } }, answer => resolve(answer.resume().statusCode)).on('error', reject)
      })
    expect([await asked('evil.example'), await asked('localhost.evil.example'), await asked(`127.0.0.1:${port}`), await asked('[::1]')]).toEqual([
      403, 403, 200, 200
    ])
    await app.close({ timeout: 0 })
    expect(app.live).toBe(0)
  })

  test('is guarded by the middleware of the app, as any route is', async () => {
    const net = await lab(guarded, { admin: '/mqtt' })
    const asked = async (user?: string): Promise<number> =>
      (await net.app.invoke({ 'iopa.Path': '/mqtt/sessions', 'iopa.Headers': user === undefined ? {} : { 'x-user': user } })).status
    expect([await asked(), await asked('ann'), await asked('root')]).toEqual([401, 403, 200])
  })

  test('reaches by MQTT those alone who may read it, subscriptions with wildcards included', async () => {
    const net = await lab(guarded, { admin: '/mqtt' })
    const ann = await net.client({ clientId: 'ann', username: 'ann', password: Buffer.from('p') })
    const root = await net.client({ clientId: 'root', username: 'root', password: Buffer.from('p') })
    expect(await ann.subscribe('mqtt/events')).toEqual([0x87])
    await ann.subscribe('#')
    await root.subscribe('mqtt/#')
    await net.rest(1000)
    expect(await ann.messages()).toEqual([])
    expect(await root.messages()).toEqual(
      expect.arrayContaining([expect.stringMatching(/^mqtt\/events /), expect.stringMatching(/^mqtt\/statistics /)])
    )
  })

  test('takes commands by MQTT', async () => {
    const net = await lab(guarded, { admin: '/mqtt' })
    const victim = await net.client({ clientId: 'victim', username: 'ann', password: Buffer.from('p') })
    const root = await net.client({ clientId: 'root', username: 'root', password: Buffer.from('p') })
    const kick = (by: typeof root): Promise<Read> =>
      by.put('mqtt/sessions/ann@victim/connection', '', { properties: { userProperties: { method: 'DELETE' } } })
    expect(await kick(victim)).toMatchObject({ reasonCode: 0x87 })
    expect(await kick(root)).toMatchObject({ reasonCode: 0 })
    expect(await victim.next('disconnect')).toMatchObject({ reasonCode: 0x98 })
    // A client may end its own connection.
    root.publish('mqtt/sessions/root@root/connection', '', { qos: 1, messageId: 3, properties: { userProperties: { method: 'DELETE' } } })
    expect(await root.next('disconnect')).toMatchObject({ reasonCode: 0x98 })
  })

  test('without authentication is for this machine alone', async () => {
    const net = await lab(app => void app.use(router()), { admin: '/mqtt', host: '192.0.2.1', allowUnauthenticated: true })
    const here = await net.client({ clientId: 'here' })
    const elsewhere = await net.client({ clientId: 'elsewhere', from: '192.0.2.7' })
    expect(await elsewhere.subscribe('mqtt/sessions')).toEqual([0x87])
    expect(await elsewhere.put('mqtt/sessions/here/connection', '', { properties: { userProperties: { method: 'DELETE' } } })).toMatchObject({
      reasonCode: 0x87
    })
    await elsewhere.subscribe('#')
    await here.subscribe('#')
    await net.rest(1000)
    expect(await elsewhere.messages()).toEqual([])
    expect((await here.messages()).length).toBeGreaterThan(0)
  })

  test('off loopback needs authentication as the broker does', async () => {
    const app = new App({ logger: false, clock: virtualClock() }).use(router()).use(mqtt({ port: 0, host: '0.0.0.0', admin: '/mqtt' }))
    await expect(app.listen()).rejects.toMatchObject({ code: 'unprotected-listener', message: expect.stringContaining('GET /mqtt/statistics') })
    await app.close()
  })

  test('is described for those alone who may GET it', async () => {
    const net = await lab(
      app =>
        void app
          .mount('/mqtt', guard)
          .use(router())
          .use(documents({ title: 'x', version: '1', protect: true })),
      { admin: '/mqtt' }
    )
    const paths = async (path: string, user?: string): Promise<string[]> => {
      const answer = await net.app.invoke({ 'iopa.Path': path, 'iopa.Headers': user === undefined ? {} : { 'x-user': user } })
      return Object.keys((JSON.parse(await answer.text()) as { paths: object }).paths)
    }
    expect(await paths('/openapi.json')).toEqual([])
    const described = Array.from(net.app.routes(), ({ pattern }) => pattern).filter(pattern => pattern.startsWith('/mqtt'))
    expect(described).toContain('/mqtt/sessions/{key}')
  })

  test('needs a router before it, and a path that is one', () => {
    expect(() => new App({ logger: false }).use(mqtt({ admin: '/mqtt' }))).toThrow(/router/)
    for (const admin of ['mqtt', '/mqtt/', '/', '', '/a b', '/{x}', '/../x'])
      expect(() => mqtt({ admin }), admin).toThrow(expect.objectContaining({ code: 'bad-option' }))
  })

  test('and every number among the options of the broker is refused where it is none', () => {
    const options = { maxSessions: Number.NaN, sendWindow: -1, statistics: '10', maxQueuedBytes: null }
    for (const [name, value] of Object.entries(options))
      expect(() => mqtt({ [name]: value } as never), name).toThrow(
        expect.objectContaining({ code: 'bad-option', message: expect.stringContaining(name) })
      )
    expect(() => mqtt({ maxSessions: Number.POSITIVE_INFINITY, statistics: false, topicAliasMaximum: 0 })).not.toThrow()
  })

  test('answers 503 before the broker listens', async () => {
    const app = new App({ logger: false }).use(router()).use(mqtt({ port: 0, admin: '/mqtt' }))
    expect((await app.invoke({ 'iopa.Path': '/mqtt/sessions' })).status).toBe(503)
    await app.close()
  })
})
