// Where an HTTP listener listens beside an address: UNIX sockets and inherited descriptors. What it says of idle connections.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { http } from '../src/index.ts'
import { ask, atEnd, parse, serve } from './support.ts'

const socketPath = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'iopa-http-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'http.sock')
}

/** A descriptor that this process has, and does not wait on: as one that it has inherited. */
const boundDescriptor = (): number => {
  interface Handle {
    bind(address: string, port: number): number
    readonly fd: number
  }
  const { binding } = process as unknown as { binding(name: string): { TCP: new (kind: number) => Handle; constants: { SERVER: number } } }
  const { TCP, constants } = binding.call(process, 'tcp_wrap')
  const handle = new TCP(constants.SERVER)
  handle.bind('127.0.0.1', 0)
  return handle.fd
}

const get = (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
  new Promise((resolve, reject) => {
    request({ socketPath: path, path: '/', headers: { host: 'localhost', ...headers }, agent: false }, async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve(response.statusCode === 200 ? JSON.parse(text) : response.statusCode)
    })
      .once('error', reject)
      .end()
  })

describe('a UNIX socket', () => {
  test('is served with its own permissions, and removed at the end', async () => {
    const path = socketPath()
    const { app, listener } = await serve(context => [context.remoteAddress, context.scheme], { port: undefined as never, path })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(listener.url.href).toBe(`http+unix://${encodeURIComponent(path)}/`)
    expect(await get(path)).toEqual(['', 'http'])
    expect(await get(path, { 'x-forwarded-for': '203.0.113.7' })).toEqual(['', 'http'])
    await app.close()
    expect(existsSync(path)).toBe(false)
    await serve(() => 1, { port: undefined as never, path, mode: 0o666 })
    expect(statSync(path).mode & 0o777).toBe(0o666)
  })

  test('may be that of a trusted proxy', async () => {
    const path = socketPath()
    await serve(context => [context.remoteAddress, context.scheme], { port: undefined as never, path, trustProxy: ['unix'] })
    expect(await get(path, { forwarded: 'for=203.0.113.7;proto=https' })).toEqual(['203.0.113.7', 'https'])
  })

  test('takes the place of a file that a dead process has left, and of nothing else', async () => {
    const path = socketPath()
    const left = spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`])
    await once(left.stdout, 'data')
    const exited = once(left, 'exit')
    left.kill('SIGKILL')
    await exited
    expect(existsSync(path)).toBe(true)
    await serve(() => 1, { port: undefined as never, path })
    expect(await get(path)).toBe(1)
    await expect(serve(() => 2, { port: undefined as never, path })).rejects.toThrow(expect.objectContaining({ code: 'bind-failed' }))
    expect(await get(path)).toBe(1)
    const file = `${path}.txt`
    writeFileSync(file, 'mine')
    chmodSync(file, 0o644)
    await expect(serve(() => 2, { port: undefined as never, path: file })).rejects.toThrow(expect.objectContaining({ code: 'bind-failed' }))
    expect(statSync(file).size).toBe(4)
  })
})

describe('an inherited descriptor', () => {
  test('is served', async () => {
    const fd = boundDescriptor()
    const { port } = await serve(() => 'inherited', { port: undefined as never, fd })
    expect(port).toBeGreaterThan(0)
    expect(parse(await ask(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).body).toBe('inherited')
  })

  test('of systemd must be for this process', async () => {
    await expect(new App().use(http({ fd: 'systemd' })).listen()).rejects.toThrow(/found no socket of systemd/)
  })
})

test('http() listens in one place', async () => {
  for (const options of [{ port: 0, path: '/x' }, { path: '/x', fd: 3 }, { port: 0, mode: 0o600 }, { path: '' }, { path: '/x', tls: {} }] as const)
    await expect(new App().use(http(options)).listen()).rejects.toThrow(expect.objectContaining({ code: 'bad-option' }))
})

test('an answer announces for how long its connection may be idle, unless it is the last', async () => {
  const seen = async (limit: number | undefined, connection: string): Promise<unknown[]> => {
    const { port } = await serve(() => 'x', limit === undefined ? {} : { limits: { idleTimeout: limit } })
    const { headers } = parse(
      await ask(port, `GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`)
    )
    return [headers['connection'], headers['keep-alive']]
  }
  expect(await seen(undefined, 'close')).toEqual(['keep-alive', 'timeout=75'])
  expect(await seen(5500, 'close')).toEqual(['keep-alive', 'timeout=5'])
  expect(await seen(500, 'close')).toEqual([undefined, undefined])
})
