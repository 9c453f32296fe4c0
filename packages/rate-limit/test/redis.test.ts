import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { rateLimit } from '@iopa/rate-limit'
import { redis } from '@iopa/rate-limit/redis'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'

const program = process.env['REDIS_SERVER'] ?? 'redis-server'
const isInstalled = ((): boolean => {
  try {
    execFileSync(program, ['--version'])
    return true
  } catch {
    return false
  }
})()

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

const ask = async (app: App, address = '192.0.2.1') => {
  const answer = await app.invoke({ 'iopa.Path': '/', 'iopa.Scheme': 'http', 'server.RemoteAddress': address })
  return [answer.status, answer.headers.get('ratelimit')]
}

describe('with a server', () => {
  test.skipIf(!isInstalled)('two processes share a budget (needs redis-server)', async () => {
    const port = await freePort()
    const directory = mkdtempSync(join(tmpdir(), 'iopa-redis-'))
    const server = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', directory], { stdio: 'ignore' })
    const clients = [1, 2].map(() => new Redis(port, '127.0.0.1', { retryStrategy: () => 50 }))
    for (const client of clients) client.on('error', () => undefined)
    try {
      await Promise.all(clients.map(client => client.ping()))
      const [one, other] = clients.map(client =>
        new App({ logger: false }).use(rateLimit({ limit: 3, store: redis(client), onFailure: 'refuse' })).use(() => 'ok')
      ) as [App, App]
      expect(await ask(one)).toEqual([200, '"default";r=2;t=60'])
      expect((await ask(other))[0]).toBe(200)
      expect((await ask(one))[0]).toBe(200)
      expect((await ask(other))[0]).toBe(429)
      expect((await ask(one))[0]).toBe(429)
      expect((await ask(one, '192.0.2.2'))[0]).toBe(200)
      server.kill()
      await once(server, 'exit')
      expect((await ask(one))[0]).toBe(503)
    } finally {
      server.kill()
      for (const client of clients) client.disconnect()
    }
  })
})

test('without a server requests pass at once, or are refused at once', async () => {
  const client = new Redis(1, '127.0.0.1', { retryStrategy: () => 60_000 })
  client.on('error', () => undefined)
  const began = performance.now()
  const appWith = (onFailure: 'allow' | 'refuse') =>
    new App({ logger: false }).use(rateLimit({ limit: 1, store: redis(client), onFailure })).use(() => 'ok')
  expect((await ask(appWith('allow')))[0]).toBe(200)
  expect((await ask(appWith('refuse')))[0]).toBe(503)
  expect(performance.now() - began).toBeLessThan(1000)
  client.disconnect()
})
