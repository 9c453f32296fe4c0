// The handler for servers of Node, in Express, in Fastify and alone.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { App, type AppOptions, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import express from 'express'
import fastify from 'fastify'
import { describe, expect, test } from 'vitest'
import { type NodeHandlerOptions, toNodeHandler } from '../src/node.ts'
import { atEnd, eventually, Peer } from './support.ts'

const chunk = (text: string): Uint8Array => new TextEncoder().encode(text)

const lights = (options: AppOptions = {}) => {
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const app = new App({ logger, ...options }).use(router())
  atEnd(() => app.close({ timeout: 0 }))
  app.get('/hello', context => [context.method, context.path, context['iopa.QueryString'], context.host, context.remoteAddress, context.protocol])
  app.post('/echo', async context => ({ got: await context.text() }))
  app.post('/json', context => context.json())
  app.get('/cookies', () => reply(201, 'x', { 'set-cookie': ['a=1', 'b=2'], 'x-own': 'yes' }))
  app.get('/fails', () => {
    throw new Error('inner')
  })
  app.get('/bad', context => {
    context.response.headers.set('x-bad', '\u0100')
    return 'x'
  })
  return { app, errors }
}

const listening = async (server: Server): Promise<string> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const alone = async (app: App, options?: NodeHandlerOptions): Promise<string> => listening(createServer(toNodeHandler(app, options)))

describe('toNodeHandler() in a server of Node', () => {
  test('makes a context of a request and writes its answer', async () => {
    const { app } = lights()
    const origin = await alone(app)
    const hello = await fetch(`${origin}/hello?a=%20b`)
    expect([hello.status, hello.headers.get('content-type'), Number(hello.headers.get('content-length')) > 0]).toEqual([
      200,
      'application/json',
      true
    ])
    expect(await hello.json()).toEqual(['GET', '/hello', 'a=%20b', '127.0.0.1', '127.0.0.1', 'HTTP/1.1'])
    const cookies = await fetch(`${origin}/cookies`)
    expect([cookies.status, cookies.headers.getSetCookie(), cookies.headers.get('x-own'), await cookies.text()]).toEqual([
      201,
      ['a=1', 'b=2'],
      'yes',
      'x'
    ])
    const head = await fetch(`${origin}/hello`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    await eventually('nothing lives', () => app.live === 0)
  })

  test('answers errors with problems, and logs what cannot be written', async () => {
    const { app, errors } = lights()
    const origin = await alone(app)
    const codes: unknown[] = []
    for (const path of ['/none', '/fails', '/bad', '/a//b', '/a%2Fb']) {
      const answer = await fetch(origin + path)
      codes.push(answer.status, ((await answer.json()) as { code: string }).code)
    }
    expect(codes).toEqual([404, 'no-route', 500, 'internal-error', 500, 'internal-error', 400, 'empty-segment', 400, 'slash-in-segment'])
    expect(errors).toHaveLength(2)
    await eventually('nothing lives', () => app.live === 0)
  })

  test('limits bodies, hosts and methods', async () => {
    const { app } = lights()
    const origin = await alone(app, { limits: { body: 1000 }, hosts: ['127.0.0.1'] })
    expect(await (await fetch(`${origin}/echo`, { method: 'POST', body: 'x'.repeat(1000) })).json()).toEqual({ got: 'x'.repeat(1000) })
    const over = await fetch(`${origin}/echo`, { method: 'POST', body: 'x'.repeat(1001) })
    expect(over.status).toBe(413)
    await over.arrayBuffer()
    const stream = new ReadableStream<Uint8Array>({
      start: controller => {
        for (let at = 0; at < 20; at++) controller.enqueue(chunk('y'.repeat(100)))
        controller.close()
      }
    })
    const streamed = await fetch(`${origin}/echo`, { method: 'POST', body: stream, duplex: 'half' } as RequestInit)
    expect([streamed.status, ((await streamed.json()) as { code: string }).code]).toEqual([413, 'body-too-large'])
    const other = await fetch(origin.replace('127.0.0.1', 'localhost'))
    expect(other.status).toBe(421)
    await other.arrayBuffer()
  })

  test('streams an answer at the pace of the client, and gives it up when the client leaves', async () => {
    let made = 0
    let over = false
    const { app } = lights()
    app.get('/stream', async function* () {
      try {
        for (;;) {
          made++
          yield chunk('x'.repeat(64 * 1024))
        }
      } finally {
        over = true
      }
    })
    const peer = new Peer(Number(new URL(await alone(app)).port))
    peer.socket.write('GET /stream HTTP/1.1\r\nhost: a\r\n\r\n')
    peer.socket.pause()
    await eventually('the stream has begun', () => made > 3)
    let before = -1
    while (before !== made) {
      before = made
      await new Promise(resolve => setTimeout(resolve, 30))
    }
    expect(made).toBeLessThan(1000)
    peer.socket.destroy()
    await eventually('the source is given up', () => over && app.live === 0)
  })

  test('ends a request that takes too long with 504, and one whose client leaves', async () => {
    const clock = virtualClock()
    let reason = ''
    const { app } = lights({ clock, limits: { requestTimeout: 1000 } })
    app.get('/never', context => {
      context.defer(why => (reason = why))
      return new Promise(() => undefined)
    })
    const origin = await alone(app)
    const late = fetch(`${origin}/never`)
    await eventually('it is in work', () => app.live === 1)
    await clock.advance(2000)
    expect((await late).status).toBe(504)
    await (await late).arrayBuffer()
    const stop = new AbortController()
    const left = fetch(`${origin}/never`, { signal: stop.signal }).catch(() => undefined)
    await eventually('it is in work', () => app.live === 1)
    stop.abort()
    await left
    await eventually('it is over', () => app.live === 0)
    expect(reason).toBe('disconnect')
  })

  test('observes with server-sent events until either side ends', async () => {
    let state = 1
    const { app } = lights()
    app.get('/state', () => ({ state }))
    const origin = await alone(app)
    const stop = new AbortController()
    const answer = await fetch(`${origin}/state`, { headers: { accept: 'text/event-stream' }, signal: stop.signal })
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    const read = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value)
    expect([answer.headers.get('content-type'), (await read()).includes('data: {"state":1}')]).toEqual(['text/event-stream', true])
    state = 2
    app.notify('/state')
    expect(await read()).toContain('data: {"state":2}')
    stop.abort()
    await eventually('the observer is gone', () => app.live === 0)
    const other = await fetch(`${origin}/state`, { headers: { accept: 'text/event-stream' } })
    await app.close({ timeout: 0 })
    expect(await other.text()).toContain('data: {"state":2}')
  })
})

describe('toNodeHandler() in Express', () => {
  const mounted = async (use: (server: ReturnType<typeof express>, app: ReturnType<typeof lights>['app']) => void) => {
    const { app } = lights()
    const server = express()
    use(server, app)
    return { app, origin: await listening(createServer(server)) }
  }

  test('serves below its mount, keeps the fields of middleware before it, and passes on what is not routed', async () => {
    const { app, origin } = await mounted((server, app) => {
      server.use((_request, response, next) => {
        response.setHeader('x-before', 'yes')
        response.append('set-cookie', 'outer=1')
        next()
      })
      server.use('/api', toNodeHandler(app))
      server.use((request, response) => void response.status(418).send(`express has ${request.originalUrl}`))
    })
    const hello = await fetch(`${origin}/api/hello`)
    expect([hello.headers.get('x-before'), ((await hello.json()) as string[])[1]]).toEqual(['yes', '/hello'])
    expect((await fetch(`${origin}/api/cookies`)).headers.getSetCookie()).toEqual(['outer=1', 'a=1', 'b=2'])
    const passed = await fetch(`${origin}/api/none`)
    expect([passed.status, await passed.text()]).toEqual([418, 'express has /api/none'])
    const observed = await fetch(`${origin}/api/none`, { headers: { accept: 'text/event-stream' } })
    expect([observed.status, await observed.text()]).toEqual([418, 'express has /api/none'])
    const refused = await fetch(`${origin}/api/hello`, { method: 'PUT' })
    expect(refused.status).toBe(405)
    await refused.arrayBuffer()
    await eventually('nothing lives', () => app.live === 0)
  })

  test('leaves a body to who comes after it, and reads what a parser before it has read', async () => {
    const { origin } = await mounted((server, app) => {
      server.use(toNodeHandler(app))
      server.use(express.json())
      server.use('/parsed', toNodeHandler(app))
      server.use((request, response) => void response.json({ express: request.body }))
    })
    const post = async (path: string): Promise<unknown> =>
      (await fetch(origin + path, { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } })).json()
    expect(await post('/json')).toEqual({ a: 1 })
    expect(await post('/parsed/json')).toEqual({ a: 1 })
    expect(await post('/elsewhere')).toEqual({ express: { a: 1 } })
  })
})

test('toNodeHandler() in Fastify answers a request that is taken over', async () => {
  const { app } = lights()
  const handler = toNodeHandler(app)
  const server = fastify()
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', (_request, _payload, done) => done(null))
  server.get('/own', async () => 'fastify')
  server.all('/*', (request, reply) => {
    reply.hijack()
    handler(request.raw, reply.raw)
  })
  const origin = await server.listen({ port: 0, host: '127.0.0.1' })
  atEnd(() => server.close())
  expect(await (await fetch(`${origin}/own`)).text()).toBe('fastify')
  expect(((await (await fetch(`${origin}/hello`)).json()) as string[])[1]).toBe('/hello')
  expect(await (await fetch(`${origin}/echo`, { method: 'POST', body: 'big'.repeat(50_000) })).json()).toEqual({ got: 'big'.repeat(50_000) })
  expect((await fetch(`${origin}/none`)).status).toBe(404)
})
