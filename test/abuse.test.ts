import dgram from 'node:dgram'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { type App, type Limits, type Listener, parseUrl } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { home } from '../examples/home/routes.ts'

const limits: Partial<Limits> = { body: 2000, headerTimeout: 400, idleTimeout: 800, requestTimeout: 1000, connections: 20_000 }

let app: App
let ports: { http: number; coap: number; mqtt: number; tcp: number; udp: number }
const uncaught: unknown[] = []
const hear = (error: unknown): void => void uncaught.push(error)
const sockets = new Set<net.Socket>()

beforeEach(async () => {
  uncaught.length = 0
  process.on('unhandledRejection', hear).on('uncaughtException', hear)
  app = home([http({ port: 0 }), coap({ port: 0 }), mqtt({ port: 0 }), tcp({ port: 0 }), udp({ port: 0 })], { logger: false, limits })
  const listeners = (await app.listen()) as [Listener, Listener, Listener, Listener, Listener]
  const [h, c, m, t, u] = listeners.map(({ url }) => parseUrl(url).port) as [number, number, number, number, number]
  ports = { http: h, coap: c, mqtt: m, tcp: t, udp: u }
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  await app.close({ timeout: 500 })
  process.off('unhandledRejection', hear).off('uncaughtException', hear)
  expect(uncaught).toEqual([])
  expect(app.live).toBe(0)
})

const open = (port: number): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(socket))
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', error => reject(error))
  })

/** What comes back until the peer closes, or `enough` has come. */
const replyTo = async (port: number, bytes: string | Uint8Array, enough: RegExp): Promise<string> => {
  const socket = await open(port)
  let text = ''
  const done = new Promise<void>(resolve => {
    socket.on('data', data => {
      text += data.toString('latin1')
      if (enough.test(text)) resolve()
    })
    socket.on('close', () => resolve())
    socket.on('end', () => resolve())
  })
  socket.write(bytes)
  await done
  socket.destroy()
  return text
}

const datagram = (port: number, bytes: Uint8Array): Promise<Buffer | null> =>
  new Promise(resolve => {
    const socket = dgram.createSocket('udp4')
    const finish = (answer: Buffer | null): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const timer = setTimeout(() => finish(null), 300)
    socket.on('message', finish)
    socket.send(bytes, port, '127.0.0.1')
  })

const until = async (what: string, condition: () => boolean): Promise<void> => {
  const end = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen: ${what} (live ${app.live})`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

const stillServes = async (): Promise<void> => {
  const answer = await fetch(`http://127.0.0.1:${ports.http}/lights/hall`, { headers: { connection: 'close' } })
  expect(answer.status).toBe(200)
  await answer.text()
}

const request = (target: string, more = '', body = ''): string =>
  `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${more}\r\n${body}`
const uriPath = (...segments: string[]): Uint8Array => {
  const parts: number[] = [0x40, 0x01, Math.floor(Math.random() * 256), Math.floor(Math.random() * 256)]
  segments.forEach((segment, index) => {
    const bytes = Buffer.from(segment)
    parts.push((index === 0 ? 11 << 4 : 0) | bytes.length, ...bytes)
  })
  return Uint8Array.from(parts)
}
const bag = (path: string): string => `${JSON.stringify({ 'iopa.Method': 'GET', 'iopa.Path': path, 'iopa.Seq': 1 })}\n`

describe('an illegal path is 400 or 414 on every protocol', () => {
  test.each([
    ['%E0%A4%A', 400],
    ['%00', 400],
    ['%2e%2e/lights', 400],
    ['..%2flights', 400],
    ['%2F', 400],
    ['%5c', 400],
    ['/lights', 400],
    ['a/'.repeat(1000), 414]
  ])('HTTP /%s', async (path, status) => {
    expect(await replyTo(ports.http, request(`/${path}`), /\r\n\r\n/)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    await stillServes()
  })

  test('CoAP: NUL, dots, slashes, invalid UTF-8 and 1,000 segments', async () => {
    for (const segments of [['\0'], ['..'], ['.'], ['a/b'], ['a\\b'], Array.from({ length: 400 }, () => 'a')]) {
      const answer = await datagram(ports.coap, uriPath(...segments))
      expect([0x80, 0x84, 0x8d], segments.join()).toContain(answer?.[1])
    }
    const broken = await datagram(ports.coap, Uint8Array.from([0x40, 0x01, 1, 1, 0xb1, 0xff]))
    expect(broken?.[1]).toBe(0x80)
    await stillServes()
  })

  test('TCP and UDP bags', async () => {
    for (const path of ['/..', '/a//b', '/\0', '/a\\b', 'lights', `/${'a/'.repeat(1000)}`]) {
      const expected = path.length > 1000 ? 414 : 400
      expect(JSON.parse(await replyTo(ports.tcp, bag(path), /\n/))['iopa.StatusCode'], path).toBe(expected)
      const answer = await datagram(ports.udp, Buffer.from(bag(path).trim()))
      expect(JSON.parse(String(answer))['iopa.StatusCode'], path).toBe(expected)
    }
    await stillServes()
  })
})

describe('a bad body gets its protocol’s clear error', () => {
  test('malformed JSON is 400, an oversized body 413', async () => {
    const put = (body: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${ports.http}/lights/hall`, {
        method: 'PUT',
        body,
        headers: { 'content-type': 'application/json', connection: 'close' }
      })
    for (const [body, status] of [
      ['{"on":', 400],
      ['{"__proto__":{}}', 400],
      ['x'.repeat(3000), 413]
    ] as const) {
      const answer = await put(body)
      expect(answer.status).toBe(status)
      expect(await answer.json()).toMatchObject({ status })
    }
    expect(JSON.parse(await replyTo(ports.tcp, '{"iopa.Method":"PUT",\n', /\n/))['iopa.StatusCode']).toBe(400)
    expect(JSON.parse(await replyTo(ports.tcp, '{"__proto__":1}\n', /\n/))['iopa.StatusCode']).toBe(400)
    expect(JSON.parse(String(await datagram(ports.udp, Buffer.from('{"iopa.'))))['iopa.StatusCode']).toBe(400)
    await stillServes()
  })

  test('a line without end is refused at the limit, and the connection closed', async () => {
    const answer = await replyTo(ports.tcp, 'x'.repeat(200_000), /\n/)
    expect(JSON.parse(answer.split('\n')[0] as string)['iopa.StatusCode']).toBe(413)
    await stillServes()
  })
})

describe('peers that waste time', () => {
  test('a header that never ends is 408 and a close', async () => {
    const answer = await replyTo(ports.http, 'GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ', /never/)
    expect(answer).toMatch(/^HTTP\/1.1 408 /)
  })

  test('half-open and silent connections are closed on every port', async () => {
    const silent = await Promise.all([ports.http, ports.mqtt, ports.tcp].flatMap(port => [open(port), open(port)]))
    for (const socket of silent) socket.resume()
    ;(silent[1] as net.Socket).end()
    ;(silent[3] as net.Socket).end()
    ;(silent[5] as net.Socket).end()
    await until('all are closed by the server', () => silent.every(socket => socket.readableEnded || socket.destroyed))
    await until('no context is left', () => app.live === 0)
  })

  test('garbage on every port, in every size, ends in an error or a close', async () => {
    for (const port of [ports.http, ports.mqtt, ports.tcp]) {
      for (let round = 0; round < 20; round++) {
        const bytes = Uint8Array.from({ length: 1 + round * 97 }, () => Math.floor(Math.random() * 256))
        const socket = await open(port)
        socket.on('error', () => undefined).resume()
        socket.end(bytes)
      }
    }
    for (let round = 0; round < 200; round++) {
      const bytes = Uint8Array.from({ length: Math.floor(Math.random() * 200) }, () => Math.floor(Math.random() * 256))
      const socket = dgram.createSocket('udp4')
      socket.send(bytes, round % 2 === 0 ? ports.coap : ports.udp, '127.0.0.1', () => socket.close())
    }
    await until('no context is left', () => app.live === 0)
    await stillServes()
  })

  test('observers that vanish without a goodbye leave nothing behind', async () => {
    const observers = await Promise.all(Array.from({ length: 200 }, (_, index) => open(index % 2 === 0 ? ports.http : ports.tcp)))
    observers.forEach((socket, index) => {
      socket.resume()
      socket.write(
        index % 2 === 0
          ? 'GET /lights/hall HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n'
          : '{"iopa.Method":"GET","iopa.Path":"/lights/hall","iopa.Observe":true,"iopa.Seq":1}\n'
      )
    })
    await until('all of them observe', () => app.live >= 400)
    for (const socket of observers) socket.resetAndDestroy()
    await until('no context is left', () => app.live === 0)
    await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/hall', 'iopa.Body': { on: true, level: 1 } })
    await stillServes()
  })

  test('10,000 idle connections opened and dropped leave no context and no descriptor', async () => {
    const descriptors = (): number => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0)
    const before = descriptors()
    for (let batch = 0; batch < 20; batch++) {
      const idle = await Promise.all(Array.from({ length: 500 }, (_, index) => open([ports.http, ports.mqtt, ports.tcp][index % 3] as number)))
      for (const socket of idle) socket.destroy()
      await until('the batch is gone', () => app.live === 0 && sockets.size === 0)
    }
    await until('all descriptors are back', () => descriptors() <= before + 10)
    await stillServes()
  }, 60_000)
})
