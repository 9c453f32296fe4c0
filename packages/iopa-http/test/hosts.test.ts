import { describe, expect, test } from 'vitest'
import type { HttpOptions } from '../src/index.ts'
import { ask, parse, serve } from './support.ts'

const status = async (host: string, options: HttpOptions = {}): Promise<number> => {
  const { port } = await serve(() => 'x', options)
  return parse(await ask(port, `GET / HTTP/1.1\r\nHost: ${host.replace('PORT', String(port))}\r\nConnection: close\r\n\r\n`)).status
}

describe('a listener on loopback answers', () => {
  for (const host of ['localhost', 'localhost:PORT', 'LocalHost:1', '127.0.0.1', '127.0.0.1:PORT', '[::1]', '[::1]:PORT']) {
    test(`for '${host}'`, async () => expect(await status(host)).toBe(200))
  }
  for (const host of ['evil.example', 'evil.example:PORT', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '[::2]', '0.0.0.0', '']) {
    test(`not for '${host}'`, async () => expect(await status(host)).toBe(421))
  }

  test('after checking the host of every request of a connection', async () => {
    const { port } = await serve(context => context.host)
    const get = (host: string, last = ''): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n${last}\r\n`
    const text = await ask(port, get('localhost') + get('evil.example') + get('localhost') + get('127.0.0.1', 'Connection: close\r\n'))
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 421', 'HTTP/1.1 200', 'HTTP/1.1 200'])
  })
})

describe('hosts', () => {
  test('lists the accepted names, with or without a port', async () => {
    const options = { hosts: ['Lights.Example', 'other.example:8080'] }
    expect(await status('lights.example', options)).toBe(200)
    expect(await status('LIGHTS.example:99', options)).toBe(200)
    expect(await status('other.example:8080', options)).toBe(200)
    expect(await status('other.example', options)).toBe(421)
    expect(await status('localhost', options)).toBe(421)
  })

  test('accepts names below one, and any', async () => {
    expect(await status('a.b.example.com', { hosts: ['*.example.com'] })).toBe(200)
    expect(await status('example.com', { hosts: ['*.example.com'] })).toBe(421)
    expect(await status('evilexample.com', { hosts: ['*.example.com'] })).toBe(421)
    expect(await status('anything.example', { hosts: ['*'] })).toBe(200)
  })

  test('is checked by every listener; without it, any name is accepted off loopback', async () => {
    expect(await status('anything.example', { host: '0.0.0.0' })).toBe(200)
    expect(await status('anything.example', { host: '0.0.0.0', hosts: ['lights.example'] })).toBe(421)
  })

  test('applies to the host of an absolute target, in HTTP/1.0 and HTTP/1.1', async () => {
    const options = { hosts: ['good.example'] }
    const { port } = await serve(context => context.host, options)
    const answer = async (request: string): Promise<readonly unknown[]> => {
      const { status, body } = parse(await ask(port, request))
      return [status, status === 200 ? body : '']
    }
    for (const [target, host, status] of [
      ['http://evil.example/', '', 421],
      ['http://evil.example', '', 421],
      ['http://good.example/', '', 200],
      ['http://GOOD.example:80/', '', 200],
      ['http://a%00b/', '', 421],
      ['http://a,b/', '', 400],
      ['http://evil.example/', 'Host: good.example\r\n', 400],
      ['http://good.example/', 'Host: evil.example\r\n', 400],
      ['http://evil.example/', 'Host: evil.example\r\n', 421],
      ['/', 'Host: evil.example\r\n', 421],
      ['/', 'Host: good.example\r\n', 200]
    ] as const) {
      const what = `${target} ${host}`
      expect((await answer(`GET ${target} HTTP/1.0\r\n${host}\r\n`))[0], what).toBe(status)
      const without = host === '' ? 400 : status
      expect((await answer(`GET ${target} HTTP/1.1\r\n${host}Connection: close\r\n\r\n`))[0], what).toBe(without)
    }
  })

  test('applies to the address of the server for HTTP/1.0 without a host', async () => {
    const old = 'GET / HTTP/1.0\r\n\r\n'
    for (const [hosts, status] of [
      [['good.example'], 421],
      [['127.0.0.1'], 200],
      [['*'], 200]
    ] as const) {
      const { port } = await serve(context => context.host, { hosts })
      expect(parse(await ask(port, old)).status, hosts[0]).toBe(status)
    }
  })

  test('applies to each host of a connection, in every notation', async () => {
    const { port } = await serve(context => context.host, { hosts: ['good.example'] })
    const keep = 'Connection: keep-alive\r\n\r\n'
    const text = await ask(port, `GET http://good.example/ HTTP/1.0\r\n${keep}GET http://evil.example/ HTTP/1.0\r\n${keep}GET / HTTP/1.0\r\n\r\n`)
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 421'])
  })

  test('refuses what no Host header can hold', async () => {
    for (const name of ['', 'http://a', 'a/b', 'a b']) await expect(serve(() => 'x', { hosts: [name] })).rejects.toMatchObject({ code: 'bad-option' })
  })
})
