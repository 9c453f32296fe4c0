import { type App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab, type TestClient } from './lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

type Action = 'read' | 'write'

/** Who may do what, by the beginning of a path. */
const RULES: readonly { readonly user: string; readonly path: string; readonly may: readonly Action[] }[] = [
  { user: 'ann', path: '/rooms/', may: ['read', 'write'] },
  { user: 'bob', path: '/rooms/public/', may: ['read'] },
  { user: 'root', path: '/', may: ['read', 'write'] }
]

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'SUBSCRIBE', 'UNSUBSCRIBE'])

/** One middleware with one set of rules. A filter with wildcards is granted: each delivery is decided by its own path. */
const rules = (app: App): void => {
  app.use((context, next) => {
    const name = context['mqtt.UserName']
    if (name !== undefined) context['server.User'] = { id: name }
    const { method, path } = context
    if (method === 'CONNECT' || method === 'DISCONNECT' || context['mqtt.Filter']?.match(/[+#]/)) return next()
    const action = READS.has(method) ? 'read' : 'write'
    const { user } = context
    if (!RULES.some(rule => rule.user === user?.id && path.startsWith(rule.path) && rule.may.includes(action)))
      throw new IopaError(403, 'not-allowed', 'The rules do not allow this.')
    return next()
  })
  app.use(router())
}

describe.each([4, 5] as const)('one set of rules, by MQTT %i', version => {
  const open = async (refusal: 'close' | 'acknowledge' = 'acknowledge') => {
    const net = await lab(rules, { refusal, statistics: 1 })
    const user = (name: string, form = {}): Promise<TestClient> =>
      net.client({ clientId: `of-${name}`, username: name, password: Buffer.from('x'), version, ...form })
    return { net, ann: await user('ann'), bob: await user('bob'), user }
  }

  test('governs what is published', async () => {
    const { net, ann, bob } = await open()
    await ann.subscribe('rooms/#')
    await ann.put('rooms/public/a', 'by ann')
    const refused = await bob.put('rooms/public/a', 'by bob')
    if (version === 5) expect(refused).toMatchObject({ reasonCode: 0x87 })
    await net.rest()
    expect(await ann.messages()).toEqual(['rooms/public/a by ann'])
  })

  test('governs what is subscribed to', async () => {
    const { bob } = await open()
    const refused = version === 5 ? 0x87 : 0x80
    expect(await bob.subscribe(['rooms/public/a', 'rooms/private/a', 'other'])).toEqual([0, refused, refused])
  })

  test('governs each delivery of a filter with wildcards', async () => {
    const { ann, bob } = await open()
    expect(await bob.subscribe('#', { qos: 1 })).toEqual([1])
    await ann.put('rooms/private/a', 'private')
    await ann.put('rooms/public/a', 'public')
    expect(await bob.messages()).toEqual(['rooms/public/a public'])
  })

  test('governs retained messages', async () => {
    const { ann, bob } = await open()
    await ann.put('rooms/private/a', 'private', { retain: true })
    await ann.put('rooms/public/a', 'public', { retain: true })
    await bob.put('rooms/public/b', 'by bob', { retain: true })
    await bob.subscribe('#')
    expect(await bob.messages()).toEqual(['rooms/public/a public'])
  })

  test('governs wills', async () => {
    const { net, ann, user } = await open()
    await ann.subscribe('rooms/#')
    const will = (topic: string) => ({ will: { topic, payload: Buffer.from('gone'), qos: 0 as const, retain: false } })
    await (await user('bob', { clientId: 'b2', ...will('rooms/public/a') })).vanish()
    await (await user('ann', { clientId: 'a2', ...will('rooms/public/a') })).vanish()
    await net.rest()
    expect(await ann.messages()).toEqual(['rooms/public/a gone'])
  })

  test('governs the figures under $SYS', async () => {
    const { net, ann, user } = await open()
    await ann.subscribe('$SYS/#')
    const root = await user('root')
    await root.subscribe('$SYS/broker/clients/#')
    await net.rest(2000)
    expect(await ann.messages()).toEqual([])
    expect(await root.messages()).toEqual(expect.arrayContaining(['$SYS/broker/clients/connected 3']))
  })
})
