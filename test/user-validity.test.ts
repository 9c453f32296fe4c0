// How long a user's observers and connections last, on every protocol: an expiry, a check, and app.revoke (docs/guides/security.md).
import net from 'node:net'
import { App, defineMiddleware, IopaError, type User } from '@iopa/appbuilder'
import type { Validity } from '@iopa/constants'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { afterEach, describe, expect, test } from 'vitest'
import { type Credentials, OBSERVING, Town, type Watching } from './cross-protocol-support.ts'
import { until } from './hostile-support.ts'

const ANN: Credentials = { user: 'ann', password: 'of ann' }
const BOB: Credentials = { user: 'bob', password: 'of bob' }

let town: Town | undefined
afterEach(async () => {
  await town?.close()
  town = undefined
})

/** Sets the user of each request, with this validity; CoAP over UDP knows one user. */
const open = async (validity: (id: string) => Validity | undefined): Promise<{ app: App; state: { n: number } }> => {
  const authentication = defineMiddleware({ name: 'basic', provides: ['server.User'], neutral: true }, (context, next) => {
    const set = (id: string): void => {
      const valid = validity(id)
      context['server.User'] = valid === undefined ? { id } : { id, valid }
    }
    const known = context['server.User']
    if (known !== undefined) {
      // A pre-shared key says who it is, not for how long.
      if (context.scheme === 'coaps+tcp' && context.method === 'CONNECT') set(known.id)
      return next()
    }
    if (context.scheme === 'coap') set('ann')
    else {
      const [user = '', password] = atob((context.headers.get('authorization') ?? '').split(' ')[1] ?? '').split(':')
      if (password !== `of ${user}`) throw new IopaError(401, 'who-is-it', 'Say who you are.')
      set(user)
    }
    return next()
  })
  const state = { n: 0 }
  const app = new App({ logger: false }).use(authentication).use(router())
  app.get('/n', () => ({ n: state.n }))
  town = await Town.open(app as unknown as App)
  return { app: app as unknown as App, state }
}

const watchAll = (credentials: Credentials): Promise<Watching[]> =>
  Promise.all(OBSERVING.map(protocol => (town as Town).watch(protocol, '/n', credentials)))

const endedWith401 = async (watchings: readonly Watching[]): Promise<void> => {
  await until(
    'all have ended',
    () => watchings.every(({ ended }) => ended()),
    () => watchings.map(({ protocol, told, ended }) => [protocol, told, ended()])
  )
  for (const { protocol, told } of watchings) expect([protocol, told.at(-1)]).toEqual([protocol, protocol === 'mqtt' ? { n: 0 } : 'error 401'])
}

describe('a user', () => {
  test('ends on every protocol when it expires, others do not', async () => {
    const end = Date.now() + 2000
    await open(id => (id === 'ann' ? { until: end } : undefined))
    const anns = await watchAll(ANN)
    const bobs = await Promise.all((['http', 'mqtt', 'tcp'] as const).map(protocol => (town as Town).watch(protocol, '/n', BOB)))
    expect(anns.map(({ told }) => told)).toEqual(anns.map(() => [{ n: 0 }]))
    await endedWith401(anns)
    expect(Date.now()).toBeGreaterThanOrEqual(end)
    expect(bobs.map(({ ended }) => ended())).toEqual([false, false, false])
  })

  test('ends on every protocol when its one check fails', async () => {
    let valid = true
    let checks = 0
    const check = async (): Promise<boolean> => {
      checks++
      return valid
    }
    await open(() => ({ check, every: 40 }))
    const anns = await watchAll(ANN)
    checks = 0
    await until('it is checked', () => checks >= 3)
    expect(anns.map(({ ended }) => ended())).toEqual(anns.map(() => false))
    valid = false
    await endedWith401(anns)
  })

  test('ends on every protocol when it is revoked, others do not', async () => {
    const { app } = await open(() => undefined)
    const anns = await watchAll(ANN)
    const bob = await (town as Town).watch('http', '/n', BOB)
    app.revoke('ann')
    await endedWith401(anns)
    expect(bob.ended()).toBe(false)
  })

  test('shares runs with observers of equal users, whatever their validity', async () => {
    let expiry = Date.now() + 60_000
    let gets = 0
    const app = new App({ logger: false })
      .use(
        defineMiddleware({ name: 'token', provides: ['server.User'], neutral: true }, (context, next) => {
          context['server.User'] ??= { id: 'ann', valid: { until: expiry++, check: () => true } }
          return next()
        })
      )
      .use(context => {
        gets++
        return `${context.user?.id}`
      })
      .use(http({ port: 0 }))
    await app.listen()
    const stop = new AbortController()
    const told: string[] = []
    const [listener] = (await Promise.resolve(app.explain().transports)) as unknown as { urls: string[] }[]
    const client = await app.connect(listener?.urls[0] as string)
    const observe = async (): Promise<void> => {
      for await (const answer of client.observe('/x', { signal: stop.signal })) told.push(await answer.text())
    }
    const observing = [observe(), observe(), observe()].map(one => one.catch(() => undefined))
    await until('all observe', () => told.length === 3)
    gets = 0
    app.notify('/x')
    await until('all hear', () => told.length === 6)
    expect(gets).toBe(1)
    stop.abort()
    await Promise.all(observing)
    await client.close()
    await app.close({ timeout: 100 })
  })
})

describe('the user that middleware sets on a connection', () => {
  /** The first request says who it is for the whole connection. */
  const served = async (transport: ReturnType<typeof http> | ReturnType<typeof tcp>, valid: Validity): Promise<{ app: App; port: number }> => {
    const app = new App({ logger: false })
      .use((context, next) => {
        if (context.headers.has('authorization') && context.connection) context.connection['server.User'] = { id: 'ann', valid } satisfies User
        else if (context.user === undefined) throw new IopaError(401, 'who-is-it', 'Say who you are.')
        return next()
      })
      .use(context => `${context.user?.id ?? 'new'}`)
      .use(transport)
    const [listener] = await app.listen()
    return { app, port: Number(listener?.url.port) }
  }

  const conversation = async (port: number): Promise<{ say(text: string): void; heard(): string; ended(): boolean; close(): void }> => {
    const socket = net.connect(port, '127.0.0.1')
    let text = ''
    let ended = false
    socket.on('data', data => {
      text += data
    })
    socket.on('end', () => {
      ended = true
    })
    await new Promise(resolve => socket.once('connect', resolve))
    return { say: more => void socket.write(more), heard: () => text, ended: () => ended, close: () => socket.destroy() }
  }

  test('ends a keep-alive connection of HTTP when it expires', async () => {
    const { app, port } = await served(http({ port: 0 }), { until: Date.now() + 300 })
    const peer = await conversation(port)
    peer.say('GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: x\r\n\r\n')
    await until('the first answer', () => peer.heard().includes('new'))
    peer.say('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await until('an answer to the user of the connection', () => peer.heard().includes('ann'))
    await until('the connection has ended', peer.ended)
    peer.close()
    await app.close({ timeout: 100 })
  })

  test('ends a TCP connection with a 401 when it is revoked', async () => {
    const { app, port } = await served(tcp({ port: 0 }), {})
    const peer = await conversation(port)
    peer.say('{"iopa.Method":"GET","iopa.Path":"/","iopa.Headers":{"authorization":"x"}}\n')
    await until('the first answer', () => peer.heard().includes('new'))
    peer.say('{"iopa.Method":"GET","iopa.Path":"/"}\n')
    await until('an answer to the user of the connection', () => peer.heard().includes('ann'))
    app.revoke({ id: 'ann' })
    await until('the connection has ended', peer.ended)
    expect(peer.heard()).toContain('401')
    peer.close()
    await app.close({ timeout: 100 })
  })
})
