import { describe, expect, test } from 'vitest'
import type { HttpOptions } from '../src/index.ts'
import { ask, parse, serve } from './support.ts'

const status = async (host: string, options: HttpOptions = {}): Promise<number> => {
  const { port } = await serve(() => 'x', options)
  return parse(await ask(port, `GET / HTTP/1.1\r\nHost: ${host.replace('PORT', String(port))}\r\nConnection: close\r\n\r\n`)).status
}

describe('a listener on loopback answers for', () => {
  for (const host of ['localhost', 'localhost:PORT', 'LocalHost:1', '127.0.0.1', '127.0.0.1:PORT', '[::1]', '[::1]:PORT']) {
    test(host, async () => expect(await status(host)).toBe(200))
  }
  for (const host of ['evil.example', 'evil.example:PORT', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '[::2]', '0.0.0.0', '']) {
    test(`not '${host}'`, async () => expect(await status(host)).toBe(421))
  }

  test('one connection for each host anew', async () => {
    const { port } = await serve(context => context.host)
    const get = (host: string, last = ''): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n${last}\r\n`
    const text = await ask(port, get('localhost') + get('evil.example') + get('localhost') + get('127.0.0.1', 'Connection: close\r\n'))
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 421', 'HTTP/1.1 200', 'HTTP/1.1 200'])
  })
})

describe('hosts', () => {
  test('names those that are answered for, with or without a port', async () => {
    const options = { hosts: ['Lights.Example', 'other.example:8080'] }
    expect(await status('lights.example', options)).toBe(200)
    expect(await status('LIGHTS.example:99', options)).toBe(200)
    expect(await status('other.example:8080', options)).toBe(200)
    expect(await status('other.example', options)).toBe(421)
    expect(await status('localhost', options)).toBe(421)
  })

  test('takes names below one, and any', async () => {
    expect(await status('a.b.example.com', { hosts: ['*.example.com'] })).toBe(200)
    expect(await status('example.com', { hosts: ['*.example.com'] })).toBe(421)
    expect(await status('evilexample.com', { hosts: ['*.example.com'] })).toBe(421)
    expect(await status('anything.example', { hosts: ['*'] })).toBe(200)
  })

  test('is checked for every listener, and free without it off loopback', async () => {
    expect(await status('anything.example', { host: '0.0.0.0' })).toBe(200)
    expect(await status('anything.example', { host: '0.0.0.0', hosts: ['lights.example'] })).toBe(421)
  })

  test('refuses what no Host header can hold', async () => {
    for (const name of ['', 'http://a', 'a/b', 'a b'])
      await expect(serve(() => 'x', { hosts: [name] })).rejects.toMatchObject({ code: 'bad-host-name' })
  })
})
